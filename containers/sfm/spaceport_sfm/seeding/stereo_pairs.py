"""Which photos are compared for depth: those that share points and look at them from angles that suit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Floats = NDArray[np.float64]

PARTNERS = 3  # of each photo; two must agree, the third is for what one of them doesn't see
MIN_SHARED = 20  # points: fewer tell neither the overlap nor the range of depths
# Degrees between the lines of sight: less makes depth uncertain, more makes things look different.
BEST_ANGLE, ANGLE_WIDTH = 12.0, 8.0
CANDIDATES = 12  # the photos with the most points in common, whose angles are looked at


def stereo_pairs(positions: Floats, points: Floats, sees: csr_array) -> tuple[tuple[int, int], ...]:
    """Pairs (i, j) of photos, i < j, in order: the union of each photo's best partners.

    Args:
        positions: (N, 3) of the cameras.
        points: (M, 3) of SfM.
        sees: (N, M), nonzero where photo n was used to find point m.
    """
    incidence = csr_array((np.ones(sees.nnz, np.int32), sees.indices, sees.indptr), shape=sees.shape)
    shared = (incidence @ incidence.T).tolil()
    shared.setdiag(0)
    counts = csr_array(shared)
    pairs: set[tuple[int, int]] = set()
    for photo in range(len(positions)):
        row = slice(counts.indptr[photo], counts.indptr[photo + 1])
        others, sizes = counts.indices[row], counts.data[row]
        others, sizes = others[sizes >= MIN_SHARED], sizes[sizes >= MIN_SHARED]
        most = np.lexsort((others, -sizes))[:CANDIDATES]
        scores = []
        for other, size in zip(others[most], sizes[most], strict=True):
            common = points[np.intersect1d(_row(incidence, photo), _row(incidence, other))]
            off = (_median_angle(common, positions[photo], positions[other]) - BEST_ANGLE) / ANGLE_WIDTH
            scores.append((-size * np.exp(-(off**2)), int(other)))
        pairs.update((min(photo, other), max(photo, other)) for _, other in sorted(scores)[:PARTNERS])
    return tuple(sorted(pairs))


def _row(matrix: csr_array, index: int) -> NDArray[np.int32]:
    return matrix.indices[matrix.indptr[index] : matrix.indptr[index + 1]]


def _median_angle(points: Floats, first: Floats, second: Floats) -> float:
    """Degrees between the lines from two positions to `points`."""
    ways = [points - position for position in (first, second)]
    one, two = (way / np.linalg.norm(way, axis=1, keepdims=True) for way in ways)
    return float(np.degrees(np.median(np.arccos(np.clip((one * two).sum(axis=1), -1.0, 1.0)))))
