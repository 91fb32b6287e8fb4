"""Sizes: the logs of the three standard deviations, through one codebook."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spaceport_compressor.sog.codebook import LISTED, Codebook, fit_codebook
from spaceport_compressor.sog.format import CodedMeta
from spaceport_compressor.sog.images import Texels, opaque

FILES = ("scales.webp",)


def pack_scales(log_scales: NDArray[np.float32], levels: int = LISTED) -> tuple[CodedMeta, Texels]:
    """The texels of `log_scales` (N, 3), natural logs of metres, in `levels` levels (256 at most)."""
    codebook = fit_codebook(log_scales, levels)
    return CodedMeta(codebook=codebook.listed(), files=FILES), opaque(*codebook.encode(log_scales).T)


def unpack_scales(meta: CodedMeta, texels: Texels) -> NDArray[np.float32]:
    """Natural logs of metres, (N, 3)."""
    return Codebook(np.array(meta.codebook)).decode(texels[:, :3])
