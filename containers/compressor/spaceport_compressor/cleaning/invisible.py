"""Gaussians that no renderer draws, however near: taking them away changes no picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spaceport_render.gaussians import Gaussians
from spaceport_render.numba_rasterizer import ALPHA_CUT


def invisible(gaussians: Gaussians) -> NDArray[np.bool_]:
    """Which Gaussians (N,) are fainter than the alpha below which renderers draw nothing, even in the middle.

    1/255 is the cut of Inria's rasterizer, of gsplat's, of PlayCanvas's viewers, and of ours.
    """
    return ~(gaussians.opacities >= ALPHA_CUT)
