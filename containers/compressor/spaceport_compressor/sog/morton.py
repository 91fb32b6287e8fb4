"""Morton order: neighbours in space become neighbours in the file, which WebP then predicts well."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BITS = 21  # three axes of 21 bits fill a 64-bit code
# Each step doubles the gaps between the bits of one axis, until two free bits follow each.
_SPREAD = (
    (32, 0x001F00000000FFFF),
    (16, 0x001F0000FF0000FF),
    (8, 0x100F00F00F00F00F),
    (4, 0x10C30C30C30C30C3),
    (2, 0x1249249249249249),
)


def morton_order(points: NDArray[np.floating]) -> NDArray[np.intp]:
    """The order of `points` (N, 3) along the Z-order curve of their bounding box, as N indices.

    Equal codes keep the order they came in, so the result depends on the points alone.
    """
    points = points.astype(np.float64)
    low = points.min(axis=0)
    extent = np.maximum(points.max(axis=0) - low, np.finfo(np.float64).tiny)
    cells = ((points - low) / extent * (2**BITS - 1)).astype(np.uint64)
    code = np.zeros(len(points), dtype=np.uint64)
    for axis in range(3):
        code |= _spread(cells[:, axis]) << np.uint64(axis)
    return np.argsort(code, kind="stable")


def _spread(cells: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The bits of `cells` with two zero bits after each."""
    for shift, mask in _SPREAD:
        cells = (cells | (cells << np.uint64(shift))) & np.uint64(mask)
    return cells
