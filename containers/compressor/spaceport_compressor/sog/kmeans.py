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

from spaceport_compressor.sog.nearest import Errors, Indices, NumbaSearch, Search, Vectors, search_in
from spaceport_render.kernel import kernel

Weights = NDArray[np.float32]

COARSE_SAMPLE = 65_536  # vectors that place the coarse cells: hundreds for each, more change nothing
PASSES = 8  # Lloyd passes a level; the error falls by under 1 % a pass after that
# Finishing passes look for a vector's entry in this many cells. Measured on 300K Gaussians and 3,712 entries:
# three passes cut the squared error by 4 % in half a second; with 4 cells 2.5 %, with all 6 % in 4 s.
NEIGHBOURS = 8
FINISHING_PASSES = 3
FINISHING_WORK = 1e11  # multiplications up to which they are made: five seconds on two cores


@dataclass(frozen=True)
class Palette:
    """`entries` (K, D) float32, and for each of the N vectors the index of its entry, `labels` (N,)."""

    entries: Vectors
    labels: Indices


def build_palette(vectors: Vectors, size: int, weights: Weights | None = None, seed: int = 0) -> Palette:
    """A palette of at most `size` entries for `vectors` (N, D), the same for the same seed.

    Every entry is used by at least one vector; with N ≤ `size` the palette holds each distinct vector.
    Beside the vectors it takes a few dozen bytes of memory for each.

    Args:
        weights: (N,) above 0, how much each vector's squared error counts; None: all alike.
    """
    if len(vectors) <= size:
        entries, labels = np.unique(vectors, axis=0, return_inverse=True)
        return Palette(entries, labels.reshape(-1))
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if weights is None:
        weights = np.ones(len(vectors), dtype=np.float32)
    clustering = _Clustering(vectors, weights, search_in(vectors))
    return _drop_unused(clustering.run(size, np.random.default_rng(seed)))


@dataclass(frozen=True)
class _Cells:
    """Coarse cells: `centres` (C, D), and for each the indices of its vectors and their weighted error."""

    centres: Vectors
    members: list[Indices]
    errors: list[float]


@dataclass(frozen=True)
class _Clustering:
    """What stays the same from step to step."""

    vectors: Vectors
    weights: Weights
    search: Search

    def run(self, size: int, rng: np.random.Generator) -> Palette:
        cells = self._coarse_cells(max(1, round(size**0.5)), rng)
        shares = _shares(size, [len(members) for members in cells.members], cells.errors)
        entries, labels = [], np.empty(len(self.vectors), dtype=np.intp)
        used = 0
        for members, share in zip(cells.members, shares, strict=True):
            start = self.vectors[members[rng.choice(len(members), share, replace=False)]]
            fine = self._lloyd(members, start)
            entries.append(fine.entries)
            labels[members] = used + fine.labels
            used += share
        return self._finish(cells, Palette(np.concatenate(entries), labels))

    def _coarse_cells(self, count: int, rng: np.random.Generator) -> _Cells:
        everything = np.arange(len(self.vectors))
        sample = everything
        if len(sample) > COARSE_SAMPLE:
            sample = np.sort(rng.choice(len(self.vectors), COARSE_SAMPLE, replace=False))
        start = self.vectors[rng.choice(sample, min(count, len(sample)), replace=False)]
        centres = self._lloyd(sample, start).entries
        labels, errors = self.search.nearest(everything, centres)
        order = np.argsort(labels, kind="stable")
        members = np.split(order, np.searchsorted(labels[order], np.arange(1, len(centres))))
        errors *= self.weights
        used = [cell for cell, its in enumerate(members) if len(its)]
        return _Cells(
            centres[used],
            [members[cell] for cell in used],
            [float(errors[members[cell]].sum(dtype=np.float64)) for cell in used],
        )

    def _lloyd(self, members: Indices, start: Vectors) -> Palette:
        """Lloyd's algorithm on the vectors at `members`."""
        entries = start
        for _ in range(PASSES):
            labels, errors = self.search.nearest(members, entries)
            entries = self._means(members, labels, errors, len(entries))
        return Palette(entries, self.search.nearest(members, entries)[0])

    def _finish(self, cells: _Cells, palette: Palette) -> Palette:
        """Lloyd passes in which a vector can change to any entry of the cells around its own."""
        entries, labels = palette.entries, palette.labels.copy()
        around = min(NEIGHBOURS, len(cells.centres))
        work = self.vectors.size * len(entries) * around / len(cells.centres)
        passes = min(FINISHING_PASSES, int(FINISHING_WORK / work))
        if passes == 0:
            return palette
        near = np.argsort(cdist(cells.centres, cells.centres), axis=1, kind="stable")[:, :around]
        everything = np.arange(len(self.vectors))
        errors = np.empty(len(labels), dtype=np.float32)
        for last in [False] * passes + [True]:
            homes, _ = NumbaSearch(entries).nearest(np.arange(len(entries)), cells.centres)
            for members, cells_near in zip(cells.members, near, strict=True):
                # With their present entries, wherever those have moved to.
                candidates = np.union1d(np.flatnonzero(np.isin(homes, cells_near)), labels[members])
                found, errors[members] = self.search.nearest(members, entries[candidates])
                labels[members] = candidates[found]
            if not last:
                entries = self._means(everything, labels, errors, len(entries))
        return Palette(entries, labels)

    def _means(self, members: Indices, labels: Indices, errors: Errors, count: int) -> Vectors:
        """The weighted means of the vectors that took each of `count` entries; an entry that lost all its
        vectors moves to the one that fits worst.
        """
        sums, totals = np.zeros((count, self.vectors.shape[1])), np.zeros(count)
        _add_up(self.vectors, self.weights, members, labels, sums, totals)
        entries = (sums / np.where(totals > 0, totals, 1)[:, None]).astype(np.float32)
        empty = np.flatnonzero(totals == 0)
        if len(empty):
            worst = np.argsort(-errors * self.weights[members], kind="stable")[: len(empty)]
            entries[empty] = self.vectors[members[worst]]
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
def _add_up(vectors, weights, members, labels, sums, totals):  # noqa: PLR0917 - as kernels go
    """Adds each member's vector times its weight to its entry's row of `sums`, and the weight to `totals`."""
    dimensions = vectors.shape[1]
    for i in range(len(members)):
        label, member = labels[i], members[i]
        weight = weights[member]
        totals[label] += weight
        for d in range(dimensions):
            sums[label, d] += weight * vectors[member, d]


def _drop_unused(palette: Palette) -> Palette:
    used, labels = np.unique(palette.labels, return_inverse=True)
    return Palette(palette.entries[used], labels.reshape(-1))
