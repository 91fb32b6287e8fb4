"""A palette of vectors by two-level k-means: thousands of entries at the price of a few dozen.

Flat k-means with K entries costs N·K·D a pass. Here about √K coarse cells are found first, then each
cell gets its share of the K entries and is clustered by itself, so a pass costs about N·2√K·D.
Passes at the end let vectors change to entries of the cells around theirs, where the model is small
enough for that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from spaceport_compressor.sog.nearest import CpuSearch, Errors, Indices, Rows, Vectors, search_in
from spaceport_compressor.sog.pieces import pieces
from spaceport_render.kernel import kernel

Weights = NDArray[np.float32]

COARSE_SAMPLE = 65_536  # vectors that place the coarse cells: hundreds for each, more change nothing
PASSES = 8  # Lloyd passes a level; the error falls by under 1 % a pass after that
# Finishing passes look for a vector's entry in this many cells. Measured on 300K Gaussians and 3,712 entries:
# three passes cut the squared error by 4 %; with 4 cells 2.5 %, with all 6 % in eight times the time.
NEIGHBOURS = 8
FINISHING_PASSES = 3
FINISHING_WORK = 1e11  # multiplications up to which they are made: two seconds on two cores


@dataclass(frozen=True)
class Palette:
    """`entries` (K, D) float32, and for each of the N vectors the index of its entry, `labels` (N,)."""

    entries: Vectors
    labels: Indices


def build_palette(vectors: Rows, size: int, weights: Weights | None = None, seed: int = 0) -> Palette:
    """A palette of at most `size` entries for `vectors` (N, D), the same for the same seed.

    Every entry is used by at least one vector; with N ≤ `size` the palette holds each distinct vector.
    Beside the vectors it takes a few dozen bytes of memory for each, and asks for a cell of them at a time.

    Args:
        weights: (N,) above 0, how much each vector's squared error counts; None: all alike.
    """
    if len(vectors) <= size:
        entries, labels = np.unique(vectors[np.arange(len(vectors))], axis=0, return_inverse=True)
        return Palette(entries, labels.reshape(-1))
    if weights is None:
        weights = np.ones(len(vectors), dtype=np.float32)
    return _drop_unused(_Clustering(vectors, weights).run(size, np.random.default_rng(seed)))


@dataclass(frozen=True)
class _Cells:
    """Coarse cells: `centres` (C, D), and for each the indices of its vectors and their weighted error."""

    centres: Vectors
    members: list[Indices]
    errors: list[float]


@dataclass(frozen=True)
class _Clustering:
    """What stays the same from step to step."""

    vectors: Rows
    weights: Weights

    def run(self, size: int, rng: np.random.Generator) -> Palette:
        cells = self._coarse_cells(max(1, round(size**0.5)), rng)
        shares = _shares(size, [len(members) for members in cells.members], cells.errors)
        entries, labels = [], np.empty(len(self.vectors), dtype=np.intp)
        used = 0
        for members, share in zip(cells.members, shares, strict=True):
            own = self.vectors[members]
            fine = _lloyd(own, self.weights[members], own[rng.choice(len(own), share, replace=False)])
            entries.append(fine.entries)
            labels[members] = used + fine.labels
            used += share
        return self._finish(cells, Palette(np.concatenate(entries), labels))

    def _coarse_cells(self, count: int, rng: np.random.Generator) -> _Cells:
        everything = np.arange(len(self.vectors))
        sample = everything
        if len(sample) > COARSE_SAMPLE:
            sample = np.sort(rng.choice(len(self.vectors), COARSE_SAMPLE, replace=False))
        sampled = self.vectors[sample]
        start = sampled[rng.choice(len(sampled), min(count, len(sampled)), replace=False)]
        centres = _lloyd(sampled, self.weights[sample], start).entries
        labels, errors = np.empty(len(everything), np.intp), np.empty(len(everything), np.float32)
        for piece in pieces(len(everything)):
            labels[piece], errors[piece] = search_in(self.vectors[everything[piece]]).nearest(centres)
        order = np.argsort(labels, kind="stable")
        members = np.split(order, np.searchsorted(labels[order], np.arange(1, len(centres))))
        errors *= self.weights
        used = [cell for cell, its in enumerate(members) if len(its)]
        return _Cells(
            centres[used],
            [members[cell] for cell in used],
            [float(errors[members[cell]].sum(dtype=np.float64)) for cell in used],
        )

    def _finish(self, cells: _Cells, palette: Palette) -> Palette:
        """Lloyd passes in which a vector can change to any entry of the cells around its own."""
        entries, labels = palette.entries, palette.labels.copy()
        around = min(NEIGHBOURS, len(cells.centres))
        work = len(labels) * entries.size * around / len(cells.centres)
        passes = min(FINISHING_PASSES, int(FINISHING_WORK / work))
        if passes == 0:
            return palette
        near = np.argsort(cdist(cells.centres, cells.centres), axis=1, kind="stable")[:, :around]
        errors = np.empty(len(labels), dtype=np.float32)
        for last in [False] * passes + [True]:
            homes, _ = CpuSearch(entries).nearest(cells.centres)
            means = _Means(entries.shape)
            for members, cells_near in zip(cells.members, near, strict=True):
                own = self.vectors[members]
                # With their present entries, wherever those have moved to.
                candidates = np.union1d(np.flatnonzero(np.isin(homes, cells_near)), labels[members])
                found, errors[members] = search_in(own).nearest(entries[candidates])
                labels[members] = candidates[found]
                means.add(own, self.weights[members], labels[members])
            if not last:
                entries = means.told(self.vectors, errors * self.weights)
        return Palette(entries, labels)


def _lloyd(vectors: Vectors, weights: Weights, start: Vectors) -> Palette:
    """Lloyd's algorithm from the entries `start`."""
    entries, search = start, search_in(vectors)
    for _ in range(PASSES):
        labels, errors = search.nearest(entries)
        means = _Means(entries.shape)
        means.add(vectors, weights, labels)
        entries = means.told(vectors, errors * weights)
    return Palette(entries, search.nearest(entries)[0])


class _Means:
    """The weighted means of the vectors that took each of some entries (K, D), added up part by part."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._sums, self._totals = np.zeros(shape), np.zeros(shape[0])

    def add(self, vectors: Vectors, weights: Weights, labels: Indices) -> None:
        """`vectors` (M, D), of which each took the entry that `labels` (M,) tells."""
        _add_up(vectors, weights, labels, self._sums, self._totals)

    def told(self, vectors: Rows, costs: Errors) -> Vectors:
        """The entries; one that lost all its vectors moves to that of `vectors` which costs most."""
        entries = (self._sums / np.where(self._totals > 0, self._totals, 1)[:, None]).astype(np.float32)
        empty = np.flatnonzero(self._totals == 0)
        if len(empty):
            entries[empty] = vectors[np.argsort(-costs, kind="stable")[: len(empty)]]
        return entries


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


@kernel()
def _add_up(vectors, weights, labels, sums, totals):
    """Adds each vector times its weight to its entry's row of `sums`, and the weight to `totals`."""
    dimensions = vectors.shape[1]
    for i in range(len(vectors)):
        label = labels[i]
        totals[label] += weights[i]
        for d in range(dimensions):
            sums[label, d] += weights[i] * vectors[i, d]


def _drop_unused(palette: Palette) -> Palette:
    used, labels = np.unique(palette.labels, return_inverse=True)
    return Palette(palette.entries[used], labels.reshape(-1))
