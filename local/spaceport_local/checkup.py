"""What the local cloud needs of this machine: each thing checked, with the way to mend it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from spaceport.errors import UserError
from spaceport_local.deploy import Deployment, interpreter_line
from spaceport_local.engine import MINISTACK, require_ministack
from spaceport_local.folders import TEMPLATE, DataFolder
from spaceport_local.interpreters import choose_interpreter
from spaceport_local.launcher import Launcher
from spaceport_local.sagemaker.programs import viewer_folder
from spaceport_local.sagemaker.record import KINDS
from spaceport_local.template import read_template

PYTHONS = ((3, 11), (3, 14))  # as pyproject.toml's requires-python: from, and below
# The training of 20 photos at `preview` peaks at 0.8 GB, SfM at about as much; beside them runs the engine.
MEMORY_BYTES = 2_000_000_000
DISK_BYTES = 5_000_000_000  # a flight of some hundred photos is kept three times while its job runs
FILTERS_A_GROUP = 2  # CloudWatch Logs' quota
PROBE_TIMEOUT_S = 180.0  # a first import of torch from a cold disk takes a minute
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SETUP = "Run `make setup`."

# In processes of their own: MiniStack reads the environment when it is imported, and a package that
# crashes when imported must not take the doctor with it.
SEAMS_PROBE = """
from spaceport.errors import UserError
from spaceport_local import patches
try:
    patches.seams.check(patches.SEAMS)
    print(len(patches.SEAMS))
except UserError as error:
    raise SystemExit(error.message)
"""
PACKAGES = (
    "numpy",
    "PIL",
    "scipy",
    "numba",
    "pycolmap",
    "torch",
)  # numpy first: pycolmap brings its own zlib
PACKAGES_PROBE = f"""
import importlib, json
found = {{}}
for name in {PACKAGES!r}:
    try:
        found[name] = str(getattr(importlib.import_module(name), "__version__", "of unknown version"))
    except Exception as error:
        found[name] = None
        print(json.dumps([name, str(error)]))
cuda = None
if found["torch"]:
    import torch
    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else None
print(json.dumps({{"found": found, "cuda": cuda}}))
"""


@dataclass(frozen=True)
class Check:
    """One check. `passed` is None where nothing depends on it; `mend` is what to do, or empty."""

    name: str
    passed: bool | None
    told: str
    mend: str = ""


@dataclass(frozen=True)
class Checkup:
    """The checks of one project and the engine of one data folder."""

    project: Path
    folder: DataFolder
    launcher: Launcher
    parameters: Mapping[str, str] = field(default_factory=dict)  # of the stack, as it should be

    def run(self) -> Iterator[Check]:
        """Each check's outcome as soon as it is known; together they take some seconds."""
        yield check_python(sys.version_info[:3])
        yield check_memory(available_memory())
        yield check_disk(self.folder.root)
        yield _checked("ministack", SETUP, _ministack)
        yield check_patches()
        yield _checked("interpreter", SETUP, self._interpreters)
        yield _checked("viewer", SETUP, lambda: f"installed in {viewer_folder(self.project)}")
        yield from check_packages()
        yield from self._engine()
        yield check_browser()

    def _interpreters(self) -> str:
        runtimes = sorted(read_template(self.project / TEMPLATE).runtimes)
        return "; ".join(interpreter_line(runtime, choose_interpreter(runtime)) for runtime in runtimes)

    def _engine(self) -> Iterator[Check]:
        endpoint = self.launcher.running()
        if endpoint is None:
            yield Check("local cloud", None, "down", "`spaceport up` starts it.")
            return
        yield Check("local cloud", True, f"runs at {endpoint.url}, its data in {self.folder.root}")
        try:
            deployment = Deployment(endpoint, self.project / TEMPLATE, self.parameters)
            yield (
                Check("stack", True, "deployed, and as the checkout has it")
                if deployment.is_current()
                else Check("stack", None, "not as the checkout has it", "`spaceport up` deploys it anew.")
            )
            for kind in KINDS:
                yield check_filters(endpoint.client("logs"), kind.log_group)
        except (UserError, BotoCoreError, ClientError) as error:
            yield Check(
                "stack", False, f"can't be looked at: {error}", "`spaceport down`, then `spaceport up`."
            )


def _ministack() -> str:
    require_ministack()
    return f"version {MINISTACK}, as pinned"


def check_python(found: tuple[int, ...]) -> Check:
    lowest, above = PYTHONS
    told = ".".join(str(part) for part in found)
    if lowest <= found[:2] < above:
        return Check("python", True, f"{told} ({sys.executable})")
    return Check(
        "python", False, f"{told}; it takes 3.11 to 3.13", "rm -r .venv, then make setup PYTHON=python3.12"
    )


