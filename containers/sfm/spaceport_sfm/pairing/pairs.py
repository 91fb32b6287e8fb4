"""Which photos are compared: the strategy that fits the set, and further pairs for those left over.

All pairs cost N² time. Every other strategy's number of pairs grows with N, whatever the photos tell of
themselves.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice, zip_longest

import numpy as np

from spaceport.errors import UserError
from spaceport.tuning import Pairing
from spaceport_sfm.pairing.pair import Pair, in_order
from spaceport_sfm.pairing.pairs_exhaustive import exhaustive
from spaceport_sfm.pairing.pairs_sequential import capture_order, sequential
from spaceport_sfm.pairing.pairs_spatial import local_positions, spatial
from spaceport_sfm.photo import Photo
from spaceport_sfm.placement.gps import Floats

# Without GPS all pairs of up to 40 photos (780) cost about as much as finding their features; with GPS
# the neighbours of 18 photos give the same model for 60 % of the matching, so only tiny sets take all.
EXHAUSTIVE_MAX_PHOTOS = 40
EXHAUSTIVE_MAX_LOCATED_PHOTOS = 12
# GPS chooses where this share of the photos has it; the others are compared by order.
LOCATED_SHARE = 0.5
# Four fifths within half of this: GPS error (3-5 m) says little about who is whose neighbour.
SPATIAL_MIN_EXTENT_M = 50.0
# The retry compares a left-over photo with so many others (all, in a set as small as that), and costs
# no more than the first try; a small set's may cost so many pairs in any case: a minute on 2 cores.
RETRY_PARTNERS = 120
RETRY_PAIRS = 600

STRATEGIES: Mapping[Pairing, Callable[[Sequence[Photo]], Iterator[Pair]]] = {
    Pairing.EXHAUSTIVE: exhaustive,
    Pairing.SPATIAL: spatial,
    Pairing.SEQUENTIAL: sequential,
}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PairPlan:
    """Pairs of photo names to compare, each once, sorted; `strategy` chose them (never `auto`)."""

    strategy: Pairing
    pairs: tuple[Pair, ...]


def plan_pairs(photos: Sequence[Photo], pairing: Pairing = Pairing.AUTO) -> PairPlan:
    """The pairs to compare by the strategy `pairing`; `auto` takes the one that fits the set.

    Raises:
        UserError: `pairs_need_gps` for `spatial` where under half of the photos have GPS: the few that
            have it can't tell how the others lie.
    """
    if pairing is Pairing.SPATIAL and not _mostly_located(photos):
        located = sum(photo.position is not None for photo in photos)
        raise UserError(
            "pairs_need_gps",
            f"sfm_pairs is spatial, but only {located} of {len(photos)} photos carry a GPS position.",
            "Leave sfm_pairs at auto, or choose sequential (photos in the order flown) or exhaustive.",
        )
    strategy = _fitting(photos) if pairing is Pairing.AUTO else pairing
    plan = PairPlan(strategy, in_order(STRATEGIES[strategy](photos)))
    logger.info("%s pairs: %d of %d photos", strategy.value, len(plan.pairs), len(photos))
    return plan


def more_pairs(
    photos: Sequence[Photo], tried: Sequence[Pair], unregistered: Collection[str]
) -> tuple[Pair, ...]:
    """Pairs that were not `tried`, each with one of the `unregistered` photos; the likeliest where bounded.

    At most as many as were tried, or `RETRY_PAIRS`: a set that fits nowhere isn't worth more.
    """
    done = set(tried)
    limit = max(RETRY_PAIRS, len(done))
    ordered = capture_order(photos)
    places = _places(ordered)
    queues = [
        _likeliest_partners(index, ordered, places)
        for index, photo in enumerate(ordered)
        if photo.name in unregistered
    ]
    chosen: set[Pair] = set()
    # In turn, so that every photo gets its best ones where the limit cuts off.
    for pair in chain.from_iterable(zip_longest(*queues)):
        if len(chosen) == limit:
            break
        if pair is not None and pair not in done:
            chosen.add(pair)
    return in_order(chosen)


def _fitting(photos: Sequence[Photo]) -> Pairing:
    spatial_tells = _mostly_located(photos) and _extent(photos) >= SPATIAL_MIN_EXTENT_M
    few = EXHAUSTIVE_MAX_LOCATED_PHOTOS if spatial_tells else EXHAUSTIVE_MAX_PHOTOS
    if len(photos) <= few:
        return Pairing.EXHAUSTIVE
    return Pairing.SPATIAL if spatial_tells else Pairing.SEQUENTIAL


def _mostly_located(photos: Sequence[Photo]) -> bool:
    return sum(photo.position is not None for photo in photos) >= LOCATED_SHARE * len(photos)


def _extent(photos: Sequence[Photo]) -> float:
    """Metres across which four fifths of the located photos lie: one in the ocean doesn't count."""
    enu = local_positions([photo for photo in photos if photo.position is not None])
    return 2 * float(np.percentile(np.linalg.norm(enu[:, :2], axis=1), 80)) if len(enu) else 0.0


def _places(photos: Sequence[Photo]) -> Floats:
    """(N, 2) metres east and north; NaN for photos without a position."""
    places = np.full((len(photos), 2), np.nan)
    has_place = [photo.position is not None for photo in photos]
    places[has_place] = local_positions([photo for photo in photos if photo.position is not None])[:, :2]
    return places


def _likeliest_partners(index: int, ordered: Sequence[Photo], places: Floats) -> list[Pair]:
    """Pairs of photo `index` with `RETRY_PARTNERS` others at most: next in order and nearest, in turn."""
    by_order = np.argsort(np.abs(np.arange(len(ordered)) - index), kind="stable")
    distance = np.linalg.norm(places - places[index], axis=1)
    by_place = np.argsort(distance, kind="stable")[: np.isfinite(distance).sum()]
    turns = chain.from_iterable(zip_longest(by_order, by_place))
    others = dict.fromkeys(int(other) for other in turns if other is not None and other != index)
    name = ordered[index].name
    partners = (ordered[other].name for other in islice(others, RETRY_PARTNERS))
    return [(min(name, other), max(name, other)) for other in partners]
