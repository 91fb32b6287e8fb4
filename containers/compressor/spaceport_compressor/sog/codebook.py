"""Up to 256 scalar levels fitted to the values they stand for: k-means in one dimension, solved exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spaceport_render.kernel import kernel

LISTED = 256  # levels that a SOG file lists; a code is one byte
# Borders that cells may have, half of them even in the values' range, half in their number. With four times
# as many, levels of real models get 0.01 dB nearer.
BORDERS = 4096
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
    """The codebook of at most `count` levels with the least squared error over `values`.

    Args:
        values: at least one, of any shape.

    In one dimension the best cells are intervals, and the best cut of the first j values into k cells goes
    on from the best cut of fewer values into k − 1: dynamic programming finds the optimum (Wang & Song,
    "Ckmeans.1d.dp", R Journal 2011), here over the cuts at `BORDERS` places, in 0.2 s for 900K values.
    A hundred of Lloyd's iterations left sizes 1.3 to 2.3 dB worse on trained models, harmonics 1.6 to
    2.1 dB and base colours 0.4 to 0.5 dB. Of the decoded pictures it is 0.1 dB where every code is the
    nearest, and nothing where codes are chosen for their price.
    """
    ordered = np.sort(values, axis=None)
    borders = _borders(ordered)
    parts = borders[:-1]
    shifted = ordered - ordered.mean(dtype=np.float64)  # the differences of sums below lose fewer digits
    sums = np.concatenate([[0.0], np.add.reduceat(shifted, parts).cumsum()])
    squares = np.concatenate([[0.0], np.add.reduceat(np.square(shifted, out=shifted), parts).cumsum()])
    del shifted
    cuts = np.empty(min(count, len(borders) - 1) + 1, dtype=np.intp)
    _best_cuts(borders.astype(np.float64), sums, squares, cuts)
    edges = borders[cuts]
    levels = np.add.reduceat(ordered, edges[:-1], dtype=np.float64) / np.diff(edges)
    return Codebook(np.array([float(f"{level:.{DIGITS}g}") for level in levels]))


def _borders(ordered: NDArray[np.floating]) -> NDArray[np.intp]:
    """Where cells may begin and end, as indices into the sorted values; never between equal ones."""
    steps = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    if len(steps) > BORDERS:
        half = BORDERS // 2
        even = np.linspace(ordered[0], ordered[-1], half + 1)[1:-1]
        dense = ordered[np.arange(1, half) * len(ordered) // half]
        steps = np.unique(np.searchsorted(ordered, np.concatenate([even, dense])))
        steps = steps[(steps > 0) & (steps < len(ordered))]
    return np.concatenate([[0], steps, [len(ordered)]])


@kernel()
def _best_cuts(numbers, sums, squares, cuts):
    """Fills `cuts` with the borders, of those that the cumulated statistics stand at, between the best cells.

    The best last cut moves on with the values' end, so each half of the ends is looked for in its own part
    of the cuts (Grønlund et al., "Fast exact k-means in 1D", 2017): count · borders · log(borders) steps.
    """
    ends, cells = len(numbers), len(cuts) - 1
    before, errors = np.empty(ends), np.empty(ends)
    last_cut = np.zeros((cells, ends), np.int32)
    parts = np.empty((64, 4), np.int64)  # to be done: from and to of the ends, and of their cuts
    for cell in range(cells):
        parts[0, 0], parts[0, 1] = cell + 1, ends - 1
        parts[0, 2], parts[0, 3] = cell, ends - 2
        waiting = 1
        while waiting > 0:
            waiting -= 1
            first, last, lowest, highest = parts[waiting]
            if first > last:
                continue
            end = (first + last) // 2
            least, chosen = np.inf, lowest
            for cut in range(lowest, min(highest, end - 1) + 1):
                if cell == 0 and cut > 0:
                    break
                total = sums[end] - sums[cut]
                error = squares[end] - squares[cut] - total * total / (numbers[end] - numbers[cut])
                if cell > 0:
                    error += before[cut]
                if error < least:
                    least, chosen = error, cut
            errors[end], last_cut[cell, end] = least, chosen
            parts[waiting] = first, end - 1, lowest, chosen
            parts[waiting + 1] = end + 1, last, chosen, highest
            waiting += 2
        before, errors = errors, before
    cuts[cells] = ends - 1
    for cell in range(cells - 1, -1, -1):
        cuts[cell] = last_cut[cell, cuts[cell + 1]]
