"""Lambda functions run in the Python of their runtime; MiniStack runs all of them in its own.

Where that Python is not installed another one runs them, and their layers are left out: a layer's compiled
libraries are the runtime's. Whatever Python runs them has what the layer brings (`interpreters.py`).
"""

from __future__ import annotations

from typing import Any

from ministack.core import lambda_runtime

from spaceport_local.interpreters import choose_interpreter
from spaceport_local.patches.seams import Seam

SEAMS = (
    Seam("core.lambda_runtime:_detect_runtime_binary", "222e200df2c0"),
    Seam("core.lambda_runtime:Worker.__init__", "9f537cd431cf"),
)
PYTHON = "python"


def install() -> None:
    detect, make_worker = lambda_runtime._detect_runtime_binary, lambda_runtime.Worker.__init__

    def detect_for_version(runtime: str) -> tuple[str, str]:
        if not runtime.startswith(PYTHON):
            binary, script = detect(runtime)
            return binary, script
        return str(choose_interpreter(runtime).path), lambda_runtime._PYTHON_WORKER_SCRIPT

    def make_worker_without_foreign_layers(
        self: Any, name: str, config: dict[str, Any], *rest: Any, **options: Any
    ) -> None:
        runtime = config.get("Runtime") or ""
        if runtime.startswith(PYTHON) and not choose_interpreter(runtime).exact:
            config = {key: value for key, value in config.items() if key != "Layers"}
        make_worker(self, name, config, *rest, **options)

    lambda_runtime._detect_runtime_binary = detect_for_version
    lambda_runtime.Worker.__init__ = make_worker_without_foreign_layers
