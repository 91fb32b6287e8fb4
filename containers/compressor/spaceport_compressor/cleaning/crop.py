"""What lies outside the flown area: the photos' places on the ground, and a margin around them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from spaceport_compressor.cleaning.flight import Flight
from spaceport_render.gaussians import Gaussians
from spaceport_render.photographed import photographed_corners, photographed_size


def outside(gaussians: Gaussians, flight: Flight, margin: float) -> NDArray[np.bool_]:
    """Which Gaussians (N,) have their centres outside the hull of all photos' corners on the ground.

    Oblique photos see farther than the ground under them is known; their corners count no farther off than
    `photographed_corners` takes rays to reach.

    Args:
        margin: how much farther out is still inside, as a share of a usual photo's size on the ground.
    """
    corners = photographed_corners(flight.cameras, float(np.median(flight.points[:, 2])))
    try:
        sides = ConvexHull(corners.reshape(-1, 2)).equations
    except QhullError:  # photos of a wall, all of them level and one beside the other, span no area
        return np.zeros(len(gaussians), dtype=bool)
    beyond = np.full(len(gaussians), -np.inf)
    for *outwards, offset in sides:  # all at once would be a gigabyte
        np.maximum(beyond, gaussians.means[:, :2] @ np.array(outwards) + offset, out=beyond)
    return beyond > margin * photographed_size(corners)
