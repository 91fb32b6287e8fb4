"""The model in y-up axes, which SPZ and glTF ask for: x east, y up, z south (ours: x east, y north, z up).

A turn of the whole model turns each Gaussian's own axes and the harmonics of its colour, too: readers look
those up by directions in the file's axes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from spaceport_compressor.sog.viewing import harmonics
from spaceport_compressor.viewer.camera import WORLD_TO_VIEWER
from spaceport_render.gaussians import Gaussians

# More directions than the 15 harmonics up to degree 3, spread evenly (a Fibonacci lattice): the equations
# for a turn's matrix are then well conditioned, and it is right to 1e-14.
DIRECTIONS = 64


def y_up(gaussians: Gaussians) -> Gaussians:
    """`gaussians` in y-up axes."""
    return turned(gaussians, WORLD_TO_VIEWER)


def turned(gaussians: Gaussians, rotation: NDArray[np.float64]) -> Gaussians:
    """`gaussians` after the turn by `rotation` (3, 3) about the origin."""
    sh = gaussians.sh
    if gaussians.sh_degree > 0:
        mixing = harmonics_turn(rotation, gaussians.sh_degree).astype(np.float32)
        sh = np.concatenate([sh[:, :1], np.einsum("ij,njc->nic", mixing, sh[:, 1:], optimize=True)], axis=1)
    return replace(
        gaussians,
        means=(gaussians.means @ rotation.T).astype(np.float32),
        quats=_turned_quats(gaussians.quats, rotation),
        sh=sh,
    )


def harmonics_turn(rotation: NDArray[np.float64], degree: int) -> NDArray[np.float64]:
    """(C, C) that takes coefficients of the harmonics 1 to `degree` to those of the turned function.

    It is found by least squares from the functions' values, so that it fits this very basis, signs and all;
    Ivanic and Ruedenberg (1996) build the same matrix by recursion.
    """
    index = np.arange(DIRECTIONS) + 0.5
    z = 1 - 2 * index / DIRECTIONS
    azimuth = np.pi * (1 + 5**0.5) * index
    across = np.sqrt(1 - z * z)
    directions = np.stack([across * np.cos(azimuth), across * np.sin(azimuth), z], axis=1)
    # The turned function has in a direction the value that the first has in the direction turned back.
    values, turned_back = harmonics(directions, degree), harmonics(directions @ rotation, degree)
    return np.linalg.lstsq(values, turned_back, rcond=None)[0]


def _turned_quats(quats: NDArray[np.float32], rotation: NDArray[np.float64]) -> NDArray[np.float32]:
    """(N, 4) w x y z, of length 1."""
    axes = Rotation.from_quat(quats[:, [1, 2, 3, 0]].astype(np.float64))
    return (Rotation.from_matrix(rotation) * axes).as_quat()[:, [3, 0, 1, 2]].astype(np.float32)