def check_memory(available: int | None) -> Check:
    """`available` in bytes, None where the system does not tell."""
    if available is None:
        return Check("memory", None, "this system does not tell how much is free")
    told = f"{available / 1e9:.1f} GB free, a small job takes {MEMORY_BYTES / 1e9:.0f}"
    if available >= MEMORY_BYTES:
        return Check("memory", True, told)
    return Check("memory", False, told, "Close other programs, or take a larger machine.")


def available_memory() -> int | None:
    """Bytes that programs can have without swapping, as Linux estimates it; None elsewhere."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in fields else None


def check_disk(folder: Path) -> Check:
    """The disk that `folder` is or will be on."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    told = f"{free / 1e9:.0f} GB free for {folder}"
    if free >= DISK_BYTES and os.access(there, os.W_OK):
        return Check("disk", True, told)
    if free >= DISK_BYTES:
        return Check("disk", False, f"{there} can't be written", "Name another folder by SPACEPORT_HOME.")
    return Check("disk", False, told, "Make room, or name a folder on another disk by SPACEPORT_HOME.")


def check_patches() -> Check:
    """Whether the emulator's code is what our patches were written for."""
    with tempfile.TemporaryDirectory() as scratch:
        settings = {
            "STATE_DIR": scratch,
            "S3_DATA_DIR": scratch,
            "DOCKER_HOST": f"unix://{scratch}/no-docker",
        }
        try:
            printed = _probe(SEAMS_PROBE, settings)
        except UserError as error:
            return Check("patches", False, str(error), SETUP)
    return Check("patches", True, f"{printed.strip()} places of the emulator are as our patches expect")


def check_packages() -> Iterator[Check]:
    """The job programs' packages by importing them, and what they find of a GPU."""
    try:
        *failures, last = _probe(PACKAGES_PROBE).splitlines()
        answer = json.loads(last)
    except (UserError, ValueError) as error:
        yield Check("job packages", False, f"they can't be imported: {error}", SETUP)
        return
    reasons = dict(json.loads(line) for line in failures if line.startswith("["))
    missing = [f"{name} ({reasons.get(name, '')})" for name, found in answer["found"].items() if not found]
    there = ", ".join(f"{name} {found}" for name, found in answer["found"].items() if found)
    if missing:
        yield Check("job packages", False, f"{'; '.join(missing)} can't be imported", SETUP)
    else:
        yield Check("job packages", True, there)
    yield check_cuda(answer["cuda"], _installed("gsplat"))


def check_cuda(device: str | None, gsplat: str | None) -> Check:
    """What there is of a GPU: the `device` that torch sees, and gsplat's version."""
    if device is None:
        return Check("cuda", None, "no device: jobs train on the CPU, for which the preset `preview` is made")
    if gsplat is None:
        return Check(
            "cuda", None, f"{device}, but gsplat is not installed", "pip install 'spaceport[cuda]' uses it."
        )
    return Check("cuda", True, f"{device}, with gsplat {gsplat}")


def check_filters(logs: Any, group: str) -> Check:
    """Whether the progress of `group`'s jobs is heard: a group takes few subscription filters."""
    name = group.rsplit("/", 1)[-1].removesuffix("Jobs").lower()
    try:
        filters = logs.describe_subscription_filters(logGroupName=group)["subscriptionFilters"]
    except logs.exceptions.ResourceNotFoundException:
        filters = []
    told = f"{name} jobs: {len(filters)} of at most {FILTERS_A_GROUP} subscription filters"
    if any("RecordProgress" in found["destinationArn"] for found in filters):
        return Check("progress", True, told)
    return Check(
        "progress", False, f"{told}, none of them ours", "Remove one that is not needed; `spaceport up`."
    )


def check_browser() -> Check:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        return Check("chromium", None, "not found; only the viewer's tests need it", "apt install chromium")
    return Check("chromium", True, f"{found}, for the viewer's tests")


def _checked(name: str, mend: str, look: Callable[[], str]) -> Check:
    """The outcome of a look that raises UserError, whose hint beats `mend`."""
    try:
        return Check(name, True, look())
    except UserError as error:
        return Check(name, False, error.message, error.hint or mend)


def _probe(source: str, settings: dict[str, str] | None = None) -> str:
    """What a Python program prints. Raises UserError `probe_failed` with the last that it said."""
    try:
        ended = subprocess.run(
            [sys.executable, "-c", source],
            env={**os.environ, **(settings or {})},
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UserError("probe_failed", f"No answer in {PROBE_TIMEOUT_S:.0f} s.") from error
    if ended.returncode:
        said = ended.stderr.strip().splitlines() or [f"it ended with exit code {ended.returncode}"]
        raise UserError("probe_failed", said[-1])
    return ended.stdout


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
