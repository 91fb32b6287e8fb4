"""Floaters: what training put where nothing is, because no photo, or hardly one, contradicts it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spaceport_compressor.cleaning.above import above
from spaceport_compressor.cleaning.below import below
from spaceport_compressor.cleaning.flight import Flight, least_shown
from spaceport_compressor.cleaning.fog import fog
from spaceport_compressor.cleaning.isolated import isolated
from spaceport_compressor.cleaning.standing import standing
from spaceport_compressor.cleaning.terrain import terrain_at
from spaceport_compressor.judging.contributions import Contributions
from spaceport_render.gaussians import Gaussians

Mask = NDArray[np.bool_]

# What as many photos show is there: any two agree on something somewhere along their rays.
WITNESSES = 3
# What paints less than this of all photos, in pixels, no photo shows.
UNSEEN = 0.1
# Haze is faint (no photo shows much of it) and, unlike a far wire, broad: a share of the flying height.
FAINT = 0.1
BROAD = 0.01
# All that goes may have painted this share of the photos: docs/cleaning.md has what it costs.
MOST_PAINTED = 0.001


@dataclass(frozen=True)
class Floaters:
    """(N,) masks, of which at most one holds for each Gaussian; see the module of each."""

    fog: Mask
    above: Mask
    below: Mask
    isolated: Mask


def floaters(gaussians: Gaussians, flight: Flight, shown: Contributions) -> Floaters:
    """Which of `gaussians` float: those in places where nothing should be that the photos hardly show.

    A place alone proves nothing: towers, wires and cranes rise towards a drone. So in the air only haze goes,
    what no photo shows, and what fewer than WITNESSES show and nothing holds up. Fog whose middle is under
    the ground, where it is a backdrop for holes, goes whatever it paints there; other fog may be a sky.

    Args:
        shown: what the flight's photos show of `gaussians`.
    """
    terrain = terrain_at(gaussians.means, flight.points, flight.positions)
    is_above, is_below = above(gaussians, terrain), below(gaussians, terrain)
    is_isolated = isolated(gaussians, terrain)
    is_fog = fog(gaussians, flight.positions)
    is_backdrop = is_fog & (gaussians.means[:, 2] < terrain.ground)
    breadth = np.sort(gaussians.scales, axis=1)[:, 1]
    is_haze = (gaussians.opacities < FAINT) & (breadth > BROAD * terrain.flown)

    in_air = is_above | is_isolated
    hardly_seen = shown.photos < WITNESSES
    is_held_up = standing(gaussians, in_air | is_below, ~is_haze & ~is_fog)
    suspects = in_air & ((shown.pixels < UNSEEN) | (hardly_seen & ~is_held_up))
    suspects |= (is_above & is_haze) | (is_below & hardly_seen)
    allowed = MOST_PAINTED * float(shown.pixels.sum())
    gone = least_shown((suspects | is_fog) & ~is_backdrop, shown.pixels, allowed)
    return Floaters(
        fog=is_backdrop | (gone & is_fog),
        above=gone & is_above & ~is_fog,
        below=gone & is_below & ~is_fog,
        isolated=gone & is_isolated & ~is_above & ~is_below & ~is_fog,
    )
