"""Applies the rules of this package in their order, and counts what each takes."""

from __future__ import annotations

from dataclasses import dataclass

from spaceport.errors import UserError
from spaceport.quality import RemovedGaussians
from spaceport_compressor.cleaning.broken import broken, refuse_mostly_broken, with_finite_logarithms
from spaceport_compressor.cleaning.duplicates import merge_duplicates
from spaceport_compressor.cleaning.invisible import invisible
from spaceport_render.gaussians import Gaussians


@dataclass(frozen=True)
class Cleaned:
    """What is left, and how many went by which rule."""

    gaussians: Gaussians
    removed: RemovedGaussians


def without_dross(gaussians: Gaussians, model: str) -> Cleaned:
    """`gaussians` without those that show in no picture, and with one in the place of several equal ones.

    Args:
        model: its name, for messages.

    Raises:
        UserError: `empty_model` where none are left, `broken_model` where most are broken.
    """
    gaussians = with_finite_logarithms(gaussians)
    is_broken = broken(gaussians)
    refuse_mostly_broken(is_broken, model)
    sound = gaussians.select(~is_broken)
    is_invisible = invisible(sound)
    merged = merge_duplicates(sound.select(~is_invisible))
    left = merged.gaussians.select(~merged.spare)
    if not len(left):
        raise UserError(
            "empty_model", f"{model} holds no Gaussians to be seen.", "Train again, with more photos."
        )
    removed = RemovedGaussians(
        broken=int(is_broken.sum()),
        invisible=int(is_invisible.sum()),
        duplicates=int(merged.spare.sum()),
    )
    return Cleaned(left, removed)
