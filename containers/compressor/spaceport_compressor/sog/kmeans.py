"""A palette of vectors by two-level k-means: thousands of entries at the price of a few dozen.

Flat k-means with K entries costs N·K·D a pass. Here about √K coarse cells are found first, then each
cell gets its share of the K entries and is clustered by itself, so a pass costs about N·2√K·D.
Two flat passes at the end let vectors change cells, where the model is small enough for that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spaceport_render.kernel import kernel
from spaceport_render.threads import run_over

Vectors = NDArray[np.float32]
Weights = NDArray[np.float32]
Labels = NDArray[np.int64]

COARSE_SAMPLE = 65_536  # vectors that place the coarse cells: hundreds for each, more change nothing
PASSES = 8  # Lloyd passes a level; the error falls by under 1 % a pass after that
FINISHING_PASSES = 2  # worth 0.4 dB on a real model of 40K Gaussians; more is worth little
FINISHING_WORK = 4e10  # multiplications N·K·D up to which these are made: seconds on two cores
F = np.float32


@dataclass(frozen=True)
class Palette:
    """`entries` (K, D) float32, and for each of the N vectors the index of its entry, `labels` (N,)."""

    entries: Vectors
    labels: Labels


def build_palette(vectors: Vectors, size: int, weights: Weights | None = None, seed: int = 0) -> Palette:
    """A palette of at most `size` entries for `vectors` (N, D), the same for the same seed.

    Every entry is used by at least one vector; with N ≤ `size` the palette holds each distinct vector.

    Args:
        weights: (N,) above 0, how much each vector's squared error counts; None: all alike.
    """
    if len(vectors) <= size:
        entries, labels = np.unique(vectors, axis=0, return_inverse=True)
        return Palette(entries, labels.reshape(-1))
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if weights is None:
        weights = np.ones(len(vectors), dtype=np.float32)
    rng = np.random.default_rng(seed)
    coarse = _coarse_cells(vectors, weights, max(1, round(size**0.5)), rng)
    order = np.argsort(coarse.labels, kind="stable")
    members = np.split(order, np.searchsorted(coarse.labels[order], np.arange(1, len(coarse.entries))))
    errors = weights * ((vectors - coarse.entries[coarse.labels]) ** 2).sum(axis=1)
    shares = _shares(size, [len(m) for m in members], [float(errors[m].sum()) for m in members])

    cells: list[Vectors] = []
    labels = np.empty(len(vectors), dtype=np.int64)
    used = 0
    for cell, share in zip(members, shares, strict=True):
        if len(cell) == 0:
            continue
        start = vectors[cell[rng.choice(len(cell), share, replace=False)]]
        fine = _lloyd(vectors[cell], weights[cell], start)
        cells.append(fine.entries)
        labels[cell] = used + fine.labels
        used += share
    palette = Palette(np.concatenate(cells), labels)
    if vectors.size * len(palette.entries) <= FINISHING_WORK:
        palette = _lloyd(vectors, weights, palette.entries, FINISHING_PASSES)
    return _drop_unused(palette)


def _coarse_cells(vectors: Vectors, weights: Weights, cells: int, rng: np.random.Generator) -> Palette:
    sample = np.arange(len(vectors))
    if len(vectors) > COARSE_SAMPLE:
        sample = rng.choice(len(vectors), COARSE_SAMPLE, replace=False)
    start = vectors[rng.choice(sample, min(cells, len(sample)), replace=False)]
    entries = _lloyd(vectors[sample], weights[sample], start).entries
    return Palette(entries, _nearest(vectors, entries)[0])


def _shares(size: int, counts: list[int], errors: list[float]) -> list[int]:
    """How many of `size` entries each cell gets: in proportion to the root of its squared error, which
    lies between all for the worst cells and the same for each; at least one, at most one a member.
    """
    room = np.array(counts)
    weight = np.sqrt(np.array(errors)) + 1e-12
    shares = np.minimum(np.maximum(1, np.floor(weight / weight.sum() * size).astype(np.intp)), room)
    for cell in np.argsort(-shares, kind="stable"):
        # Cells raised to one entry may have overdrawn: the richest pay.
        excess = int(shares.sum()) - size
        if excess <= 0:
            break
        shares[cell] -= min(excess, int(shares[cell]) - 1)
    return [int(share) for share in shares]


def _lloyd(vectors: Vectors, weights: Weights, start: Vectors, passes: int = PASSES) -> Palette:
    """Lloyd's algorithm; an entry that lost all its vectors moves to the one that fits worst."""
    entries = start
    for _ in range(passes):
        labels, errors = _nearest(vectors, entries)
        sums, totals = np.zeros(entries.shape), np.zeros(len(entries))
        _add_up(vectors, weights, labels, sums, totals)
        entries = (sums / np.where(totals > 0, totals, 1)[:, None]).astype(np.float32)
        empty = np.flatnonzero(totals == 0)
        entries[empty] = vectors[np.argsort(-errors * weights, kind="stable")[: len(empty)]]
    return Palette(entries, _nearest(vectors, entries)[0])


def _nearest(vectors: Vectors, entries: Vectors) -> tuple[Labels, Weights]:
    """For each vector the nearest entry's index, and the squared distance to it."""
    labels = np.empty(len(vectors), dtype=np.int64)
    errors = np.empty(len(vectors), dtype=np.float32)
    run_over(len(vectors), _find_nearest, vectors, np.ascontiguousarray(entries.T), labels, errors)
    return labels, errors


@kernel()
def _find_nearest(first, end, vectors, columns, labels, errors):  # noqa: PLR0917 - as kernels go
    """Fills `labels` and `errors` of vectors `first` to `end`; `columns` are the entries, transposed."""
    dimensions, count = columns.shape
    distances = np.empty(count, np.float32)
    for i in range(first, end):
        distances[:] = F(0)
        for d in range(dimensions):
            value = vectors[i, d]
            for k in range(count):  # the long loop inside: it vectorises
                difference = columns[d, k] - value
                distances[k] += difference * difference
        best = 0
        for k in range(1, count):
            if distances[k] < distances[best]:
                best = k
        labels[i] = best
        errors[i] = distances[best]


@kernel()
def _add_up(vectors, weights, labels, sums, totals):
    """Adds each vector times its weight to its entry's row of `sums`, and the weight to `totals`."""
    count, dimensions = vectors.shape
    for i in range(count):
        label, weight = labels[i], weights[i]
        totals[label] += weight
        for d in range(dimensions):
            sums[label, d] += weight * vectors[i, d]


def _drop_unused(palette: Palette) -> Palette:
    used, labels = np.unique(palette.labels, return_inverse=True)
    return Palette(palette.entries[used], labels.reshape(-1))
