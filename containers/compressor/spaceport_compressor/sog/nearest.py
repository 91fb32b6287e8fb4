"""For each of many vectors the nearest of some entries: where clustering spends its time.

On a CPU two Numba kernels do it; where torch and a CUDA device are there, `nearest_torch` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spaceport_render.kernel import kernel
from spaceport_render.threads import run_over

Vectors = NDArray[np.float32]
Indices = NDArray[np.intp]
Errors = NDArray[np.float32]
F = np.float32


class Search(Protocol):
    """Knows the vectors; is asked again and again with other entries."""

    def nearest(self, members: Indices, entries: Vectors) -> tuple[Indices, Errors]:
        """For each of the vectors at `members` (M,): the index of the nearest of `entries` (K, D), and the
        squared distance to it.
        """


def search_in(vectors: Vectors) -> Search:
    """The fastest search over `vectors` (N, D) that this machine has."""
    # Looked for first, because importing torch takes seconds and 200 MB where it has nothing to offer.
    if any(Path("/dev").glob("nvidia[0-9]*")):
        try:
            import torch  # noqa: PLC0415 - the compressor's image has none
        except ImportError:
            pass
        else:
            from spaceport_compressor.sog.nearest_torch import TorchSearch  # noqa: PLC0415 - needs torch

            if torch.cuda.is_available():
                return TorchSearch(vectors, torch.device("cuda"))
    return NumbaSearch(vectors)


class NumbaSearch:
    """On the CPU's cores. The result does not depend on how many there are."""

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors

    def nearest(self, members: Indices, entries: Vectors) -> tuple[Indices, Errors]:
        labels = np.empty(len(members), dtype=np.intp)
        errors = np.empty(len(members), dtype=np.float32)
        columns = np.ascontiguousarray(entries.T)
        halves = (np.einsum("kd,kd->k", entries, entries, dtype=np.float64) / 2).astype(np.float32)
        run_over(len(members), _find_nearest, self._vectors, members, columns, halves, labels, errors)
        return labels, errors


@kernel()
def _find_nearest(first, end, vectors, members, columns, halves, labels, errors):  # noqa: PLR0917 - a kernel
    """Fills `labels` and `errors` of `members` from `first` to `end`.

    `columns` are the entries, transposed, and `halves` half of each one's squared length: the nearest is
    the one with the least |e|²/2 − v·e. Two vectors share each load of the entries, and four dimensions
    each load and store of the sums, which is twice as fast as one by one.
    """
    dimensions, count = columns.shape
    ours = np.empty(count, np.float32)
    theirs = np.empty(count, np.float32)
    blocked = dimensions - dimensions % 4
    for i in range(first, end, 2):
        one = vectors[members[i]]
        other = vectors[members[min(i + 1, end - 1)]]
        ours[:] = halves
        theirs[:] = halves
        for d in range(0, blocked, 4):
            a, b, c, e = one[d], one[d + 1], one[d + 2], one[d + 3]
            p, q, r, s = other[d], other[d + 1], other[d + 2], other[d + 3]
            for k in range(count):  # the long loop inside: it vectorises
                w, x, y, z = columns[d, k], columns[d + 1, k], columns[d + 2, k], columns[d + 3, k]
                ours[k] -= a * w + b * x + c * y + e * z
                theirs[k] -= p * w + q * x + r * y + s * z
        for d in range(blocked, dimensions):
            a, p = one[d], other[d]
            for k in range(count):
                ours[k] -= a * columns[d, k]
                theirs[k] -= p * columns[d, k]
        for j in range(i, min(i + 2, end)):
            sums = ours if j == i else theirs
            best = 0
            for k in range(1, count):
                if sums[k] < sums[best]:
                    best = k
            error = F(0)
            for d in range(dimensions):
                difference = vectors[members[j], d] - columns[d, best]
                error += difference * difference
            labels[j] = best
            errors[j] = error
