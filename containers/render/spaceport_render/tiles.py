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


def front_to_back(depths: NDArray[np.float32]) -> NDArray[np.int64]:
    """The indices of positive `depths` in rising order, and by index where depths are equal."""
    # Positive floats sort as their bits do, so one plain sort of depth and index packed in 64 bits is enough.
    keys = depths.view(np.uint32).astype(np.uint64) << np.uint64(32) | np.arange(len(depths), dtype=np.uint64)
    keys.sort()
    return (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)


def find_touches(footprints: NDArray[np.void], across: int, down: int, width: int, height: int) -> Touches:
    """The pairs for an image of `across` × `down` tiles of `width` × `height` pixels."""
    order = front_to_back(np.ascontiguousarray(footprints["depth"]))
    tile_start = np.zeros(across * down + 1, np.int64)
    footprint_start = np.zeros(len(footprints) + 1, np.int64)
    _count(footprints, across, down, width, height, tile_start, footprint_start)
    np.cumsum(tile_start, out=tile_start)
    np.cumsum(footprint_start, out=footprint_start)
    footprint = np.empty(tile_start[-1], np.int32)
    slot = np.empty(tile_start[-1], np.int32)
    next_place = tile_start[:-1].copy()
    _fill(footprints, order, across, down, width, height, footprint_start, next_place, footprint, slot)
    return Touches(tile_start, footprint, slot, footprint_start)


@inlined
def _span(center, reach, count, size):
    """The first tile along an axis that `center` ± `reach` touches, and the one after the last."""
    low = min(max(math.floor((center - reach) / size), 0), count)
    high = min(max(math.floor((center + reach) / size) + 1, 0), count)
    return int(low), int(high)


@kernel()
def _count(footprints, across, down, width, height, tile_start, footprint_start):
    """Leaves each count one place late: the running sum then holds the starts."""
    for n in range(len(footprints)):
        left, right = _span(footprints[n].x, footprints[n].reach_x, across, width)
        top, bottom = _span(footprints[n].y, footprints[n].reach_y, down, height)
        footprint_start[n + 1] = (right - left) * (bottom - top)
        for row in range(top, bottom):
            for column in range(left, right):
                tile_start[row * across + column + 1] += 1


@kernel()
def _fill(footprints, order, across, down, width, height, footprint_start, next_place, footprint, slot):
    for n in order:
        left, right = _span(footprints[n].x, footprints[n].reach_x, across, width)
        top, bottom = _span(footprints[n].y, footprints[n].reach_y, down, height)
        next_slot = footprint_start[n]
        for row in range(top, bottom):
            for column in range(left, right):
                place = next_place[row * across + column]
                next_place[row * across + column] += 1
                footprint[place] = n
                slot[place] = next_slot
                next_slot += 1
