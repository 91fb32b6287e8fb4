"""View-dependent colour: a palette of whole coefficient vectors, and a 16-bit label for each Gaussian."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spaceport_compressor.sog.codebook import Codebook, fit_codebook
from spaceport_compressor.sog.format import HarmonicsMeta
from spaceport_compressor.sog.images import OPAQUE, Picture, Texels, opaque
from spaceport_compressor.sog.kmeans import Palette, build_palette
from spaceport_compressor.sog.quantisation import Leeway, choose_levels, choose_vectors

FILES = ("shN_centroids.webp", "shN_labels.webp")
ROW = 64  # palette entries in a row of the centroids' image
LARGEST_PALETTE = 65_536  # what a 16-bit label can name


def palette_size(count: int, gaussians_per_entry: float) -> int:
    """How many entries a palette for `count` Gaussians has: whole rows of its picture, at least one."""
    rows = math.ceil(count / gaussians_per_entry / ROW)
    return min(LARGEST_PALETTE, rows * ROW)


def cluster_harmonics(
    rest: NDArray[np.float32],
    size: int,
    metric: NDArray[np.float64],
    weights: NDArray[np.float32],
    seed: int = 0,
) -> Palette:
    """A palette of at most `size` entries for `rest` (N, C, 3), C = 3, 8 or 15: rows of C · 3 numbers.

    The entry that most Gaussians take comes first: the labels' high bytes are small, and many alike.

    Args:
        rest: the harmonics above the constant one.
        metric: (C, C) positive definite; the error of coefficients off by δ is δᵀ · metric · δ.
        weights: (N,) how much each Gaussian's error counts.
        seed: of the clustering.
    """
    factor = np.linalg.cholesky(metric / np.trace(metric))
    clustered = build_palette(_Straight(rest, factor), size, weights, seed)
    entries = clustered.entries.reshape(-1, 3, rest.shape[1]) @ np.linalg.inv(factor)
    order = np.argsort(-np.bincount(clustered.labels, minlength=len(entries)), kind="stable")
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order))
    rows = entries.transpose(0, 2, 1).astype(np.float32).reshape(len(entries), -1)
    return Palette(rows[order], ranks[clustered.labels])


def change_to_frequent(
    palette: Palette,
    rest: NDArray[np.float32],
    metric: NDArray[np.float64],
    weights: NDArray[np.float32],
    price: float,
) -> Palette:
    """`palette` with other labels where one of the most frequent entries is nearly as good, and saves bits.

    Args:
        rest, metric: as for `cluster_harmonics`.
        weights: (N,) what a squared error counts.
        price: what a bit costs.
    """
    factor = np.linalg.cholesky(metric)
    entries = _Straight(palette.entries.reshape(-1, *rest.shape[1:]), factor)
    everything = np.arange(len(palette.entries))
    labels = choose_vectors(_Straight(rest, factor), entries[everything], palette.labels, weights, price)
    return Palette(palette.entries, labels)


class _Straight:
    """Harmonics such that plain distances of the rows are those of a metric.

    They are worked out when they are asked for: all of a model's would take its memory again.
    """

    def __init__(self, rest: NDArray[np.float32], factor: NDArray[np.float64]) -> None:
        """Of `rest` (N, C, 3), for the metric L Lᵀ, `factor` L (C, C)."""
        self._rest, self._factor = rest, factor.astype(np.float32)

    def __len__(self) -> int:
        return len(self._rest)

    def __getitem__(self, chosen: NDArray[np.intp]) -> NDArray[np.float32]:
        """(M, 3 · C)."""
        straight: NDArray[np.float32] = self._rest[chosen].transpose(0, 2, 1) @ self._factor
        return straight.reshape(len(chosen), -1)


def pack_harmonics(
    palette: Palette, leeway: Leeway | None = None
) -> tuple[HarmonicsMeta, tuple[Picture, Texels]]:
    """The picture of `palette`, as `cluster_harmonics` leaves it, and the texels of its labels.

    Args:
        leeway: of the entries' numbers, (K, C · 3); None: the nearest levels.
    """
    length = len(palette.entries)
    coefficients = palette.entries.shape[1] // 3
    codebook = fit_codebook(palette.entries)
    # One column: an image's rows hold all coefficients side by side, and its channels hardly differ.
    flat = None if leeway is None else Leeway(_column(leeway.weights), _column(leeway.reach), leeway.price)
    codes = choose_levels(_column(palette.entries), codebook.levels, flat)
    picture = np.zeros((math.ceil(length / ROW) * ROW, coefficients, 4), dtype=np.uint8)
    picture[..., 3] = OPAQUE
    picture[:length, :, :3] = codes.reshape(length, coefficients, 3)
    meta = HarmonicsMeta(
        count=length,
        bands=math.isqrt(coefficients + 1) - 1,
        codebook=codebook.listed(),
        files=FILES,
    )
    labels = palette.labels.astype(np.uint16)
    texels = opaque((labels & 0xFF).astype(np.uint8), (labels >> 8).astype(np.uint8))
    return meta, (picture.reshape(-1, ROW * coefficients, 4), texels)


def _column(array: NDArray[np.float32]) -> NDArray[np.float32]:
    return array.reshape(-1, 1)


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
