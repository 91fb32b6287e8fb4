"""Which photos judge a model: those kept away from training, and a fixed subset of those it learns from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from spaceport.errors import UserError

# Below this, each photo is worth more to the model than to the measurement.
_FEWEST_FOR_HOLDOUT = 24
# The usual share in the field (Mip-NeRF 360).
_USUAL = 8
_SUBSET = 8  # photos: the PSNR of a single one is noise, all of them cost time

Item = TypeVar("Item")


def split(names: Sequence[str], holdout: int | None) -> tuple[list[str], list[str]]:
    """(train, held): `names` in sorted order, every `holdout`-th from index `holdout // 2` on held out.

    Starting in the middle of the first group keeps the ends of a flight line, where photos overlap
    with one neighbour only, in training.

    Args:
        holdout: None holds out every 8th from 24 photos on, else none; 0 holds out none.

    Raises:
        UserError: `bad_tuning`, when nothing would be left to train on.
    """
    ordered = sorted(names)
    if holdout is None:
        holdout = _USUAL if len(ordered) >= _FEWEST_FOR_HOLDOUT else 0
    if holdout == 0:
        return ordered, []
    held = ordered[holdout // 2 :: holdout]
    train = [name for index, name in enumerate(ordered) if index % holdout != holdout // 2]
    if not train:
        raise UserError(
            "bad_tuning",
            f"holdout={holdout} of {len(ordered)} photos leaves none to train on.",
            "Choose 2 or more (8 is usual), or 0 to train on every photo.",
        )
    return train, held


def fixed_subset(items: Sequence[Item]) -> tuple[Item, ...]:
    """Up to eight of the training photos (or views of them), spread evenly over their order.

    Trainer and compressor judge by the same ones, so that their numbers can be compared.
    """
    count = min(_SUBSET, len(items))
    return tuple(items[(2 * i + 1) * len(items) // (2 * count)] for i in range(count))
