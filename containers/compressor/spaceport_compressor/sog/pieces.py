"""Gaussians in pieces: what lies between a model and its file then takes megabytes, however large the model.

A model of 3M Gaussians has 0.7 GB; an intermediate result of its harmonics in float64 would have 1.1.
"""

from __future__ import annotations

from collections.abc import Iterator

PIECE = 65_536  # Gaussians: 12 MB of harmonics, and few enough calls that their own cost is not seen


def pieces(count: int) -> Iterator[slice]:
    """Slices that cover `range(count)`, one after the other."""
    for first in range(0, count, PIECE):
        yield slice(first, min(first + PIECE, count))
