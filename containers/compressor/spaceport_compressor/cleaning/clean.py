"""Applies the rules of this package in their order, and counts what each takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spaceport.errors import UserError
from spaceport.quality import RemovedGaussians
from spaceport.tuning import Tuning
from spaceport_compressor.cleaning.crop import outside
from spaceport_compressor.cleaning.duplicates import merge_duplicates
from spaceport_compressor.cleaning.flight import Flight, least_shown
from spaceport_compressor.cleaning.floaters import floaters
from spaceport_compressor.cleaning.invisible import invisible
from spaceport_render.gaussians import Gaussians

# What a crop takes may have painted this share of any one photo: oblique ones show much beyond their ground.
# A share of all photos would not do: an oblique photo of a demo flight lost 3.3 dB so (docs/cleaning.md).
MOST_CROPPED = 0.001


@dataclass(frozen=True)
class Rules:
    """Which rules apply; the settings of the same names tell what each does.

    Attributes:
        crop_margin: as a share of a photo's size on the ground.
    """

    remove_invisible: bool = True
    merge_duplicates: bool = True
    remove_floaters: bool = True
    crop: bool = True
    crop_margin: float = 0.25

    @classmethod
    def of(cls, tuning: Tuning) -> Rules:
        return cls(
            remove_invisible=tuning.remove_invisible,
            merge_duplicates=tuning.merge_duplicates,
            remove_floaters=tuning.remove_floaters,
            crop=tuning.crop,
            crop_margin=tuning.crop_margin,
        )


@dataclass(frozen=True)
class Cleaned:
    """What is left, and how many went by which rule."""

    gaussians: Gaussians
    removed: RemovedGaussians


def clean(gaussians: Gaussians, flight: Flight | None, rules: Rules) -> Cleaned:
    """Take away what is not worth delivering: first what no picture shows, then what should be in none.

    Args:
        gaussians: none of them broken.
        flight: None where the model's photos are not known; then nothing tells what floats, or is outside.

    Raises:
        UserError: `empty_model`, where nothing is to be seen; `wrong_scene`, where no photo shows any of it.
    """
    faint = invisible(gaussians)
    if faint.all():
        raise _nothing_to_see()
    if flight and not flight.shows_any(gaussians):  # what judges the file would see no difference
        raise UserError(
            "wrong_scene",
            "No photo of the scene shows anything of the model.",
            "Give the scene that the model was trained on; both must be in the same axes.",
        )
    counts: dict[str, int] = {}

    def take(kept: Gaussians, **masks: NDArray[np.bool_]) -> Gaussians:
        gone = np.zeros(len(kept), dtype=bool)
        for rule, mask in masks.items():
            counts[rule] = int((mask & ~gone).sum())
            gone |= mask
        return kept.select(~gone) if gone.any() else kept

    if rules.remove_invisible:
        gaussians = take(gaussians, invisible=faint)
    if rules.merge_duplicates:
        merged = merge_duplicates(gaussians)
        gaussians = take(merged.gaussians, duplicates=merged.spare)
    if flight and (rules.remove_floaters or rules.crop):
        gaussians = take(gaussians, **_unwanted(gaussians, flight, rules))
    if not len(gaussians):
        raise _nothing_to_see()
    return Cleaned(gaussians, RemovedGaussians(**counts))


def _unwanted(gaussians: Gaussians, flight: Flight, rules: Rules) -> dict[str, NDArray[np.bool_]]:
    """By rule what the flight tells to be wrong: a (N,) mask each."""
    shown = flight.shows(gaussians)
    masks = {}
    if rules.remove_floaters:
        masks |= vars(floaters(gaussians, flight, shown))
    if rules.crop:
        is_outside = outside(gaussians, flight, rules.crop_margin)
        usual = float(shown.pixels.sum()) / shown.of  # pixels that the model paints in a photo
        # No photo loses more than the sum of what each Gaussian paints where it paints most.
        masks["outside"] = least_shown(is_outside, shown.most, MOST_CROPPED * usual)
    return masks


def _nothing_to_see() -> UserError:
    return UserError("empty_model", "The model has nothing to be seen.", "Train again, with more photos.")
