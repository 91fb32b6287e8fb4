"""Which Python runs the Lambda functions.

On AWS they find their dependencies in the layer, built for the template's runtime. Here the layer is left
out: an interpreter of the same version that has the dependencies installed runs them, else our own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from spaceport.errors import UserError

# What the layer brings on AWS, and boto3, which is part of AWS's runtimes.
DEPENDENCIES = ("spaceport", "boto3", "pydantic", "aws_lambda_powertools")
PROBE_TIMEOUT_S = 20.0  # a cold import of boto3 on a busy two-core machine takes a few seconds


@dataclass(frozen=True)
class Interpreter:
    """A Python that has the functions' dependencies; `exact` when its version is the runtime's."""

    path: Path
    version: str
    exact: bool


@cache
def choose_interpreter(runtime: str) -> Interpreter:
    """The interpreter for functions of `runtime` (`python3.12`).

    Raises:
        UserError: `no_interpreter`, when no Python here can import what the functions need.
    """
    wanted = runtime.removeprefix("python")
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if own != wanted:
        for path in _candidates(runtime):
            if can_import(path, wanted):
                return Interpreter(path, wanted, exact=True)
    if can_import(Path(sys.executable), own):
        return Interpreter(Path(sys.executable), own, exact=own == wanted)
    raise UserError(
        "no_interpreter",
        f"Neither {runtime} nor {sys.executable} can import {', '.join(DEPENDENCIES)}.",
        "Run `make setup`, or install the extras: pip install -e '.[functions,local]'.",
    )


def can_import(python: Path, version: str, modules: Iterable[str] = DEPENDENCIES) -> bool:
    """Whether `python` runs, is of `version` (`3.12`) and imports `modules`. A pyenv shim may not run."""
    source = f"import sys, {', '.join(modules)}; sys.exit('%d.%d' % sys.version_info[:2] != {version!r})"
    try:
        probe = subprocess.run(
            [python, "-c", source], capture_output=True, timeout=PROBE_TIMEOUT_S, cwd="/", check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return probe.returncode == 0


def _candidates(runtime: str) -> list[Path]:
    beside = Path(sys.executable).with_name(runtime)
    on_path = shutil.which(runtime)
    return [path for path in (beside, Path(on_path) if on_path else None) if path and path.exists()]
