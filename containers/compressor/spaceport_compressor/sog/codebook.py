"""Up to 256 scalar levels fitted to the values they stand for: Lloyd–Max quantisation (Lloyd 1982)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LISTED = 256  # levels that a SOG file lists; a code is one byte
MAX_ITERATIONS = 100  # it settles long before on real attributes; a bound, not a tuning
DIGITS = 4  # significant digits that meta.json carries: a hundredth of a step between 256 levels


@dataclass(frozen=True)
class Codebook:
    """Levels in rising order.

    Attributes:
        levels: (L,) float64, L up to 256, each of at most four significant digits.
    """

    levels: NDArray[np.float64]

    def encode(self, values: NDArray[np.floating]) -> NDArray[np.uint8]:
        """The index of the level nearest to each of `values`, of the same shape."""
        borders = (self.levels[1:] + self.levels[:-1]) / 2
        return np.searchsorted(borders, values).astype(np.uint8)

    def listed(self) -> list[float]:
        """The 256 levels for the file; those left over are zeros (few bytes), and never named."""
        return [*self.levels.tolist(), *[0.0] * (LISTED - len(self.levels))]

    def decode(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The level that each of `codes` names, of the same shape."""
        return self.levels.astype(np.float32)[codes]


def fit_codebook(values: NDArray[np.floating], count: int = LISTED) -> Codebook:
    """The codebook of `count` levels with (locally) the least squared error over `values`.

    Args:
        values: at least one, of any shape.

    One-dimensional k-means on the sorted values: the cells are intervals, so prefix sums give each
    cell's mean and an iteration costs a few hundred binary searches however many values there are.
    """
    ordered = np.sort(values, axis=None).astype(np.float64)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    levels = _first_levels(ordered, count)
    for _ in range(MAX_ITERATIONS):
        borders = np.searchsorted(ordered, (levels[1:] + levels[:-1]) / 2)
        edges = np.concatenate([[0], borders, [len(ordered)]])
        counts = np.diff(edges)
        moved = np.where(counts > 0, np.diff(sums[edges]) / np.maximum(counts, 1), levels)
        if np.array_equal(moved, levels):
            break
        levels = np.sort(moved)
    return Codebook(np.array([float(f"{level:.{DIGITS}g}") for level in levels]))


def _first_levels(ordered: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Half the levels follow the density, half the range: the sparse tails keep levels of their own."""
    half = count // 2
    quantiles = ordered[((np.arange(half) + 0.5) / half * len(ordered)).astype(np.intp)]
    return np.sort(np.concatenate([quantiles, np.linspace(ordered[0], ordered[-1], count - half)]))
