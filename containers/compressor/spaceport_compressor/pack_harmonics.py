"""View-dependent colour: a palette of whole coefficient vectors, and a 16-bit label for each Gaussian."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spaceport_compressor.codebook import Codebook, fit_codebook
from spaceport_compressor.kmeans import build_palette
from spaceport_compressor.sog_format import HarmonicsMeta
from spaceport_compressor.sog_images import OPAQUE, Picture, Texels, opaque

FILES = ("shN_centroids.webp", "shN_labels.webp")
ROW = 64  # palette entries in a row of the centroids' image
LARGEST_PALETTE = 65_536  # what a 16-bit label can name


def palette_size(count: int) -> int:
    """How many palette entries suit `count` Gaussians.

    An entry of three bands costs about 40 bytes, so one for every 40 Gaussians adds about a byte to
    each; more buys little (measured: 300K Gaussians, 4K entries 44.1 dB, 64K entries 46.5 dB and 9
    bytes more a Gaussian). Whole rows of the image, and never more than the labels can name.
    """
    rows = math.ceil(count / 40 / ROW)
    return min(LARGEST_PALETTE, rows * ROW)


def pack_harmonics(
    rest: NDArray[np.float32], size: int, seed: int = 0
) -> tuple[HarmonicsMeta, tuple[Picture, Texels]]:
    """The palette's picture and the label texels of `rest` (N, C, 3), C = 3, 8 or 15 coefficients.

    Args:
        rest: the harmonics above the constant one.
        size: entries at most.
        seed: of the clustering.
    """
    count, coefficients, _ = rest.shape
    palette = build_palette(rest.reshape(count, -1), size, seed)
    codebook = fit_codebook(palette.entries)
    entries = len(palette.entries)
    picture = np.zeros((math.ceil(entries / ROW) * ROW, coefficients, 4), dtype=np.uint8)
    picture[..., 3] = OPAQUE
    picture[:entries, :, :3] = codebook.encode(palette.entries).reshape(entries, coefficients, 3)
    meta = HarmonicsMeta(
        count=entries,
        bands=math.isqrt(coefficients + 1) - 1,
        codebook=codebook.levels.tolist(),
        files=FILES,
    )
    labels = palette.labels.astype(np.uint16)
    texels = opaque((labels & 0xFF).astype(np.uint8), (labels >> 8).astype(np.uint8))
    return meta, (picture.reshape(-1, ROW * coefficients, 4), texels)


def unpack_harmonics(meta: HarmonicsMeta, picture: Picture, texels: Texels) -> NDArray[np.float32]:
    """The harmonics above the constant one, (N, C, 3). Raises ValueError where sizes or labels don't fit."""
    coefficients = (meta.bands + 1) ** 2 - 1
    height, width, _ = picture.shape
    if width != ROW * coefficients or height * ROW < meta.count:
        raise ValueError(f"the palette's image is {width}x{height} texels, too few for {meta.count} entries")
    labels = texels[:, 0].astype(np.intp) | (texels[:, 1].astype(np.intp) << 8)
    if labels.max() >= meta.count:
        raise ValueError(f"a label names entry {labels.max()} of {meta.count}")
    entries = picture.reshape(-1, coefficients, 4)[: meta.count, :, :3]
    return Codebook(np.array(meta.codebook)).decode(entries)[labels]
