"""Sizes: the logs of the three standard deviations, through one codebook."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spaceport_compressor.sog.codebook import Codebook, fit_codebook
from spaceport_compressor.sog.format import CodedMeta
from spaceport_compressor.sog.images import Texels, opaque
from spaceport_compressor.sog.quantisation import Leeway, choose_levels

FILES = ("scales.webp",)


def pack_scales(log_scales: NDArray[np.float32], leeway: Leeway | None = None) -> tuple[CodedMeta, Texels]:
    """The texels of `log_scales` (N, 3), natural logs of metres; `leeway` None: the nearest levels."""
    codebook = fit_codebook(log_scales)
    codes = choose_levels(log_scales, codebook.levels, leeway)
    return CodedMeta(codebook=codebook.listed(), files=FILES), opaque(*codes.T)


def unpack_scales(meta: CodedMeta, texels: Texels) -> NDArray[np.float32]:
    """Natural logs of metres, (N, 3)."""
    return Codebook(np.array(meta.codebook)).decode(texels[:, :3])
