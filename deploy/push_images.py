"""`make images`: the images of the three job programs, built by Docker, in this account's registry.

`python deploy/push_images.py`. It needs Docker with buildx, and an account's credentials. A tag is the
version and the commit; one that is there already is not built again. What was pushed is written to
build/images.json, by digest, where `make deploy` takes it.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from spaceport.errors import UserError
from spaceport_cli.aws_session import own_session

ROOT = Path(__file__).resolve().parents[1]
WRITTEN = Path("build", "images.json")
REGISTRY = "registry"  # the environment of samconfig.toml that names registry.yaml's stack
PLATFORM = "linux/amd64"  # of the instance types that the template's parameters name
GIT_DIGITS = 12


@dataclass(frozen=True)
class JobImage:
    """One of the three: its Dockerfile's folder, registry.yaml's output, template.yaml's parameter."""

    folder: str
    output: str
    parameter: str

    @property
    def dockerfile(self) -> Path:
        return Path("containers", self.folder, "Dockerfile")


IMAGES = (
    JobImage("sfm", "SfmRepository", "SfmImageUri"),
    JobImage("gaussian", "TrainingRepository", "GaussianImageUri"),
    JobImage("compressor", "CompressorRepository", "CompressorImageUri"),
)


@dataclass(frozen=True)
class Tools:
    """The programs that do the work. `checkout` is the repository whose images are built."""

    checkout: Path
    sam: Path
    cyclonedx: Path
    docker: str = "docker"


def tag_of(version: str, commit: str, changes: str) -> str:
    """A tag names one commit for ever.

    Args:
        changes: `git status --porcelain`'s lines.

    Raises:
        UserError: `uncommitted`.
    """
    if changes.strip():
        raise UserError(
            "uncommitted",
            f"The checkout has changes that no commit has:\n{changes.rstrip()}",
            "Commit them first: an image's tag names the commit that it was built of.",
        )
    return f"{version}-{commit[:GIT_DIGITS]}"


def build_words(image: JobImage, uri: str) -> list[str]:
    """Docker's words to build an image and push it as `uri`."""
    return [
        *("buildx", "build", "--platform", PLATFORM, "--file", str(image.dockerfile)),
        # SageMaker takes Docker's media types only ("Unsupported manifest media type application/vnd.oci…"),
        # and attestations need OCI's: github.com/aws/amazon-sagemaker-feedback/issues/180
        *("--provenance=false", "--sbom=false"),
        *("--output", f"type=image,name={uri},push=true,oci-mediatypes=false"),
        ".",
    ]


def check(tools: Tools, session: Any) -> None:
    """See whether there is Docker with buildx, and an account. Raises UserError, and as boto3 does."""
    try:
        _run(tools, tools.docker, "buildx", "version")
        _run(tools, tools.docker, "info", "--format", "{{.ServerVersion}}")
    except UserError as error:
        raise UserError(
            "no_docker",
            f"{error.message} Building images needs Docker with buildx, and its engine running.",
            "Install Docker Engine or Desktop, or let the workflow .github/workflows/images.yml do it.",
        ) from error
    caller = session.client("sts").get_caller_identity()
    print(f"Images go to account {caller['Account']} in {session.region_name}.")


def push(tools: Tools, session: Any) -> dict[str, str]:
    """Build and push what is not there; the three URIs by digest, by template.yaml's parameters.

    Raises:
        UserError: what the user can mend.
    """
    tag = tag_of(
        tomllib.loads((tools.checkout / "pyproject.toml").read_text())["project"]["version"],
        _run(tools, "git", "rev-parse", "HEAD"),
        _run(tools, "git", "status", "--porcelain"),
    )
    _run(tools, str(tools.sam), "deploy", "--config-env", REGISTRY, told=True)
    repositories = _repositories(tools, session)
    ecr = session.client("ecr")
    missing = {image: uri for image, uri in repositories.items() if _digest(ecr, uri, tag) is None}
    if missing:
        _log_in(tools, ecr)
    for image, repository in missing.items():
        print(f"Building {repository}:{tag}.")
        _run(tools, tools.docker, *build_words(image, f"{repository}:{tag}"), told=True)
        _list_packages(tools, image, f"{repository}:{tag}")
    uris = {}
    for image, repository in repositories.items():
        digest = _digest(ecr, repository, tag)
        if digest is None:
            raise UserError("not_pushed", f"ECR has no {repository}:{tag}, though Docker pushed it.")
        uris[image.parameter] = f"{repository}@{digest}"
    return uris


