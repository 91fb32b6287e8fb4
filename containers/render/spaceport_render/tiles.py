"""Which footprints touch which tiles of the image, front to back."""

# ruff: noqa: PLR0917 - a kernel takes its arrays one by one

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spaceport_render.kernel import inlined, kernel
from spaceport_render.threads import run_over

F = np.float32

# By how much an ellipse's edge may be misplaced by rounding, pixels; there the test of alpha decides.
ROUNDING = F(0.01)


@dataclass(frozen=True)
class Touches:
    """Every pair of a tile and a footprint that touches it, M in all.

    Attributes:
        tile_start: (tiles + 1,) int64: tile t's pairs are those from `tile_start[t]` to `tile_start[t + 1]`.
        footprint: (M,) int32, the footprint of each pair, by tile and front to back.
        rows: (M, 2) uint8, the tile's rows that the footprint touches: the first, and the one after the last.
        slot: (M,) int32, the place of each pair in the order by footprint.
        footprint_start: (footprints + 1,) int64: footprint n's slots are those from `footprint_start[n]`
            to `footprint_start[n + 1]`. What is computed by tile is stored by slot, so that it can then
            be summed by footprint in parallel, always in the same order.
    """

    tile_start: NDArray[np.int64]
    footprint: NDArray[np.int32]
    slot: NDArray[np.int32]
    rows: NDArray[np.uint8]
    footprint_start: NDArray[np.int64]


def front_to_back(depths: NDArray[np.float32]) -> NDArray[np.int64]:
    """The indices of positive `depths` in rising order, and by index where depths are equal."""
    # Positive floats sort as their bits do, so one plain sort of depth and index packed in 64 bits is enough.
    keys = depths.view(np.uint32).astype(np.uint64) << np.uint64(32) | np.arange(len(depths), dtype=np.uint64)
    keys.sort()
    return (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)


def find_touches(footprints: NDArray[np.void], across: int, down: int, width: int, height: int) -> Touches:
    """The pairs for an image of `across` × `down` tiles of `width` × `height` pixels."""
    strip_start = np.zeros(len(footprints) + 1, np.int64)
    run_over(len(footprints), _count_strips, footprints, across, width, strip_start)
    np.cumsum(strip_start, out=strip_start)
    strips = np.empty((strip_start[-1], 2), np.int32)
    run_over(len(footprints), _find_strips, footprints, strip_start, across, width, down * height, strips)

    tile_start = np.zeros(across * down + 1, np.int64)
    footprint_start = np.zeros(len(footprints) + 1, np.int64)
    _count(footprints, strip_start, strips, across, width, height, tile_start, footprint_start)
    np.cumsum(tile_start, out=tile_start)
    np.cumsum(footprint_start, out=footprint_start)
    footprint = np.empty(tile_start[-1], np.int32)
    slot = np.empty(tile_start[-1], np.int32)
    rows = np.empty((tile_start[-1], 2), np.uint8)
    order = front_to_back(np.ascontiguousarray(footprints["depth"]))
    next_place = tile_start[:-1].copy()
    _fill(
        footprints, order, strip_start, strips, across, width, height, footprint_start, next_place,
        footprint, slot, rows,
    )  # fmt: skip
    return Touches(tile_start, footprint, slot, rows, footprint_start)


@inlined
def _columns(footprint, across, width):
    """The first column of tiles that the ellipse's box touches, and the one after the last."""
    low = min(max(math.floor((footprint.x - footprint.reach_x) / width), 0), across)
    high = min(max(math.floor((footprint.x + footprint.reach_x) / width) + 1, 0), across)
    return int(low), int(high)


@kernel()
def _count_strips(first, end, footprints, across, width, strip_start):
    """Leaves each count one place late: the running sum then holds the starts."""
    for n in range(first, end):
        low, high = _columns(footprints[n], across, width)
        strip_start[n + 1] = high - low


@kernel()
def _find_strips(first, end, footprints, strip_start, across, width, rows, strips):
    """The rows of pixels that an ellipse touches, in each column of tiles that its box touches.

    So the tiles that an ellipse misses cost nothing, which are 3 of 11 that its box touches; culling by the
    ellipse is what StopThePop (Radl et al. 2024) and Speedy-Splat (Hanson et al. 2025) do.

    Args:
        rows: of all tiles together.
        strips: (S, 2) int32, filled: the first row, and the one after the last; twice 0 where a corner of the
            ellipse's box, but not the ellipse, lies in the column.
    """
    for n in range(first, end):
        footprint = footprints[n]
        reach_x, tip = footprint.reach_x, footprint.tip
        low, high = _columns(footprint, across, width)
        for column in range(low, high):
            # The centres of the column's first and last pixels, seen from the ellipse's.
            left = F(column * width) + F(0.5) - footprint.x
            first_x = max(left - ROUNDING, -reach_x)
            last_x = min(left + F(width - 1) + ROUNDING, reach_x)
            strip = strips[strip_start[n] + column - low]
            strip[0], strip[1] = 0, 0
            if first_x > last_x:
                continue
            at_top = min(max(-tip, first_x), last_x)
            at_bottom = min(max(tip, first_x), last_x)
            up = footprint.spread * math.sqrt(max(reach_x * reach_x - at_top * at_top, F(0)))
            down = footprint.spread * math.sqrt(max(reach_x * reach_x - at_bottom * at_bottom, F(0)))
            top = footprint.y + footprint.lean * at_top - up
            bottom = footprint.y + footprint.lean * at_bottom + down
            strip[0] = min(max(math.ceil(top - F(0.5) - ROUNDING), 0), rows)
            strip[1] = min(max(math.floor(bottom - F(0.5) + ROUNDING) + 1, 0), rows)


@kernel()
def _count(footprints, strip_start, strips, across, width, height, tile_start, footprint_start):
    """Leaves each count one place late: the running sum then holds the starts."""
    for n in range(len(footprints)):
        low, high = _columns(footprints[n], across, width)
        pairs = 0
        for column in range(low, high):
            top, bottom = strips[strip_start[n] + column - low]
            if top < bottom:
                for row in range(top // height, (bottom - 1) // height + 1):
                    tile_start[row * across + column + 1] += 1
                    pairs += 1
        footprint_start[n + 1] = pairs


@kernel()
def _fill(
    footprints, order, strip_start, strips, across, width, height, footprint_start, next_place,
    footprint, slot, rows,
):  # fmt: skip
    for n in order:
        low, high = _columns(footprints[n], across, width)
        next_slot = footprint_start[n]
        for column in range(low, high):
            top, bottom = strips[strip_start[n] + column - low]
            if top < bottom:
                for row in range(top // height, (bottom - 1) // height + 1):
                    place = next_place[row * across + column]
                    next_place[row * across + column] += 1
                    footprint[place] = n
                    slot[place] = next_slot
                    rows[place, 0] = max(top - row * height, 0)
                    rows[place, 1] = min(bottom - row * height, height)
                    next_slot += 1
