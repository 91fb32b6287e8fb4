"""What has nothing around it: specks in the air, lower than `above` looks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from spaceport_compressor.cleaning.terrain import Terrain
from spaceport_render.gaussians import Gaussians
from spaceport_render.threads import available_cores

NEIGHBOURS = 4  # as many specks of training's may hang together
# How far off they must be: in shares of the flying height, and of the Gaussian's own greatest standard
# deviation, within which it covers the gap.
GAP = 0.05
OWN_SIZES = 4.0
# Over all that SfM knows of the place, as a share of the flying height: on the ground nothing floats, and
# beyond the photos' edges training lays it out thinly.
CLEAR = 0.02


def isolated(gaussians: Gaussians, terrain: Terrain) -> NDArray[np.bool_]:
    """Which Gaussians (N,) have fewer than NEIGHBOURS others near, and hang in the air."""
    hanging = np.flatnonzero(gaussians.means[:, 2] > terrain.tops + CLEAR * np.maximum(terrain.flown, 0))
    result = np.zeros(len(gaussians), dtype=bool)
    if len(gaussians) <= NEIGHBOURS or not hanging.size:
        return result
    tree = cKDTree(gaussians.means)
    # Itself is the first.
    gaps, _ = tree.query(gaussians.means[hanging], k=[NEIGHBOURS + 1], workers=available_cores())
    enough = np.maximum(GAP * terrain.flown[hanging], OWN_SIZES * gaussians.scales[hanging].max(axis=1))
    result[hanging] = (gaps[:, 0] > enough) & (terrain.flown[hanging] > 0)
    return result
