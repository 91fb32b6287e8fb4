"""What stands on the ground, hangs from what does, or is part of it: a chain of Gaussians leads down."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from spaceport_render.gaussians import Gaussians
from spaceport_render.threads import available_cores

NEIGHBOURS = 12  # of each Gaussian in the air: enough that a chain goes on past its own thick parts
# Two touch where they are nearer than this many standard deviations of both, each along the line between
# them: there their alphas have fallen to an eighth.
TOUCHING = 2.0


def standing(gaussians: Gaussians, in_air: NDArray[np.bool_], solid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which Gaussians (N,) of those `in_air` (N,) are held up by a chain of `solid` (N,) ones that touch."""
    result = np.zeros(len(gaussians), dtype=bool)
    members = np.flatnonzero(solid)
    asking = np.flatnonzero(in_air[members])
    if not asking.size or len(asking) == len(members):
        return result
    chosen = gaussians.select(members)
    tree = cKDTree(chosen.means)
    count = min(NEIGHBOURS + 1, len(members))  # itself is the first
    _, near = tree.query(chosen.means[asking], k=range(1, count + 1), workers=available_cores())
    one, other = np.repeat(asking, count), near.reshape(-1)
    touching = _touch(chosen, one, other)
    links = coo_array((np.ones(touching.sum()), (one[touching], other[touching])), (len(members),) * 2)
    _, group = connected_components(links, directed=False)
    is_held = np.zeros(group.max() + 1, dtype=bool)
    is_held[group[~in_air[members]]] = True
    result[members[asking]] = is_held[group[asking]]
    return result


def _touch(gaussians: Gaussians, one: NDArray[np.intp], other: NDArray[np.intp]) -> NDArray[np.bool_]:
    between = (gaussians.means[other] - gaussians.means[one]).astype(np.float64)
    distance = np.linalg.norm(between, axis=1)
    direction = between / np.maximum(distance, 1e-12)[:, None]
    reach = sum(_deviation(gaussians.select(ends), direction) for ends in (one, other))
    return distance <= TOUCHING * reach


def _deviation(gaussians: Gaussians, directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """The standard deviation (N,) of each Gaussian along its unit direction (N, 3)."""
    to_world = Rotation.from_quat(gaussians.quats, scalar_first=True).as_matrix()
    return np.linalg.norm(np.einsum("nij,ni->nj", to_world, directions) * gaussians.scales, axis=1)
