"""Where the model's surface is: what a camera looks at, keeps clear of and stands off from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spaceport_render.gaussians import Gaussians

# Gaussians fainter than this show nothing of the surface that a view is about.
SOLID = 0.5
# Every so many of more: each camera of a flight counts those that it sees. 3M Gaussians and 500 cameras would
# take a minute; distances and canopies are as certain with these.
MOST = 50_000


def surface_points(gaussians: Gaussians) -> NDArray[np.float64]:
    """(N, 3) centres of solid Gaussians, in our z-up frame, at most MOST; of any where none is solid."""
    solid = np.flatnonzero(gaussians.opacities > SOLID)
    rows = solid if len(solid) else np.arange(len(gaussians))
    return gaussians.means[rows[:: -(-len(rows) // MOST)]].astype(np.float64)
