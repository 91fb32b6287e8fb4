"""Lambda functions run in the Python of their runtime; MiniStack runs all of them in its own."""

from __future__ import annotations

from ministack.core import lambda_runtime

from spaceport_local.interpreters import choose_interpreter
from spaceport_local.patches.seams import Seam

SEAMS = (Seam("core.lambda_runtime:_detect_runtime_binary", "222e200df2c0"),)


def install() -> None:
    detect = lambda_runtime._detect_runtime_binary

    def detect_for_version(runtime: str) -> tuple[str, str]:
        if not runtime.startswith("python"):
            binary, script = detect(runtime)
            return binary, script
        return str(choose_interpreter(runtime).path), lambda_runtime._PYTHON_WORKER_SCRIPT

    lambda_runtime._detect_runtime_binary = detect_for_version
