"""Base colour and opacity: the constant harmonic through a codebook, opacity as the alpha channel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spaceport_compressor.sog.codebook import Codebook, fit_codebook
from spaceport_compressor.sog.format import CodedMeta
from spaceport_compressor.sog.images import Texels
from spaceport_compressor.sog.quantisation import Leeway, choose_levels

FILES = ("sh0.webp",)
STEPS = 255
GREEN = 1
# The logit of 0 and 1 is infinite; the reference reader clamps at the same distance.
CLAMP = 1e-6


def pack_color(
    base: NDArray[np.float32],
    opacities: NDArray[np.float32],
    color_leeway: Leeway | None = None,
    opacity_leeway: Leeway | None = None,
) -> tuple[CodedMeta, Texels]:
    """The texels of the constant harmonics `base` (N, 3) and the `opacities` (N,), 0..1.

    Args:
        color_leeway, opacity_leeway: (N, 3) and (N, 1); None: the nearest codes.
    """
    codebook = fit_codebook(base)
    texels = np.empty((len(base), 4), dtype=np.uint8)
    texels[:, :3] = choose_levels(base, codebook.levels, color_leeway, first=GREEN)
    texels[:, 3:] = choose_levels(opacities[:, None], np.arange(STEPS + 1) / STEPS, opacity_leeway)
    return CodedMeta(codebook=codebook.listed(), files=FILES), texels


def unpack_color(meta: CodedMeta, texels: Texels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The constant harmonics, (N, 3), and the opacities before the sigmoid, (N,)."""
    base = Codebook(np.array(meta.codebook)).decode(texels[:, :3])
    opacities = (texels[:, 3] / STEPS).clip(CLAMP, 1 - CLAMP)
    return base, np.log(opacities / (1 - opacities)).astype(np.float32)
