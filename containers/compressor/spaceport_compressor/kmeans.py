"""A palette of vectors by two-level k-means: thousands of entries at the price of a few dozen.

Flat k-means with K entries costs N·K·D a pass. Here about √K coarse cells are found first, then each
cell gets its share of the K entries and is clustered by itself, so a pass costs about N·2√K·D.
(Flat passes after that lower the error by 0.2 % and take three times as long: left out.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Labels = NDArray[np.intp]

COARSE_SAMPLE = 65_536  # vectors that place the coarse cells: hundreds for each, more change nothing
PASSES = 8  # Lloyd passes a level; the error falls by under 1 % a pass after that
CHUNK = 16_384  # vectors whose distances are held at once


@dataclass(frozen=True)
class Palette:
    """`entries` (K, D) float32, and for each of the N vectors the index of its entry, `labels` (N,)."""

    entries: Vectors
    labels: Labels


def build_palette(vectors: Vectors, size: int, seed: int = 0) -> Palette:
    """A palette of at most `size` entries for `vectors` (N, D), the same for the same seed.

    Every entry is used by at least one vector; with N ≤ `size` the palette holds each distinct vector.
    """
    if len(vectors) <= size:
        entries, labels = np.unique(vectors, axis=0, return_inverse=True)
        return Palette(entries, labels.reshape(-1))
    rng = np.random.default_rng(seed)
    coarse = _coarse_cells(vectors, max(1, round(size**0.5)), rng)
    order = np.argsort(coarse.labels, kind="stable")
    members = np.split(order, np.searchsorted(coarse.labels[order], np.arange(1, len(coarse.entries))))
    errors = ((vectors - coarse.entries[coarse.labels]) ** 2).sum(axis=1)
    shares = _shares(size, [len(m) for m in members], [float(errors[m].sum()) for m in members])

    entries: list[Vectors] = []
    labels = np.empty(len(vectors), dtype=np.intp)
    used = 0
    for cell, share in zip(members, shares, strict=True):
        if len(cell) == 0:
            continue
        start = vectors[cell[rng.choice(len(cell), share, replace=False)]]
        fine = _lloyd(vectors[cell], start, PASSES)
        entries.append(fine.entries)
        labels[cell] = used + fine.labels
        used += share
    return _drop_unused(Palette(np.concatenate(entries), labels))


def _coarse_cells(vectors: Vectors, cells: int, rng: np.random.Generator) -> Palette:
    sample = vectors
    if len(vectors) > COARSE_SAMPLE:
        sample = vectors[rng.choice(len(vectors), COARSE_SAMPLE, replace=False)]
    start = sample[rng.choice(len(sample), min(cells, len(sample)), replace=False)]
    entries = _lloyd(sample, start, PASSES).entries
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


def _lloyd(vectors: Vectors, start: Vectors, passes: int) -> Palette:
    """`passes` rounds of Lloyd's algorithm; an entry that lost all its vectors moves to the worst one."""
    entries = start.astype(np.float32)
    for _ in range(passes):
        labels, errors = _nearest(vectors, entries)
        counts = np.bincount(labels, minlength=len(entries))
        sums = np.stack(
            [np.bincount(labels, vectors[:, axis], len(entries)) for axis in range(vectors.shape[1])], axis=1
        )
        empty = np.flatnonzero(counts == 0)
        entries = (sums / np.maximum(counts, 1)[:, None]).astype(np.float32)
        entries[empty] = vectors[np.argsort(-errors, kind="stable")[: len(empty)]]
    return Palette(entries, _nearest(vectors, entries)[0])


def _nearest(vectors: Vectors, entries: Vectors) -> tuple[Labels, NDArray[np.float32]]:
    """For each vector the nearest entry's index, and the squared distance to it."""
    half_norms = (entries * entries).sum(axis=1) / 2
    labels = np.empty(len(vectors), dtype=np.intp)
    errors = np.empty(len(vectors), dtype=np.float32)
    for first in range(0, len(vectors), CHUNK):
        part = vectors[first : first + CHUNK]
        score = part @ entries.T - half_norms  # |v - e|² = |v|² - 2 · score
        best = score.argmax(axis=1)
        labels[first : first + CHUNK] = best
        errors[first : first + CHUNK] = (part * part).sum(axis=1) - 2 * score[np.arange(len(part)), best]
    return labels, errors


def _drop_unused(palette: Palette) -> Palette:
    used, labels = np.unique(palette.labels, return_inverse=True)
    return Palette(palette.entries[used], labels.reshape(-1))
