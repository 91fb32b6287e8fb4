"""A similarity fitted to measured positions of which some are wrong, by metres or by continents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from math import ceil, comb, sqrt

import numpy as np
from numpy.typing import NDArray

from spaceport_sfm.placement.similarity import (
    UP,
    Floats,
    Gravity,
    Mask,
    Similarity,
    Uncertainty,
    from_two_and_up,
    refine,
    umeyama,
    uncertainty,
)

MIN_POSITIONS = 3
# A similarity has 7 unknowns and three positions give 9 numbers: with fewer than five positions, what a
# sample leaves can't tell a good sample from a bad one, so all are trusted.
MIN_FOR_OUTLIERS = 5
SAMPLES = 300  # of each kind: with half of the positions wrong, every eighth sample of three is clean
# A fit is judged by the distance within which this share of the positions lies, not by their median: of
# two flights in one set, one with its altitudes off, only half is right.
JUDGED_SHARE = 0.4
SHARE_TO_SIGMA = 1 / 1.367  # of a normal distribution in space, where 40 % lie within 1.367 σ
OUTLIER_SIGMAS = 4.5  # normal errors in space reach it once in 6,000 positions
REFITS = 10  # converges in 2-4; stops then
# The positions say too little where the fit's own error is larger. Receivers' errors drift rather than
# scatter, so that the true error may be some times what the scatter says.
MAX_SCALE_ERROR = 0.05
MAX_ANGLE_ERROR = np.radians(5.0)
# Gravity contradicts the positions (cameras held askew) where it is off by more than both allow.
CONTRADICTION_SIGMAS = 4.0
# The claimed sigmas count as much as the scatter of so many coordinates beyond the unknowns: three
# positions, with two, may fit by chance.
CLAIM_FREEDOM = 8
UNKNOWNS = 7


@dataclass(frozen=True)
class Measurements:
    """Positions as measured, metres.

    Attributes:
        target: (N, 3).
        sigmas: (N, 3) standard deviations as claimed or usual; infinite where a coordinate is unknown.
        floors: (N,) distances within which nothing is called wrong.
        least_scatter: how many times smaller than claimed the errors may turn out: 1 takes the claims for
            the least there is; at 0, exact positions would get infinite weight.
    """

    target: Floats
    sigmas: Floats
    floors: Floats
    least_scatter: float = 0.02


@dataclass(frozen=True)
class Fit:
    """A similarity, and what it rests on.

    Attributes:
        level, height: (N,) masks of the positions whose east and north, and whose up, were used.
        uncertainty: of the similarity.
        up_is_gravity: whether the positions alone leave open which way is up.
        askew: the angle between gravity and up by the positions, radians, where it was too large to be
            used; else None.
    """

    similarity: Similarity
    level: Mask
    height: Mask
    uncertainty: Uncertainty
    up_is_gravity: bool = False
    askew: float | None = None


def fit_robustly(source: Floats, measured: Measurements, gravity: Gravity | None, seed: int) -> Fit | None:
    """The similarity that takes `source` (N, 3) to where most positions agree; None if they say too little.

    Least quantile of squares over samples of three positions, and of two with gravity (Rousseeuw, "Least
    median of squares regression", 1984), then weighted least squares of all that lies within 4.5 sigmas.
    A position whose altitude alone is wrong keeps its east and north.
    """
    if len(source) < MIN_POSITIONS:
        return None
    starts = _starts(source, measured, gravity, seed)
    alone = _best_fit(starts, source, measured, None)
    if gravity is None:
        return alone
    if alone is not None:
        angle = float(np.arccos(np.clip(alone.similarity.rotation @ gravity.up @ UP, -1.0, 1.0)))
        if angle > CONTRADICTION_SIGMAS * np.hypot(alone.uncertainty.tilt, gravity.sigma):
            return replace(alone, askew=angle)
    both = _best_fit(starts, source, measured, gravity)
    return None if both is None else replace(both, up_is_gravity=alone is None)


def _starts(source: Floats, measured: Measurements, gravity: Gravity | None, seed: int) -> list[Similarity]:
    """The best fit to three positions, and the best to two and gravity."""
    complete = np.flatnonzero(np.isfinite(measured.sigmas).all(axis=1))
    usable = complete if len(complete) >= MIN_POSITIONS else np.arange(len(source))
    threes = [umeyama(source[sample], measured.target[sample]) for sample in _samples(usable, 3, seed)]
    kinds = [threes]
    if gravity is not None:
        twos = (
            from_two_and_up(source[sample], measured.target[sample], gravity.up)
            for sample in _samples(usable, 2, seed)
        )
        kinds.append([fit for fit in twos if fit is not None])
    return [min(fits, key=lambda fit: _scatter(fit, source, measured)) for fits in kinds if fits]


def _samples(usable: NDArray[np.intp], size: int, seed: int) -> Iterator[list[int]]:
    if comb(len(usable), size) <= SAMPLES:
        yield from (list(sample) for sample in combinations(usable.tolist(), size))
        return
    random = np.random.default_rng(seed)
    for _ in range(SAMPLES):
        yield random.choice(usable, size, replace=False).tolist()


def _best_fit(
    starts: list[Similarity], source: Floats, measured: Measurements, gravity: Gravity | None
) -> Fit | None:
    """The best of what the starts lead to, where that is well determined."""
    fits = [fit for start in starts if (fit := _refitted(start, source, measured, gravity)) is not None]

    def cost(fit: Fit) -> float:
        off = 0.0 if gravity is None else float(np.linalg.norm(fit.similarity.rotation @ gravity.up - UP))
        return _scatter(fit.similarity, source, measured) + (off / gravity.sigma if gravity else 0.0)

    best = min(fits, key=cost, default=None)
    if best is None:
        return None
    error = best.uncertainty
    angles = max(error.tilt, error.heading)
    return best if error.scale <= MAX_SCALE_ERROR and angles <= MAX_ANGLE_ERROR else None


def _refitted(
    start: Similarity, source: Floats, measured: Measurements, gravity: Gravity | None
) -> Fit | None:
    """Weighted least squares from `start` on, until the set of used positions no longer changes."""
    fit = start
    level, height = _agreeing(start, source, measured)
    for _ in range(REFITS):
        if level.sum() < MIN_POSITIONS:
            return None
        used = np.where(np.stack([level, level, height], axis=1), measured.sigmas, np.inf)
        fit = refine(fit, source, measured.target, _scatter(fit, source, measured) * used, gravity)
        again = _agreeing(fit, source, measured)
        if all((mine == its).all() for mine, its in zip(again, (level, height), strict=True)):
            break
        level, height = again
    error = _error_scale((fit.apply(source) - measured.target) / used, np.isfinite(used))
    return Fit(fit, level, height, uncertainty(fit, source, error * used, gravity))


def _agreeing(fit: Similarity, source: Floats, measured: Measurements) -> tuple[Mask, Mask]:
    """Masks (N,) of the positions whose east and north, and whose up, lie where `fit` puts them."""
    known = np.isfinite(measured.sigmas)
    level, height = known[:, :2].all(axis=1), known[:, 2]
    if len(source) < MIN_FOR_OUTLIERS:
        return level, level & height
    off = np.abs(fit.apply(source) - measured.target)
    allowed = OUTLIER_SIGMAS * _scatter(fit, source, measured)
    aside = np.linalg.norm(off[:, :2], axis=1)
    level &= aside <= np.maximum(allowed * measured.sigmas[:, 0], measured.floors)
    height &= off[:, 2] <= np.maximum(allowed * measured.sigmas[:, 2], measured.floors)
    return level, level & height


def _scatter(fit: Similarity, source: Floats, measured: Measurements) -> float:
    """How many times the claimed sigmas the better positions scatter about `fit`."""
    count = len(source)
    if count < MIN_FOR_OUTLIERS:
        return 1.0
    distances = np.sort(np.linalg.norm((fit.apply(source) - measured.target) / measured.sigmas, axis=1))
    judged = max(MIN_POSITIONS, ceil(JUDGED_SHARE * count) - 1)  # one more than a sample fits exactly
    absorbed = sqrt(3 * count / (3 * count - UNKNOWNS))  # the fit itself takes a part of the errors away
    return max(SHARE_TO_SIGMA * absorbed * float(distances[judged]), measured.least_scatter)


def _error_scale(residuals: Floats, used: Mask) -> float:
    """How many times their sigmas the used coordinates are off."""
    freedom = max(int(used.sum()) - UNKNOWNS, 0)
    return float(np.sqrt((CLAIM_FREEDOM + (residuals[used] ** 2).sum()) / (CLAIM_FREEDOM + freedom)))
