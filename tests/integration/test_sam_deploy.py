"""`make deploy` by SAM against the local engine, IAM enforced: what AWS would get, and it works."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy_stack import runtime_folder
from spaceport.errors import UserError
from spaceport_local.endpoint import HOST, REGION, Endpoint
from spaceport_local.folders import DataFolder
from spaceport_local.launcher import Launcher

pytestmark = pytest.mark.engine

STACK = "spaceport-dev"  # of samconfig.toml
# As `make images` names them; the engine starts the programs that these are of.
IMAGES = {
    f"{kind}ImageUri": f"000000000000.dkr.ecr.{REGION}.amazonaws.com/spaceport/{name}@sha256:{'0' * 64}"
    for kind, name in (("Sfm", "sfm"), ("Gaussian", "gaussian"), ("Compressor", "compressor"))
}
# Of targets.md: our own code in a function, and the layer, zipped.
FUNCTION_LIMIT, LAYER_LIMIT = 50_000, 15_000_000
SOURCES = (
    "template.yaml",
    "samconfig.toml",
    "deploy",
    "functions",
    "layer",
    "spaceport",
    "statemachine",
    "web",
    "docs/openapi.json",
)


@dataclass(frozen=True)
class SamCloud:
    """The engine with the stack that sam deployed, as the tests' `Stack` uses a cloud."""

    endpoint: Endpoint

    def client(self, service: str) -> Any:
        return self.endpoint.client(service)

    @property
    def outputs(self) -> dict[str, str]:
        (stack,) = self.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def websocket_url(self) -> str:
        return self.endpoint.websocket(self.outputs["WebSocketApiId"], "prod")

    def api_url(self) -> str:
        return self.endpoint.api_url(self.outputs["ApiId"], "prod")


@pytest.fixture(scope="module")
def sam(repository: Path) -> Path:
    """The SAM CLI, in an environment of its own."""
    command = repository / "build" / "sam" / "bin" / "sam"
    if not command.exists():
        pytest.skip(f"no {command.relative_to(repository)}: `make test` installs it")
    return command


@pytest.fixture(scope="module")
def checkout(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is built, so that the build's output is nobody else's."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in SOURCES:
        source = repository / name
        (copy / name).parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    return copy


@pytest.fixture(scope="module")
def deployed(sam: Path, checkout: Path, repository: Path, tmp_path_factory, stubs, stack_of) -> Iterator[Any]:
    """The stack that `make deploy` made on a fresh engine; its roles may do only what they must."""
    try:
        runtime_folder()
    except UserError as error:
        pytest.skip(f"{error.message} {error.hint}")
    (checkout / "build").mkdir()
    (checkout / "build" / "images.json").write_text(json.dumps(IMAGES))
    folder = DataFolder(tmp_path_factory.mktemp("engine"))
    launcher = Launcher(folder, repository, options=[*stubs.options, "--enforce-iam"])
    endpoint = launcher.start()
    try:
        told = deploy(checkout, sam, endpoint)
        cloud = SamCloud(endpoint)
        assert f"doctor --stack {STACK}" in told
        assert cloud.outputs["UploadsBucket"] in told
        yield stack_of(cloud)
    finally:
        launcher.stop()


def deploy(checkout: Path, sam: Path, endpoint: Endpoint) -> str:
    """What the command says; its whole output where it fails."""
    done = subprocess.run(
        [sys.executable, "deploy/deploy_stack.py", "--yes", "--sam", sam, "MaxRunningJobs=3", "Site=true"],
        cwd=checkout,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": endpoint.url,
            "NO_PROXY": HOST,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(deployed, checkout: Path) -> Path:
    """What was deployed, as it was built."""
    return checkout / ".aws-sam" / "build"


def zipped_bytes(folder: Path) -> int:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                packed.write(file, file.relative_to(folder))
    return len(archive.getvalue())


def test_packages_are_small(built: Path, repository: Path):
    functions = [folder for folder in built.iterdir() if (folder / "app.py").exists()]
    assert len(functions) == len(list((repository / "functions").glob("*/app.py")))
    for folder in functions:
        assert zipped_bytes(folder) <= FUNCTION_LIMIT, folder.name
    assert zipped_bytes(built / "ContractLayer") <= LAYER_LIMIT


def test_layer_holds_only_what_lambda_can_load(built: Path):
    libraries = [file.name for file in (built / "ContractLayer").rglob("*.so*")]
    assert libraries
    for name in libraries:
        assert "cpython-312-x86_64-linux-gnu" in name, name
    assert (built / "ContractLayer" / "python" / "spaceport" / "jobs.py").exists()


def test_layer_has_bytecode_of_all_it_holds(built: Path):
    # Which Lambda takes without a look at times or at the file: those of the build are not those of the layer
    modules = list((built / "ContractLayer").rglob("*.py"))
    assert modules
    for module in modules:
        compiled = module.parent / "__pycache__" / f"{module.stem}.cpython-312.pyc"
        assert compiled.read_bytes()[4:8] == (1).to_bytes(4, "little"), module  # PEP 552: unchecked hash


def test_a_bad_zip_is_refused_by_the_deployed_functions(deployed):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        for name in ("notes.txt", "plan.txt"):
            packed.writestr(name, "no photo")
    job_id = deployed.drop(archive.getvalue(), "uploads/operator/notes.zip")
    last = deployed.last_status(job_id, seconds=60)
    assert last["status"] == "REJECTED"
    assert last["error"]["message"]


def test_a_flight_goes_through_the_deployed_state_machine(deployed, photos_zip: bytes):
    job_id = deployed.drop(photos_zip, "uploads/operator/flight.zip")
    last = deployed.last_status(job_id, seconds=120)
    assert last["status"] == "COMPLETED", last["error"]


def test_the_stack_has_its_environments_settings_and_what_was_given_over_them(deployed):
    (stack,) = deployed.cloud.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    parameters = {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}
    given = {**IMAGES, "Environment": "dev", "ResultsDays": "30", "MaxRunningJobs": "3"}
    assert {name: parameters[name] for name in given} == given
    assert {tag["Key"]: tag["Value"] for tag in stack["Tags"]}["Application"] == "spaceport"


def test_the_sites_page_is_published_and_may_call_its_api(deployed):
    # Its address was known only after a first deployment: a second one let it
    outputs = deployed.cloud.outputs
    assert outputs["WebOrigin"] == outputs["WebAppUrl"].rstrip("/")
    told = deployed.cloud.client("s3").get_object(Bucket=outputs["WebBucket"], Key="config.json")
    assert json.load(told["Body"])["userPoolId"] == outputs["UserPoolId"]
