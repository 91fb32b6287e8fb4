"""The order of Gaussians in a file: cell by cell, so that the high bytes of their places hardly change.

A set has no order, and what is saved by choosing one is up to the reader's liking: readers draw by depth
whatever the order. The cells are those in which all high bytes are equal, taken along x, then y, then z. So
one of the three images stands still for long, one rises slowly, and only the third moves. Measured on real
models of 22K and 295K Gaussians, the images of the high bytes take 0.89 and 0.43 bytes a Gaussian; in Morton
order 1.27 and 0.86, on a Hilbert curve through the same cells 1.08 and 0.61.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spaceport_compressor.sog.pack_means import places_of

BYTE = 256


def scan_order(means: NDArray[np.float32]) -> NDArray[np.intp]:
    """The order of the centres `means` (N, 3), metres, as N indices.

    Those in one cell keep the order they came in, so the result depends on the centres alone.
    """
    places, _, _ = places_of(means)
    cells = np.rint(places).astype(np.int64) // BYTE
    return np.argsort((cells[:, 0] * BYTE + cells[:, 1]) * BYTE + cells[:, 2], kind="stable")
