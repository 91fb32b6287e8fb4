"""Which pairs of photos are compared. All of them costs N² time, so large sets compare neighbours only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import numpy as np
from scipy.spatial import cKDTree

from spaceport_sfm.gps import Floats, median_position, to_enu
from spaceport_sfm.photo import Photo

Pair = tuple[str, str]

# Without GPS all pairs of up to 40 photos (780) cost about as much as finding their features; with GPS
# the neighbours of 18 photos give the same model for 60 % of the matching, so only tiny sets take all.
EXHAUSTIVE_MAX_PHOTOS = 40
EXHAUSTIVE_MAX_LOCATED_PHOTOS = 12
# Below this, GPS error (3-5 m) says little about who is whose neighbour.
SPATIAL_MIN_EXTENT_M = 50.0
# Photos of an 80 % × 70 % overlap grid see the same ground as their 8 nearest; where that leaves photos
# over (oblique views), the second try takes more.
SPATIAL_NEIGHBOURS = 8
SPATIAL_NEIGHBOURS_WIDER = 20
# As COLMAP's sequential matcher: the next ten, and ever rarer ones (every power of two) to close loops.
SEQUENTIAL_OVERLAP = 10
SEQUENTIAL_OVERLAP_WIDER = 20
SEQUENTIAL_REACH = 512
# A second try may compare all pairs up to here: 7,140 pairs, about five minutes on 2 cores.
EXHAUSTIVE_RETRY_MAX_PHOTOS = 120


class Strategy(StrEnum):
    """How pairs were chosen."""

    EXHAUSTIVE = "exhaustive"
    SPATIAL = "spatial"
    SEQUENTIAL = "sequential"


@dataclass(frozen=True)
class PairPlan:
    """Pairs of photo names to compare, sorted; `wider` has those of the second try, where one makes sense."""

    strategy: Strategy
    pairs: tuple[Pair, ...]
    wider: tuple[Pair, ...] = ()


def plan_pairs(photos: Sequence[Photo]) -> PairPlan:
    """The pairs to compare: all of a small or dense set, else neighbours by GPS, else by capture order."""
    located = [photo for photo in photos if photo.position is not None]
    enu = _enu(located)
    extent = float(np.ptp(enu[:, :2], axis=0).max()) if located else 0.0
    mostly_located = len(located) >= 0.8 * len(photos)  # the others are matched by order, below
    spread_out = mostly_located and extent >= SPATIAL_MIN_EXTENT_M
    few = EXHAUSTIVE_MAX_LOCATED_PHOTOS if spread_out else EXHAUSTIVE_MAX_PHOTOS
    if len(photos) <= few or (mostly_located and not spread_out):
        return PairPlan(Strategy.EXHAUSTIVE, _sorted(exhaustive(photos)))
    if mostly_located:
        strays = [photo for photo in photos if photo.position is None]

        def choose(neighbours: int, overlap: int) -> Iterator[Pair]:
            yield from spatial(located, enu, neighbours)
            yield from sequential(photos, overlap, only=strays)

        strategy = Strategy.SPATIAL
        first = choose(SPATIAL_NEIGHBOURS, SEQUENTIAL_OVERLAP)
        second = choose(SPATIAL_NEIGHBOURS_WIDER, SEQUENTIAL_OVERLAP_WIDER)
    else:
        strategy = Strategy.SEQUENTIAL
        first = sequential(photos, SEQUENTIAL_OVERLAP)
        second = sequential(photos, SEQUENTIAL_OVERLAP_WIDER)
    if len(photos) <= EXHAUSTIVE_RETRY_MAX_PHOTOS:
        second = exhaustive(photos)
    return PairPlan(strategy, _sorted(first), _sorted(second))


def exhaustive(photos: Sequence[Photo]) -> Iterator[Pair]:
    """Every pair."""
    return combinations((photo.name for photo in photos), 2)


def spatial(photos: Sequence[Photo], enu: Floats, neighbours: int) -> Iterator[Pair]:
    """Each photo with the `neighbours` nearest in the plane; `enu` (N, 3) metres, a row a photo.

    Heights are left out: two passes at different heights see the same ground.
    """
    if len(photos) < 2:
        return
    _, nearest = cKDTree(enu[:, :2]).query(enu[:, :2], k=min(neighbours + 1, len(photos)))
    for index, row in enumerate(nearest):
        for other in row:
            if other != index:
                yield photos[index].name, photos[other].name


def sequential(photos: Sequence[Photo], overlap: int, only: Sequence[Photo] | None = None) -> Iterator[Pair]:
    """Each photo with the next `overlap` ones and the power-of-two-th ones after it, in capture order.

    The order is that of capture times where every photo has one, else of names. With `only`, just the
    pairs that one of those photos is in.
    """
    ordered = sorted(photos, key=lambda photo: photo.name)
    if all(photo.taken for photo in photos):
        ordered.sort(key=lambda photo: photo.taken)
    steps = {*range(1, overlap + 1), *(1 << power for power in range(SEQUENTIAL_REACH.bit_length()))}
    wanted = None if only is None else {photo.name for photo in only}
    for index, photo in enumerate(ordered):
        for step in steps:
            if index + step < len(ordered):
                pair = (photo.name, ordered[index + step].name)
                if wanted is None or wanted & set(pair):
                    yield pair


def _enu(located: Sequence[Photo]) -> Floats:
    positions = [photo.position for photo in located if photo.position is not None]
    return to_enu(positions, median_position(positions)) if positions else np.empty((0, 3))


def _sorted(pairs: Iterator[Pair]) -> tuple[Pair, ...]:
    """Each pair once, in one fixed order: results must not depend on how the pairs were found."""
    return tuple(sorted({(min(pair), max(pair)) for pair in pairs}))
