"""Each photo with those that see the same ground, by GPS; the cost grows with N.

Where the drone tells height and gimbal angles, the footprints choose: an oblique photo is compared with
the nadir photos of the ground it looks at, not with its neighbours in the air. Else the nearest ones are
taken, as if all looked straight down. Parts that this leaves apart are tied together by those photos of
each that are nearest to another. Photos that GPS leaves without partners are compared by order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from spaceport_sfm.pairing.footprints import Footprints, footprints, heights_above_ground
from spaceport_sfm.pairing.pair import Pair
from spaceport_sfm.pairing.pairs_sequential import sequential
from spaceport_sfm.photo import Photo
from spaceport_sfm.placement.gps import Floats, to_local_enu

# Photos of an 80 % × 70 % overlap grid see the same ground as their 8 nearest.
NEIGHBOURS = 8
# Two parts are tied by what lies across their gap, or little farther: lines of a flight by all of their
# photos, distant sites, which share no ground, by a few.
TIE_REACH = 1.5

# Without footprints, a photo this many times further from its nearest than is usual has a wrong GPS.
ASTRAY = 20.0

# Footprints are used where this share of the located photos has all it takes; the others' is guessed.
FOOTPRINT_SHARE = 0.8
# Of the photos that see the ground alike: three each ahead, behind, left and right.
ALIKE = 12
# And of those that see it otherwise, from another side or height: they tie the flight's parts together.
OTHERWISE = 6
# Candidates of each kind (height, nadir or oblique) whose overlap is computed: enough to choose from.
CANDIDATES = 32
# Less shared ground gives few matches, or none: footprints are off by a tenth.
MIN_OVERLAP = 0.15
# SIFT recognises half of a surface up to 40-50 degrees (Mikolajczyk & Schmid 2005), and not much beyond.
ALIKE_DEG, MAX_DEG = 25.0, 60.0
ALIKE_SCALE, MAX_SCALE = 1.5, 6.0  # quotients of the metres that a pixel covers
OBLIQUE_DEG = 25.0  # off the vertical: beyond what wind does to a nadir photo
# Fewer partners say that a photo's GPS is wrong, or that of its neighbours.
MIN_PARTNERS = 4

Edges = NDArray[np.int64]


def spatial(photos: Sequence[Photo]) -> Iterator[Pair]:
    """The pairs of `photos`."""
    located = [photo for photo in photos if photo.position is not None]
    enu = local_positions(located)
    edges = nearest = by_distance(enu[:, :2])
    if prints := _footprints(located, enu):
        edges = by_footprints(prints)
        astray = _few_partners(edges, len(located))
        # Where the take-off point lies far above the ground, all footprints come out too small.
        edges = np.concatenate([edges, nearest[astray[nearest[:, 0]]]])
    else:
        astray = _far_from_all(enu[:, :2])
    edges = np.concatenate([edges, *ties(enu[:, :2], edges)])
    for first, second in edges:
        yield located[first].name, located[second].name
    strays = [photo for photo in photos if photo.position is None]
    strays += [located[index] for index in np.flatnonzero(astray)]
    if strays:
        yield from sequential(photos, only=strays)


def local_positions(located: Sequence[Photo]) -> Floats:
    """(N, 3) metres east, north and up of the middle of `located`, whose photos all have a position."""
    return to_local_enu([photo.position for photo in located if photo.position is not None])


def by_distance(places: Floats) -> Edges:
    """(M, 2) indices: each of `places` (N, 2) with its `NEIGHBOURS` nearest.

    Heights are left out: two passes at different heights see the same ground.
    """
    count = min(NEIGHBOURS + 1, len(places))  # each is its own nearest
    if count < 2:
        return np.empty((0, 2), dtype=np.int64)
    _, nearest = cKDTree(places).query(places, k=count)
    edges = np.column_stack([np.repeat(np.arange(len(places)), count), nearest.ravel()])
    return edges[edges[:, 0] != edges[:, 1]]


def ties(places: Floats, edges: Edges) -> Iterator[Edges]:
    """(M, 2) indices that join `places` (N, 2) to one whole, where `edges` leave parts.

    Photos shot closely one after the other have all of their neighbours in their own line, and those of a
    hover in their own place. In rounds, as Borůvka's minimum spanning tree: each at least halves the parts'
    number, and adds N edges at most.
    """
    count = len(places)
    while True:
        graph = coo_array((np.ones(len(edges), bool), edges.T), shape=(count, count))
        parts, part = connected_components(graph, directed=False)
        if parts < 2:
            return
        found = [
            _out_of(places, np.flatnonzero(part == each), np.flatnonzero(part != each))
            for each in range(parts)
        ]
        edges = np.concatenate([edges, *found])
        yield from found


def _out_of(places: Floats, members: NDArray[np.int64], others: NDArray[np.int64]) -> Edges:
    distance, nearest = cKDTree(places[others]).query(places[members])
    near = distance <= TIE_REACH * distance.min()
    return np.column_stack([members[near], others[nearest[near]]])


def by_footprints(prints: Footprints) -> Edges:
    """(M, 2) indices: each photo with those that share most of its ground, at most ALIKE + OTHERWISE."""
    edges = [
        (index, other)
        for index, candidates in enumerate(_candidates(prints))
        for other in _partners(prints, index, candidates)
    ]
    return np.array(edges, dtype=np.int64).reshape(-1, 2)


def _footprints(located: Sequence[Photo], enu: Floats) -> Footprints | None:
    heights = heights_above_ground(located)
    complete = np.isfinite(heights) & np.array([photo.gimbal is not None for photo in located], dtype=bool)
    if not located or complete.mean() < FOOTPRINT_SHARE:
        return None
    typical = float(np.median(heights[complete]))
    return footprints(located, enu, np.where(np.isfinite(heights), heights, typical))


def _candidates(prints: Footprints) -> list[Edges]:
    """For each photo the nearest footprints of each kind, nearest also in where they are seen from.

    By kinds, so that a dense low pass doesn't crowd out the few wide views from above, nor nadir photos
    the obliques.
    """
    tilt = np.degrees(np.arccos(np.clip(-prints.views[:, 2], -1.0, 1.0)))
    octave = np.round(np.log2(prints.ground_pixel / np.median(prints.ground_pixel)))
    _, kinds = np.unique(np.column_stack([octave, tilt > OBLIQUE_DEG]), axis=0, return_inverse=True)
    distance = np.median(prints.ground_pixel * prints.focals)
    places = np.column_stack([prints.centres, distance * prints.views])
    found: list[list[Edges]] = [[] for _ in places]
    for kind in range(kinds.max() + 1):
        members = np.flatnonzero(kinds == kind)
        _, nearest = cKDTree(places[members]).query(places, k=np.arange(1, 1 + min(CANDIDATES, len(members))))
        for mine, row in zip(found, nearest, strict=True):
            mine.append(members[row])
    return [np.concatenate(mine) for mine in found]


def _partners(prints: Footprints, index: int, candidates: Edges) -> Edges:
    others = candidates[candidates != index]
    overlap = prints.shared(np.full(len(others), index), others)
    angle = np.degrees(np.arccos(np.clip(prints.views[others] @ prints.views[index], -1.0, 1.0)))
    scale = np.exp(np.abs(np.log(prints.ground_pixel[others] / prints.ground_pixel[index])))
    fit = (overlap >= MIN_OVERLAP) & (angle <= MAX_DEG) & (scale <= MAX_SCALE)
    alike = (angle <= ALIKE_DEG) & (scale <= ALIKE_SCALE)
    # Ahead, left, behind, right in the photo's own frame. Taken in turn, so that the many photos along a
    # line don't crowd out the lines beside it, which hold the model together.
    east, north = (prints.centres[others] - prints.centres[index]).T
    right = prints.rotations[index][:2, 0]
    bearing = np.arctan2(right[0] * north - right[1] * east, right[0] * east + right[1] * north)
    side = np.floor(bearing / (np.pi / 2) + 0.5).astype(int) % 4
    return np.concatenate(
        [
            _best_in_turn(others[fit & alike], overlap[fit & alike], side[fit & alike])[:ALIKE],
            _best_in_turn(others[fit & ~alike], overlap[fit & ~alike], side[fit & ~alike])[:OTHERWISE],
        ]
    )


def _best_in_turn(others: Edges, overlap: Floats, side: Edges) -> Edges:
    """`others` with the best of each side first, then the second best of each, and so on."""
    best_first = np.lexsort((others, -overlap))
    rank = np.zeros(len(others), dtype=int)
    for each in range(4):
        members = best_first[side[best_first] == each]
        rank[members] = np.arange(len(members))
    return others[np.lexsort((others, -overlap, rank))]


def _few_partners(edges: Edges, count: int) -> NDArray[np.bool_]:
    both = np.unique(np.sort(edges, axis=1), axis=0)
    return np.bincount(both.ravel(), minlength=count) < MIN_PARTNERS


def _far_from_all(places: Floats) -> NDArray[np.bool_]:
    if len(places) < 2:
        return np.ones(len(places), dtype=bool)
    nearest = cKDTree(places).query(places, k=2)[0][:, 1]
    return nearest > ASTRAY * max(float(np.median(nearest)), 1.0)
