"""How long the work will take: a cost model of the steps, by what is known before each begins.

Its CPU-seconds are those of a 2-core server (Intel Xeon), measured at 1600 pixels on brighton (18 photos,
85 pairs) and on demo flights of 20 and 60; what a run's own machine makes of them is for `pace` to find out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from spaceport_sfm.photo import Photo
from spaceport_sfm.steps import (
    FEATURES,
    MAPPING,
    MAPPING_MORE,
    MATCHING,
    MATCHING_MORE,
    PLACEMENT,
    REFINEMENT,
    SEEDS,
    UNDISTORTION,
    Step,
)

FEATURES_S_PER_MEGAPIXEL = 0.55
# All features of a photo with all of another: 0.03 at 640 pixels, 0.23 at 1600, where their number ends.
MATCHING_S_PER_PAIR = 0.025
MATCHING_S_PER_SQUARE_MEGAPIXEL = 0.1
MOST_MEGAPIXELS_MATCHED = 1.5
# Pairs that overlap show the same points: 0.025 on brighton
# (0.033 at 640 pixels), 0.042 and 0.044 on the demo flights.
MAPPING_S_PER_PAIR_AND_MEGAPIXEL = 0.035
# 0.068e-3 on brighton, 0.064e-3 at 640 pixels, 0.077e-3 on the demo flight of 20, some 0.1e-3 on that of 200.
MAPPING_S_PER_MATCHED_FEATURE = 0.075e-3
REFINEMENT_OF_MAPPING = 0.25  # 0.39, 0.17 and 0.26 of mapping's seconds
PLACEMENT_S_PER_PHOTO = 0.015
UNDISTORTION_S_PER_MEGAPIXEL = 0.085
SEEDS_S_PER_PHOTO = 0.3


@dataclass(frozen=True)
class Effort:
    """What a step is expected to take: CPU-seconds, on as many cores at once as it can use."""

    cpu_seconds: float
    cores: float = 1.0


@dataclass(frozen=True)
class Workload:
    """What the time depends on: `megapixels` of all photos as normalised, `pairs` to match."""

    photos: int
    megapixels: float
    pairs: int
    cores: int

    @classmethod
    def of(cls, photos: Sequence[Photo], pairs: int, cores: int) -> Workload:
        """The work on `photos` with `pairs` of them to match."""
        megapixels = sum(photo.width * photo.height for photo in photos) / 1e6
        return cls(len(photos), megapixels, pairs, cores)

    @property
    def megapixels_of_photo(self) -> float:
        return self.megapixels / self.photos


def expected_efforts(work: Workload, *, seeds: bool) -> dict[Step, Effort]:
    """Of the steps after the photos' check."""
    rounds = math.ceil(work.photos / work.cores)  # one photo is one thread's
    expected = {
        FEATURES: Effort(FEATURES_S_PER_MEGAPIXEL * work.megapixels, work.photos / rounds),
        MATCHING: _matching(work),
        **_mapping_and_refinement(_mapping_s(work)),
        PLACEMENT: Effort(PLACEMENT_S_PER_PHOTO * work.photos),
        UNDISTORTION: Effort(UNDISTORTION_S_PER_MEGAPIXEL * work.megapixels, work.cores),
    }
    return {**expected, SEEDS: Effort(SEEDS_S_PER_PHOTO * work.photos)} if seeds else expected


def expected_efforts_after_matching(matched_features: int) -> dict[Step, Effort]:
    """Of what depends on how much the photos have in common, which only matching tells."""
    return _mapping_and_refinement(MAPPING_S_PER_MATCHED_FEATURE * matched_features)


def expected_efforts_of_more(work: Workload) -> dict[Step, Effort]:
    """Of the second try with the pairs of `work`."""
    return {MATCHING_MORE: _matching(work), MAPPING_MORE: Effort(_mapping_s(work))}


def _matching(work: Workload) -> Effort:
    of_photo = min(work.megapixels_of_photo, MOST_MEGAPIXELS_MATCHED)
    of_pair = MATCHING_S_PER_PAIR + MATCHING_S_PER_SQUARE_MEGAPIXEL * of_photo**2
    return Effort(work.pairs * of_pair, work.cores)


def _mapping_s(work: Workload) -> float:
    return MAPPING_S_PER_PAIR_AND_MEGAPIXEL * work.pairs * work.megapixels_of_photo


def _mapping_and_refinement(mapping_s: float) -> dict[Step, Effort]:
    return {MAPPING: Effort(mapping_s), REFINEMENT: Effort(REFINEMENT_OF_MAPPING * mapping_s)}
