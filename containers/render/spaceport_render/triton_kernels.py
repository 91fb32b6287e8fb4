"""Whether Triton's kernels can be used.

Each is compiled on first use, in a quarter to half a second, and kept on disk (`TRITON_CACHE_DIR`).

Modules named `triton_...` hold the kernels, import Triton, and must be imported only where this says so.
"""

from __future__ import annotations

import importlib.util
from functools import cache

import torch


def usable_on(device: torch.device) -> bool:
    """Whether to use them for tensors on `device`. torch brings Triton along with CUDA, and only then."""
    return device.type == "cuda" and is_installed()


@cache
def is_installed() -> bool:
    return importlib.util.find_spec("triton") is not None
