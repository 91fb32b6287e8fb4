"""Each photo with those taken soon after it: for sets without GPS, and for the strays of sets with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spaceport_sfm.pairing.pair import Pair
from spaceport_sfm.photo import Photo

# As COLMAP's sequential matcher: the next ten, and ever rarer ones (every power of two) to close loops.
OVERLAP = 10
REACH = 512
STEPS = sorted({*range(1, OVERLAP + 1), *(1 << power for power in range(REACH.bit_length()))})


def sequential(photos: Sequence[Photo], only: Sequence[Photo] | None = None) -> Iterator[Pair]:
    """Each photo with the next ones in capture order; with `only`, just the pairs one of those is in."""
    ordered = capture_order(photos)
    wanted = None if only is None else {photo.name for photo in only}
    for index, photo in enumerate(ordered):
        for step in STEPS:
            if index + step < len(ordered):
                other = ordered[index + step]
                if wanted is None or photo.name in wanted or other.name in wanted:
                    yield photo.name, other.name


def capture_order(photos: Sequence[Photo]) -> list[Photo]:
    """By capture time where every photo has one, else by name; of one second, by name."""
    ordered = sorted(photos, key=lambda photo: photo.name)
    if all(photo.taken for photo in photos):
        ordered.sort(key=lambda photo: photo.taken)
    return ordered
