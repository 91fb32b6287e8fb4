"""Every photo with every other: nothing is missed, and the cost grows with N²."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from spaceport_sfm.pairing.pair import Pair
from spaceport_sfm.photo import Photo


def exhaustive(photos: Sequence[Photo]) -> Iterator[Pair]:
    """All N (N - 1) / 2 pairs."""
    return combinations((photo.name for photo in photos), 2)
