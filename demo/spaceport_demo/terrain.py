"""The lie of the land: a lake in the east, a road through the middle, a knoll in the north-west.

The world frame is local: x east, y north, z up, metres; the lake's surface is z = 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spaceport_demo.kernels import kernel, run_in_bands
from spaceport_demo.texture import fractal2, step

EXTENT = 256.0  # the height grid spans ± this, metres: further than an oblique photo sees
SPACING = 0.5  # of the height grid, metres
ROAD_HALF_WIDTH = 2.9
LANE_HALF_WIDTH = 1.7


class Terrain(NamedTuple):
    """The ground's shape.

    Attributes:
        plan: (8,) phases and positions that the curves below take.
        heights: (N, N) of the lake's bed or the land, metres, [y, x], over ± EXTENT.
        steepest: the largest slope of the surface, a bound for the ray march.
        seed: of the noise.
    """

    plan: NDArray[np.float64]
    heights: NDArray[np.float32]
    steepest: float
    seed: int


@kernel
def shore_x(y: float, plan: NDArray[np.float64]) -> float:
    """Where the lake begins, metres east."""
    return 40.0 + 9.0 * np.sin(y / 33.0 + plan[0]) + 3.5 * np.sin(y / 11.0 + plan[1])


@kernel
def road_x(y: float, plan: NDArray[np.float64]) -> float:
    """The road's centre line, metres east: it runs from south to north."""
    return -6.0 + 8.0 * np.sin(y / 41.0 + plan[2]) + 2.0 * np.sin(y / 17.0 + plan[3])


@kernel
def road_distance(x: float, y: float, plan: NDArray[np.float64]) -> float:
    """Signed distance from the road's centre line, metres, east positive (first order in its slope)."""
    slope = (road_x(y + 0.5, plan) - road_x(y - 0.5, plan)) / 1.0
    return (x - road_x(y, plan)) / np.sqrt(1.0 + slope * slope)


@kernel
def lane_y(x: float, plan: NDArray[np.float64]) -> float:
    """The lane's centre line, metres north: it runs from the western fields to the lake."""
    return plan[4] + 6.0 * np.sin(x / 29.0 + plan[5]) + 0.10 * x


@kernel
def lane_distance(x: float, y: float, plan: NDArray[np.float64]) -> float:
    """Signed distance from the lane's centre line, metres, north positive."""
    slope = (lane_y(x + 0.5, plan) - lane_y(x - 0.5, plan)) / 1.0
    return (y - lane_y(x, plan)) / np.sqrt(1.0 + slope * slope)


@kernel
def _land_height(x: float, y: float, plan: NDArray[np.float64], seed: int) -> float:
    inland = shore_x(y, plan) - x
    if inland < 0.0:
        return max(-6.0, 0.16 * inland)
    rise = 1.6 * (1.0 - np.exp(-inland / 7.0)) + 9.0 * (1.0 - np.exp(-inland / 110.0))
    knoll_x, knoll_y = x - plan[6], y - plan[7]
    knoll = 9.0 * np.exp(-(knoll_x * knoll_x + 0.7 * knoll_y * knoll_y) / (2.0 * 19.0 * 19.0))
    rolling = 2.6 * fractal2(x, y, 60.0, 4, 0.45, 0.5, seed + 11)
    # The road and the lane lie on flatter ground than the fields around them.
    near_way = min(abs(road_distance(x, y, plan)), abs(lane_distance(x, y, plan)) + 2.0)
    rough = 0.35 * fractal2(x, y, 7.0, 3, 0.5, 0.5, seed + 23) * step(3.0, 12.0, near_way)
    return rise + (knoll + rolling + rough) * step(0.0, 25.0, inland)


@kernel
def _fill_heights(
    first: int, end: int, plan: NDArray[np.float64], seed: int, heights: NDArray[np.float32]
) -> None:
    for row in range(first, end):
        for column in range(heights.shape[1]):
            heights[row, column] = _land_height(column * SPACING - EXTENT, row * SPACING - EXTENT, plan, seed)


def make_terrain(seed: int) -> Terrain:
    """The terrain of a seed."""
    rng = np.random.default_rng([seed, 1])
    plan = np.empty(8)
    plan[[0, 1, 2, 3, 5]] = rng.uniform(0.0, 2.0 * np.pi, 5)
    plan[4] = rng.uniform(-12.0, 4.0)
    plan[6], plan[7] = rng.uniform(-52.0, -44.0), rng.uniform(32.0, 42.0)
    count = round(2 * EXTENT / SPACING) + 1
    heights = np.empty((count, count), np.float32)
    run_in_bands(_fill_heights, count, plan, seed, heights)
    dy, dx = np.gradient(np.maximum(heights, 0.0), SPACING)
    # The bilinear surface between the grid's points is a little steeper than central differences say.
    return Terrain(plan, heights, 1.25 * float(np.hypot(dx, dy).max()), seed)


@kernel
def bed_height(terrain: Terrain, x: float, y: float) -> float:
    """Height of the land, or of the lake's bed where it is below 0, metres (bilinear; held at the rim)."""
    heights = terrain.heights
    last = heights.shape[0] - 1.001
    gx = min(last, max(0.0, (x + EXTENT) / SPACING))
    gy = min(last, max(0.0, (y + EXTENT) / SPACING))
    ix, iy = int(gx), int(gy)
    u, v = gx - ix, gy - iy
    low = heights[iy, ix] * (1.0 - u) + heights[iy, ix + 1] * u
    high = heights[iy + 1, ix] * (1.0 - u) + heights[iy + 1, ix + 1] * u
    return low * (1.0 - v) + high * v


@kernel
def surface_height(terrain: Terrain, x: float, y: float) -> float:
    """Height of what a photo sees, metres: the land, or the lake's surface."""
    return max(0.0, bed_height(terrain, x, y))


@kernel
def surface_normal(terrain: Terrain, x: float, y: float) -> tuple[float, float, float]:
    """The unit normal of the surface, from differences over the grid's spacing."""
    dx = (surface_height(terrain, x + SPACING, y) - surface_height(terrain, x - SPACING, y)) / (2 * SPACING)
    dy = (surface_height(terrain, x, y + SPACING) - surface_height(terrain, x, y - SPACING)) / (2 * SPACING)
    scale = 1.0 / np.sqrt(dx * dx + dy * dy + 1.0)
    return -dx * scale, -dy * scale, scale
