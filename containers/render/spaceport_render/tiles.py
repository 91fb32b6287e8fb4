"""Which footprints touch which tiles of the image, front to back."""

# ruff: noqa: PLR0917 - a kernel takes its arrays one by one

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spaceport_render.kernel import inlined, kernel


@dataclass(frozen=True)
class Touches:
    """Every pair of a tile and a footprint that touches it, M in all.

    Attributes:
        tile_start: (tiles + 1,) int64: tile t's pairs are those from `tile_start[t]` to `tile_start[t + 1]`.
        footprint: (M,) int32, the footprint of each pair, by tile and front to back.
        slot: (M,) int32, the place of each pair in the order by footprint.
        footprint_start: (footprints + 1,) int64: footprint n's slots are those from `footprint_start[n]`
            to `footprint_start[n + 1]`. What is computed by tile is stored by slot, so that it can then
            be summed by footprint in parallel, always in the same order.
    """

    tile_start: NDArray[np.int64]
    footprint: NDArray[np.int32]
    slot: NDArray[np.int32]
    footprint_start: NDArray[np.int64]


def front_to_back(depths: NDArray[np.float32], radii: NDArray[np.int32]) -> NDArray[np.int64]:
    """Indices of what is drawn (radius > 0), by depth, and by index where that is equal."""
    drawn = np.flatnonzero(radii)
    # Positive floats sort as their bits do, so one plain sort of depth and index packed in 64 bits is enough.
    keys = depths[drawn].view(np.uint32).astype(np.uint64) << np.uint64(32) | drawn.astype(np.uint64)
    keys.sort()
    return (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)


def find_touches(footprints: NDArray[np.void], across: int, down: int, size: int) -> Touches:
    """The pairs for an image of `across` × `down` tiles of `size` × `size` pixels."""
    tile_start = np.zeros(across * down + 1, np.int64)
    footprint_start = np.zeros(len(footprints) + 1, np.int64)
    _count(footprints, across, down, size, tile_start, footprint_start)
    np.cumsum(tile_start, out=tile_start)
    np.cumsum(footprint_start, out=footprint_start)
    footprint = np.empty(tile_start[-1], np.int32)
    slot = np.empty(tile_start[-1], np.int32)
    _fill(footprints, across, down, size, tile_start[:-1].copy(), footprint, slot)
    return Touches(tile_start, footprint, slot, footprint_start)


@inlined
def _span(center, reach, count, size):
    """The first tile along an axis that `center` ± `reach` touches, and the one after the last."""
    low = min(max(math.floor((center - reach) / size), 0), count)
    high = min(max(math.floor((center + reach) / size) + 1, 0), count)
    return int(low), int(high)


@kernel()
def _count(footprints, across, down, size, tile_start, footprint_start):
    """Leaves each count one place late: the running sum then holds the starts."""
    for n in range(len(footprints)):
        left, right = _span(footprints[n].x, footprints[n].reach_x, across, size)
        top, bottom = _span(footprints[n].y, footprints[n].reach_y, down, size)
        footprint_start[n + 1] = (right - left) * (bottom - top)
        for row in range(top, bottom):
            for column in range(left, right):
                tile_start[row * across + column + 1] += 1


@kernel()
def _fill(footprints, across, down, size, next_place, footprint, slot):
    next_slot = 0
    for n in range(len(footprints)):
        left, right = _span(footprints[n].x, footprints[n].reach_x, across, size)
        top, bottom = _span(footprints[n].y, footprints[n].reach_y, down, size)
        for row in range(top, bottom):
            for column in range(left, right):
                place = next_place[row * across + column]
                next_place[row * across + column] += 1
                footprint[place] = n
                slot[place] = next_slot
                next_slot += 1
