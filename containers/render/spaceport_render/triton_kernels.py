"""Whether Triton's kernels can be used.

Modules named `triton_...` hold the kernels, import Triton, and must be imported only where this says so. Each
kernel is compiled on first use, in a quarter to half a second, and kept on disk (`TRITON_CACHE_DIR`).
"""

from __future__ import annotations

import importlib.util
import logging
from functools import cache

import torch

logger = logging.getLogger(__name__)


def usable_on(device: torch.device) -> bool:
    """Whether to use them for tensors on `device`. torch brings Triton along with CUDA, and only then."""
    return device.type == "cuda" and _is_building(device)


@cache
def _is_building(device: torch.device) -> bool:
    """Whether Triton builds kernels here: it needs a C compiler, Python's headers, and a GPU since sm_75."""
    if importlib.util.find_spec("triton") is None:
        return False
    try:
        from spaceport_render.triton_photometric import Weights, photometric_loss  # noqa: PLC0415

        pixel = torch.zeros(1, 1, 3, device=device)
        photometric_loss(pixel, pixel, Weights(1.0, 0.0, 0.0))
    except Exception as error:  # whatever is missing: all that is lost is speed
        logger.warning("Triton builds no kernels here (%s): torch's are used, which are slower", error)
        return False
    return True
