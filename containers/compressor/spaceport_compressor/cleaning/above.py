"""What hangs high over all that SfM knows of a place: in a survey there is air."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spaceport_compressor.cleaning.terrain import Terrain
from spaceport_render.gaussians import Gaussians

# Shares of the flying height over the ground. Surveys fly at three times the tallest trees and more; SfM
# finds no points in their crowns, so these may stand out of `tops` by all their height.
HIGH = 1 / 3
CLEAR = 0.05


def above(gaussians: Gaussians, terrain: Terrain) -> NDArray[np.bool_]:
    """Which Gaussians (N,) are so high in the air; real towers and wires may be among them."""
    height = gaussians.means[:, 2]
    over_ground = height > terrain.ground + HIGH * terrain.flown
    over_tops = height > terrain.tops + CLEAR * terrain.flown
    return (terrain.flown > 0) & over_ground & over_tops
