"""The same Gaussian can be told in 24 ways: its axes may change places and ends. Here the shortest is chosen.

Each way is the rotation times one of the cube's 24, with the sizes in another order. The one nearest to
no rotation at all makes quaternions that compress better: 0.25 bytes a Gaussian, for the very same pictures.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from spaceport_compressor.sog.pieces import pieces

CUBE = Rotation.create_group("O")
_QUATS = CUBE.as_quat(scalar_first=True).astype(np.float32)  # (24, 4)
# For each of the 24, which old axis every new one is.
_SOURCES = np.abs(CUBE.as_matrix()).argmax(axis=1)


def nearest_axes(
    quats: NDArray[np.float32], log_scales: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The same Gaussians' rotations (N, 4), w x y z, and sizes (N, 3), with the least rotation angles."""
    told, sizes = np.empty_like(quats), np.empty_like(log_scales)
    for piece in pieces(len(quats)):
        # The real part of q·r is q's product with r's conjugate; the larger, the smaller the angle.
        real_parts = np.abs(quats[piece] @ (_QUATS * np.array([1, -1, -1, -1], np.float32)).T)
        chosen = real_parts.argmax(axis=1)
        turned = Rotation.from_quat(quats[piece], scalar_first=True) * CUBE[chosen]
        told[piece] = turned.as_quat(scalar_first=True)
        sizes[piece] = np.take_along_axis(log_scales[piece], _SOURCES[chosen], axis=1)
    return told, sizes
