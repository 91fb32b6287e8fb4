"""256 scalar levels fitted to the values they stand for: Lloyd–Max quantisation (Lloyd 1982)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVELS = 256  # one byte a value, as SOG has it
MAX_ITERATIONS = 100  # it settles long before on real attributes; a bound, not a tuning
DIGITS = 6  # significant digits that meta.json carries: 1e-6 is far below half a step of any level


@dataclass(frozen=True)
class Codebook:
    """Levels in rising order.

    Attributes:
        levels: (256,) float64, each of at most six significant digits.
    """

    levels: NDArray[np.float64]

    def encode(self, values: NDArray[np.floating]) -> NDArray[np.uint8]:
        """The index of the level nearest to each of `values`, of the same shape."""
        borders = (self.levels[1:] + self.levels[:-1]) / 2
        return np.searchsorted(borders, values).astype(np.uint8)

    def decode(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The level that each of `codes` names, of the same shape."""
        return self.levels.astype(np.float32)[codes]


def fit_codebook(values: NDArray[np.floating]) -> Codebook:
    """The codebook with (locally) the least squared error over `values`, of any shape, at least one.

    One-dimensional k-means on the sorted values: the cells are intervals, so prefix sums give each
    cell's mean and an iteration costs 256 binary searches however many values there are.
    """
    ordered = np.sort(values, axis=None).astype(np.float64)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    levels = _first_levels(ordered)
    for _ in range(MAX_ITERATIONS):
        borders = np.searchsorted(ordered, (levels[1:] + levels[:-1]) / 2)
        edges = np.concatenate([[0], borders, [len(ordered)]])
        counts = np.diff(edges)
        moved = np.where(counts > 0, np.diff(sums[edges]) / np.maximum(counts, 1), levels)
        if np.array_equal(moved, levels):
            break
        levels = np.sort(moved)
    return Codebook(np.array([float(f"{level:.{DIGITS}g}") for level in levels]))


def _first_levels(ordered: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half the levels follow the density, half the range: the sparse tails keep levels of their own."""
    half = LEVELS // 2
    quantiles = ordered[((np.arange(half) + 0.5) / half * len(ordered)).astype(np.intp)]
    return np.sort(np.concatenate([quantiles, np.linspace(ordered[0], ordered[-1], LEVELS - half)]))
