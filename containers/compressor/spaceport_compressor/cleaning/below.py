"""What lies so deep under the ground that no photo can have seen it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spaceport_compressor.cleaning.terrain import Terrain
from spaceport_render.gaussians import Gaussians

# How far under the ground, as shares of what stands on it there and of the flying height: a ditch or the
# foot of a slope is never as deep as both together without SfM's points telling.
RELIEFS = 2.0
DEEP = 0.05


def below(gaussians: Gaussians, terrain: Terrain) -> NDArray[np.bool_]:
    """Which Gaussians (N,) lie that deep."""
    depth = terrain.ground - gaussians.means[:, 2]
    return (terrain.flown > 0) & (depth > RELIEFS * (terrain.tops - terrain.ground) + DEEP * terrain.flown)
