"""Gaussians that a drone flew through: there was air, whatever training put there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from spaceport_render.gaussians import Gaussians
from spaceport_render.numba_rasterizer import ALPHA_CUT


def fog(gaussians: Gaussians, cameras: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which Gaussians (N,) have one of `cameras` (V, 3) where they still show.

    A splat is drawn where its centre is, so from within a huge one looks like a backdrop far below; from
    aside it is a wall of fog. On a real flight (brighton) one of 21,711, of 135 m, darkened more
    than half of every view from around (docs/cleaning.md).
    """
    # Where alpha has fallen to the cut, in standard deviations.
    reach = np.sqrt(2 * np.log(np.maximum(gaussians.opacities / ALPHA_CUT, 1)))
    nearest, _ = cKDTree(cameras).query(gaussians.means)
    candidates = np.flatnonzero(nearest < gaussians.scales.max(axis=1) * reach)
    to_world = Rotation.from_quat(gaussians.quats[candidates], scalar_first=True).as_matrix()
    within = np.zeros(len(candidates), dtype=bool)
    for camera in cameras:
        offsets = camera - gaussians.means[candidates]
        along_axes = np.einsum("nij,ni->nj", to_world, offsets) / gaussians.scales[candidates]
        within |= np.linalg.norm(along_axes, axis=1) < reach[candidates]
    result = np.zeros(len(gaussians), dtype=bool)
    result[candidates[within]] = True
    return result
