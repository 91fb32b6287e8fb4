"""`sam build && sam deploy` against the local engine, IAM enforced: what AWS would get, and it works."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from spaceport_local.endpoint import HOST, REGION, Endpoint
from spaceport_local.folders import DataFolder
from spaceport_local.launcher import Launcher

pytestmark = pytest.mark.engine

STACK = "spaceport-by-sam"
RUNTIME = "python3.12"  # of the template: sam builds with this interpreter and no other
# Of targets.md: our own code in a function, and the layer, zipped.
FUNCTION_LIMIT, LAYER_LIMIT = 50_000, 15_000_000
SOURCES = ("template.yaml", "samconfig.toml", "functions", "layer", "spaceport", "statemachine")


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


def runtime_folder() -> Path:
    """The folder of a working interpreter of the template's runtime: on PATH, else one of pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    on_path = shutil.which(RUNTIME)
    candidates = [Path(on_path)] if on_path else []
    candidates += sorted(pyenv.glob(f"versions/{RUNTIME.removeprefix('python')}*/bin/{RUNTIME}"))
    for python in candidates:
        # pyenv's own shim is on PATH even where the version is not active: it must run.
        if (
            subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode
            == 0
        ):
            return python.parent
    pytest.skip(f"`sam build` needs {RUNTIME} with pip, on PATH or in {pyenv}/versions: install it")


@pytest.fixture(scope="module")
def checkout(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is built, so that the build's output is nobody else's."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in SOURCES:
        source = repository / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    return copy


@pytest.fixture(scope="module")
def built(sam: Path, checkout: Path) -> Path:
    """`sam build`'s output."""
    run(sam, checkout, "build")
    return checkout / ".aws-sam" / "build"


def run(sam: Path, checkout: Path, *words: str, **environment: str) -> None:
    """Run a sam command in the checkout; its whole output where it fails."""
    done = subprocess.run(
        [sam, *words],
        cwd=checkout,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            # The layer's Makefile says `python3`: here too that of the runtime.
            "PATH": f"{runtime_folder()}{os.pathsep}{os.environ['PATH']}",
            "SAM_CLI_TELEMETRY": "0",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "NO_PROXY": HOST,
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"sam {words[0]}:\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def deployed(
    sam: Path, built: Path, checkout: Path, repository: Path, tmp_path_factory, stubs, stack_of
) -> Any:
    """The stack that `sam deploy` made on a fresh engine; its roles may do only what they must."""
    folder = DataFolder(tmp_path_factory.mktemp("engine"))
    launcher = Launcher(folder, repository, options=[*stubs.options, "--enforce-iam"])
    endpoint = launcher.start()
    try:
        run(
            *(sam, checkout, "deploy", "--stack-name", STACK),
            *("--no-confirm-changeset", "--no-progressbar"),
            AWS_ENDPOINT_URL=endpoint.url,
        )
        yield stack_of(SamCloud(endpoint))
    finally:
        launcher.stop()


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
