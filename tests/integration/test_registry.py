"""`make images` against the local engine: registry.yaml deployed by SAM, three images pushed, once."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from push_images import IMAGES, Tools, push
from spaceport_cli.account import ECR_URI
from spaceport_local.endpoint import HOST, REGION
from spaceport_local.folders import DataFolder
from spaceport_local.launcher import Launcher

pytestmark = pytest.mark.engine

SOURCES = ("pyproject.toml", "samconfig.toml", "registry.yaml")
STUB_DOCKER = Path(__file__).with_name("stub_docker.py")
# What it is asked for is in its last words but one: the bill's file.
STUB_CYCLONEDX = "import pathlib, sys; pathlib.Path(sys.argv[-2]).write_text(sys.stdin.read())"
STUB_LINE = f"#!{sys.executable}\n"


@pytest.fixture(scope="module")
def tools(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Tools:
    """A committed checkout, the real SAM, and a Docker without an engine."""
    sam = repository / "build" / "sam" / "bin" / "sam"
    if not sam.exists():
        pytest.skip(f"no {sam.relative_to(repository)}: `make test` installs it")
    checkout, programs = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("programs")
    for name in SOURCES:
        shutil.copy(repository / name, checkout)
    git = ("git", "-c", "user.name=test", "-c", "user.email=test@example.org")
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "All"]):
        subprocess.run([*git, *words], cwd=checkout, check=True)
    (checkout / ".git" / "info" / "exclude").write_text("build/\n")
    for name, program in (("docker", STUB_DOCKER.read_text()), ("cyclonedx", STUB_CYCLONEDX)):
        (programs / name).write_text(STUB_LINE + program)
        (programs / name).chmod(0o755)
    return Tools(checkout, sam, programs / "cyclonedx", str(programs / "docker"))


@pytest.fixture(scope="module")
def account(
    tools: Tools, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[boto3.Session]:
    """An account of a fresh engine, as the environment names it to programs."""
    launcher = Launcher(DataFolder(tmp_path_factory.mktemp("engine")), repository, options=[])
    endpoint = launcher.start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": endpoint.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "NO_PROXY": HOST,
            "DOCKER_CALLS": str(tools.checkout / ".git" / "docker-calls"),
        }.items():
            patch.setenv(name, value)
        yield boto3.Session()
    launcher.stop()


@pytest.fixture(scope="module")
def pushed(tools: Tools, account: boto3.Session) -> dict[str, str]:
    return push(tools, account)


def calls(tools: Tools) -> list[str]:
    return (tools.checkout / ".git" / "docker-calls").read_text().split()


def repositories(account: boto3.Session) -> dict[str, Any]:
    return {
        repository["repositoryName"]: repository
        for repository in account.client("ecr").describe_repositories()["repositories"]
    }


def test_each_parameter_gets_an_image_by_its_digest(pushed: dict[str, str], repository: Path) -> None:
    template = (repository / "template.yaml").read_text()
    assert set(pushed) == {image.parameter for image in IMAGES}
    for parameter, uri in pushed.items():
        assert f"\n  {parameter}:\n" in template
        assert ECR_URI.fullmatch(uri), uri


def test_what_is_there_is_not_built_again(
    pushed: dict[str, str], tools: Tools, account: boto3.Session
) -> None:
    # Given all three of this commit in the registry
    assert sorted(calls(tools)) == ["buildx"] * 3 + ["login"] + ["run"] * 3
    # When they are asked for once more
    again = push(tools, account)
    # Then they are the same, and Docker has nothing to do
    assert again == pushed
    assert len(calls(tools)) == 7


def test_each_image_has_its_bill_of_materials(pushed: dict[str, str], tools: Tools) -> None:
    bills = {file.name for file in (tools.checkout / "build").glob("*.cdx.json")}
    assert bills == {f"{image.folder}.cdx.json" for image in IMAGES}


def test_repositories_scan_what_is_pushed_and_forget_what_has_no_tag(
    pushed: dict[str, str], account: boto3.Session
) -> None:
    assert set(repositories(account)) == {"spaceport/sfm", "spaceport/3dgs", "spaceport/compressor"}
    for name, repository in repositories(account).items():
        assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
        policy = account.client("ecr").get_lifecycle_policy(repositoryName=name)["lifecyclePolicyText"]
        (rule,) = json.loads(policy)["rules"]
        assert rule["selection"]["tagStatus"] == "untagged"


def test_a_tag_is_never_given_to_another_image(pushed: dict[str, str], account: boto3.Session) -> None:
    ecr = account.client("ecr")
    (image,) = ecr.describe_images(repositoryName="spaceport/sfm")["imageDetails"]
    with pytest.raises(ClientError, match="ImageTagAlreadyExists"):
        ecr.put_image(
            repositoryName="spaceport/sfm",
            imageTag=image["imageTags"][0],
            imageManifest='{"another": "image"}',
        )