def _repositories(tools: Tools, session: Any) -> dict[JobImage, str]:
    """Each image's repository URI, as the registry's stack tells."""
    config = tomllib.loads((tools.checkout / "samconfig.toml").read_text())
    name = config[REGISTRY]["deploy"]["parameters"]["stack_name"]
    (stack,) = session.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    return {image: outputs[image.output] for image in IMAGES}


def _digest(ecr: Any, repository: str, tag: str) -> str | None:
    """The digest of a tag in a repository (its URI); None where there is no such image."""
    registry, _, name = repository.partition("/")
    try:
        found = ecr.describe_images(
            registryId=registry.partition(".")[0], repositoryName=name, imageIds=[{"imageTag": tag}]
        )
    except ecr.exceptions.ImageNotFoundException:
        return None
    return next((str(image["imageDigest"]) for image in found["imageDetails"]), None)


def _list_packages(tools: Tools, image: JobImage, uri: str) -> None:
    """The image's bill of materials (CycloneDX): what pip says is in it, in build/sfm.cdx.json."""
    asked = ("run", "--rm", "--network", "none", "--entrypoint", "pip", uri, "list", "--format", "freeze")
    packages = _run(tools, tools.docker, *asked)
    bill = tools.checkout / "build" / f"{image.folder}.cdx.json"
    bill.parent.mkdir(exist_ok=True)
    _run(tools, str(tools.cyclonedx), "requirements", "--output-file", str(bill), "-", given=packages)


def _log_in(tools: Tools, ecr: Any) -> None:
    (answer,) = ecr.get_authorization_token()["authorizationData"]
    user, _, password = base64.b64decode(answer["authorizationToken"]).decode().partition(":")
    words = ("login", "--username", user, "--password-stdin", answer["proxyEndpoint"])
    _run(tools, tools.docker, *words, given=password)


def _run(tools: Tools, program: str, *words: str, given: str = "", told: bool = False) -> str:
    """What a program prints; with `told` the user sees it instead. Raises UserError."""
    try:
        done = subprocess.run(
            [program, *words],
            cwd=tools.checkout,
            env={**os.environ, "SAM_CLI_TELEMETRY": "0"},
            input=given,
            stdout=None if told else subprocess.PIPE,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise UserError(
            "no_program",
            f"There is no {program} on this machine.",
            "Building images needs Docker with buildx.",
        ) from error
    if done.returncode:
        raise UserError("failed", f"`{Path(program).name} {words[0]}` failed, as it says above.")
    return done.stdout or ""


def main(argv: Sequence[str] | None = None) -> int:
    """Push, and write down what was pushed; 0, or 1 with what to mend on standard error."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sam", type=Path, default=ROOT / "build" / "sam" / "bin" / "sam")
    parser.add_argument("--cyclonedx", type=Path, default=ROOT / "build" / "sbom" / "bin" / "cyclonedx-py")
    parser.add_argument("--check", action="store_true", help="only see whether there is all that it needs")
    words = parser.parse_args(argv)
    try:
        if words.check:
            check(Tools(ROOT, words.sam, words.cyclonedx), own_session())
            return 0
        uris = push(Tools(ROOT, words.sam, words.cyclonedx), own_session())
    except UserError as error:
        print(f"{error.message}\n{error.hint}".strip(), file=sys.stderr)
        return 1
    except (BotoCoreError, ClientError) as error:
        print(f"AWS does not answer: {error}\nSet credentials and AWS_DEFAULT_REGION.", file=sys.stderr)
        return 1
    _write(ROOT / WRITTEN, uris)
    print(f"Written to {WRITTEN}; `make deploy` takes them from there.")
    return 0


def _write(file: Path, uris: Mapping[str, str]) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(uris, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
