"""Which photos are kept away from training, so that the model can be judged on views it never saw."""

from __future__ import annotations

from collections.abc import Sequence

from spaceport.errors import UserError

# Below this, each photo is worth more to the model than to the measurement.
_FEWEST_FOR_HOLDOUT = 24
# The usual share in the field (Mip-NeRF 360).
_USUAL = 8


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
