"""The ground's colours: fields, gardens, road, lane, shore and lake, with sun and shadow baked in.

Nothing on the ground depends on where the camera is, so it is coloured and lit once into maps (a fine one
around the flight, a coarse one beyond) with mip levels, and a photo only looks it up.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spaceport_demo.kernels import kernel, run_in_bands
from spaceport_demo.landscape import YARD_SPACING, Landscape
from spaceport_demo.terrain import (
    EXTENT,
    LANE_HALF_WIDTH,
    ROAD_HALF_WIDTH,
    bed_height,
    lane_distance,
    road_distance,
    shore_x,
    surface_height,
    surface_normal,
)
from spaceport_demo.texture import cells2, fractal2, inside, lattice, noise2, specks2, step
from spaceport_demo.trace import sunlit, trace_objects

# Light arriving at the ground: a warm sun and a blue sky, in units where a white sunlit plane is about 1.
SUNLIGHT = (0.98, 0.90, 0.76)
SKYLIGHT = (0.15, 0.185, 0.25)

FINE_EXTENT = 102.4  # the fine map spans ± this, metres: all that the nadir photos see
_TEXELS_PER_LIGHT = 2  # the sunlight is baked this much coarser: the sun's disc blurs a roof's edge as much
_TEXELS_PER_SKY = 10  # and the skylight this much: it varies slowly
_CODE = 65535.0 / 1.6  # radiance up to 1.6 in 16 bits

Rgb = tuple[float, float, float]


class GroundMap(NamedTuple):
    """A square map of radiance with its mip levels.

    Attributes:
        texels: (sum of all levels, 3) uint16, level after level, rows from the south-west.
        offsets: (L,) where each level begins.
        counts: (L,) texels along a side of each level.
        extent: the map spans ± this, metres.
        spacing: metres per texel of the finest level.
    """

    texels: NDArray[np.uint16]
    offsets: NDArray[np.int64]
    counts: NDArray[np.int64]
    extent: float
    spacing: float


class Ground(NamedTuple):
    """The fine map around the flight and the coarse map of the rest."""

    fine: GroundMap
    coarse: GroundMap


@kernel
def _mix(a: Rgb, b: Rgb, share: float) -> Rgb:
    rest = 1.0 - share
    return a[0] * rest + b[0] * share, a[1] * rest + b[1] * share, a[2] * rest + b[2] * share


@kernel
def _scale(a: Rgb, factor: float) -> Rgb:
    return a[0] * factor, a[1] * factor, a[2] * factor


@kernel
def _rows(u: float, wavelength: float, footprint: float) -> float:
    """Rows of a crop across `u` (metres): 1 on the row, 0 between; their mean where too fine to see."""
    shown = min(1.0, max(0.0, wavelength / (2.0 * footprint) - 1.0))
    return 0.5 + 0.5 * shown * np.sin(2.0 * np.pi * u / wavelength)


@kernel
def _meadow(tone: float, hue: float, fine: float) -> Rgb:
    green = _mix((0.058, 0.100, 0.022), (0.155, 0.165, 0.052), step(-0.7, 0.9, hue + 0.3 * fine))
    return _scale(green, 0.95 + 0.20 * tone + 0.55 * fine)


@kernel
def _field(x: float, y: float, tone: float, hue: float, fine: float, footprint: float, seed: int) -> Rgb:
    """A patchwork of fields: each Voronoi cell of about 40 m has its own crop, row direction and shade."""
    wx = x + 5.0 * noise2(x / 31.0, y / 31.0, seed + 101)
    wy = y + 5.0 * noise2(x / 31.0, y / 31.0, seed + 102)
    ix, iy, border = cells2(wx / 44.0, wy / 44.0, seed + 103)
    margin = border * 44.0 + 0.8 * tone
    kind = int(6.0 * lattice(ix, iy, 3, seed + 104))
    angle = 3.1416 * lattice(ix, iy, 4, seed + 104)
    shade = 0.85 + 0.3 * lattice(ix, iy, 5, seed + 104)
    # Tractors don't drive straight: a slow drift bends the rows, so no two stretches match.
    u = x * np.cos(angle) + y * np.sin(angle) + 0.7 * noise2(x / 13.0, y / 13.0, seed + 105)
    v = y * np.cos(angle) - x * np.sin(angle)
    patch = noise2(x / 6.0, y / 6.0, seed + 106)
    tramline = inside(u - 14.0 * np.floor(u / 14.0), 6.0, 6.45, footprint) + inside(
        u - 14.0 * np.floor(u / 14.0), 7.9, 8.35, footprint
    )
    thin = step(-0.3, 0.5, noise2(u / 0.9, v / 3.5, seed + 107) + 0.5 * patch)
    if kind == 0:
        color = _scale((0.34, 0.255, 0.095), 0.88 + 0.12 * tone + 0.32 * fine + 0.12 * patch)
        color = _mix(color, (0.20, 0.165, 0.07), 0.35 * _rows(u, 0.6, footprint) * thin)
        color = _mix(color, (0.19, 0.14, 0.08), 0.6 * tramline)
    elif kind == 1:
        color = _scale((0.165, 0.112, 0.072), 0.9 + 0.12 * tone + 0.40 * fine + 0.14 * patch)
        color = _scale(color, 0.70 + 0.55 * _rows(u, 0.9, footprint) * (0.5 + 0.5 * thin))
        stone, value = specks2(x, y, 0.6, 0.22, footprint, seed + 110)
        color = _mix(color, _scale((0.36, 0.33, 0.29), 0.6 + 0.6 * value), 0.7 * stone)
    elif kind == 2:
        leaf = _scale((0.070, 0.125, 0.028), 0.9 + 0.3 * tone + 0.4 * fine)
        soil = _scale((0.170, 0.122, 0.080), 0.9 + 0.3 * fine)
        color = _mix(
            soil, leaf, step(0.15, 0.75, _rows(u, 0.8, footprint) * (0.65 + 0.5 * thin) + 0.3 * patch)
        )
        color = _mix(color, soil, 0.7 * tramline)
    elif kind == 3:
        color = _scale((0.300, 0.250, 0.135), 0.9 + 0.14 * tone + 0.40 * fine)
        color = _mix(color, (0.13, 0.14, 0.05), 0.5 * step(0.1, 0.9, patch + 0.6 * hue))
        color = _scale(color, 0.9 + 0.2 * _rows(u, 2.6, footprint) * thin)
    else:
        color = _meadow(tone, hue + 0.5 * patch, fine)
        tuft, value = specks2(x, y, 0.85, 0.45 + 0.3 * patch, footprint, seed + 108)
        color = _mix(color, _scale((0.035, 0.070, 0.018), 0.8 + value), 0.6 * tuft)
        flower, value = specks2(x, y, 0.55, 0.25 * step(0.1, 0.8, patch + hue), footprint, seed + 109)
        color = _mix(color, (0.50, 0.42, 0.08) if value > 0.5 else (0.50, 0.48, 0.50), 0.6 * flower)
    verge = _scale(_meadow(tone, hue, fine), 0.85)
    return _mix(verge, _scale(color, shade), step(0.9, 1.7, margin))


@kernel
def _garden(x: float, y: float, tone: float, hue: float, fine: float, footprint: float, seed: int) -> Rgb:
    """Gardens of the hamlet: lawns, beds, gravel and rough grass in patches of about 8 m."""
    wx = x + 1.5 * noise2(x / 5.0, y / 5.0, seed + 201)
    wy = y + 1.5 * noise2(x / 5.0, y / 5.0, seed + 202)
    ix, iy, border = cells2(wx / 9.0, wy / 9.0, seed + 203)
    kind = int(7.0 * lattice(ix, iy, 3, seed + 204))
    angle = 3.1416 * lattice(ix, iy, 4, seed + 204)
    u = x * np.cos(angle) + y * np.sin(angle)
    if kind == 0:
        rows = _rows(u + 0.1 * tone, 1.1, footprint)
        soil = _scale((0.125, 0.085, 0.055), 0.9 + 0.35 * fine + 0.2 * tone)
        plant = lattice(int(np.floor(u / 1.1)), int(np.floor(x - y)), 7, seed + 205)
        leaf = _mix((0.05, 0.11, 0.03), (0.14, 0.17, 0.07), plant)
        color = _mix(
            soil, _scale(leaf, 0.9 + 0.6 * fine), step(0.45, 0.75, rows * (0.5 + plant) + 0.25 * fine)
        )
    elif kind == 1:
        stone = lattice(int(np.floor(x * 7.0)), int(np.floor(y * 7.0)), 1, seed + 206)
        color = _scale((0.36, 0.33, 0.28), 0.8 + 0.2 * tone + 0.3 * fine + 0.25 * (stone - 0.5))
    elif kind <= 3:
        lawn = _scale(_mix((0.075, 0.140, 0.030), (0.12, 0.155, 0.045), step(-0.5, 0.9, hue)), 1.0)
        color = _scale(lawn, 0.94 + 0.13 * tone + 0.34 * fine + 0.10 * (_rows(u, 1.6, footprint) - 0.5))
        flower, value = specks2(x, y, 0.4, 0.16 * step(0.2, 0.9, tone + hue), footprint, seed + 207)
        petal = _mix((0.10, 0.20, 0.05), (0.55, 0.53, 0.42), step(0.4, 0.6, value))
        color = _mix(color, petal, 0.5 * flower)
    else:
        color = _meadow(tone, hue + 0.2, fine)
    edge = _scale((0.10, 0.12, 0.04), 0.8 + 0.5 * fine)
    return _mix(edge, color, step(0.05, 0.35, border * 9.0 + 0.2 * tone))


@kernel
def _asphalt(d: float, y: float, tone: float, hue: float, fine: float, footprint: float, seed: int) -> Rgb:
    """The road's surface at `d` metres from its centre: repairs, wheel tracks, cracks and worn paint."""
    color = _scale((0.150, 0.148, 0.150), 0.9 + 0.12 * tone + 0.24 * fine)
    stretch = int(np.floor(y / 6.5 + 0.8 * noise2(y / 9.0, d / 5.0, seed + 301)))
    side = 1 if d > 0 else 0
    if lattice(stretch, side, 0, seed + 302) > 0.78:
        color = _scale(color, 0.62 + 0.3 * lattice(stretch, side, 1, seed + 302))
    track = inside(abs(d), 0.9, 1.35, 0.5) + inside(abs(d), 2.0, 2.4, 0.5)
    color = _scale(color, 1.0 - 0.14 * track)
    crack = abs(noise2(y / 2.3, d / 1.7, seed + 303) + 0.4 * fine)
    color = _scale(color, 1.0 - 0.5 * (1.0 - step(0.0, 0.09, crack)) * step(0.0, 0.5, hue))
    worn = step(-0.9, 0.1, tone + fine + 0.4)
    dash = y - 9.0 * np.floor(y / 9.0)
    paint = inside(abs(d), 0.0, 0.07, footprint) * inside(dash, 0.0, 4.0, footprint)
    paint += inside(abs(d), ROAD_HALF_WIDTH - 0.35, ROAD_HALF_WIDTH - 0.22, footprint)
    return _mix(color, (0.55, 0.55, 0.52), min(1.0, paint) * worn * 0.85)


@kernel
def _grid_value(grid: NDArray[np.float32], spacing: float, extent: float, x: float, y: float) -> float:
    """A bilinear look-up in a grid over ± extent, held at its rim."""
    last = grid.shape[0] - 1.001
    gx = min(last, max(0.0, (x + extent) / spacing))
    gy = min(last, max(0.0, (y + extent) / spacing))
    ix, iy = int(gx), int(gy)
    u, v = gx - ix, gy - iy
    low = grid[iy, ix] * (1.0 - u) + grid[iy, ix + 1] * u
    high = grid[iy + 1, ix] * (1.0 - u) + grid[iy + 1, ix + 1] * u
    return low * (1.0 - v) + high * v


@kernel
def ground_reflectance(scene: Landscape, x: float, y: float, footprint: float) -> Rgb:
    """Linear reflectance of the ground or the lake at a point, averaged over `footprint` metres."""
    terrain, plan, seed = scene.terrain, scene.terrain.plan, scene.terrain.seed
    tone = fractal2(x, y, 5.0, 4, 0.8, footprint, seed + 41)  # blotches of 5 m to 60 cm
    fine = fractal2(x, y, 0.6, 4, 1.0, 0.8 * footprint, seed + 51)  # tufts and stones of 60 to 8 cm
    fine = max(-1.2, fine)
    hue = fractal2(x, y, 17.0, 4, 0.6, footprint, seed + 61)

    inland = shore_x(y, plan) - x + 0.9 * tone
    depth = -bed_height(terrain, x, y)
    if depth > 0.0:
        return _lake(x, y, depth, tone, fine, footprint, seed)

    from_road, from_lane = road_distance(x, y, plan), lane_distance(x, y, plan)
    hamlet = 1.0 - step(27.0, 29.0, abs(from_road) + 2.0 * hue)
    hamlet *= 1.0 - step(118.0, 121.0, abs(y))
    color = (0.0, 0.0, 0.0)
    if hamlet < 1.0:
        color = _field(x, y, tone, hue, fine, footprint, seed)
    if hamlet > 0.0:
        color = _mix(color, _garden(x, y, tone, hue, fine, footprint, seed), hamlet)

    knoll = np.exp(-((x - plan[6]) ** 2 + (y - plan[7]) ** 2) / (2.0 * 15.0**2))
    rock = _scale((0.27, 0.26, 0.24), 0.85 + 0.3 * tone + 0.5 * fine)
    color = _mix(color, _meadow(tone, hue + 0.5, fine), step(0.25, 0.55, knoll + 0.1 * tone))
    color = _mix(color, rock, step(0.75, 0.95, 0.75 * knoll + 0.45 * tone + 0.25 * hue))

    # Reeds and wet meadow, then pebbles, then wet sand along the lake.
    reeds = _scale((0.105, 0.115, 0.035), 0.85 + 0.3 * tone + 0.55 * fine)
    color = _mix(reeds, color, step(5.0, 9.0, inland + 2.0 * hue))
    pebble = 0.75 + 0.5 * lattice(int(np.floor(x * 5.3)), int(np.floor(y * 5.3)), 9, seed + 71)
    color = _mix(_scale((0.36, 0.32, 0.25), pebble + 0.2 * tone + 0.3 * fine), color, step(2.2, 3.4, inland))
    color = _mix(_scale((0.19, 0.165, 0.125), 1.0 + 0.25 * fine), color, step(0.2, 0.9, inland))

    dirt = _scale((0.285, 0.225, 0.155), 0.88 + 0.22 * tone + 0.35 * fine)
    ruts = inside(abs(from_lane), 0.45, 1.05, 0.3)
    lane = _mix(
        _scale(_meadow(tone, hue, fine), 0.95), dirt, min(1.0, 0.25 + ruts + 0.4 * step(-0.3, 0.6, tone))
    )
    color = _mix(
        lane, color, step(LANE_HALF_WIDTH - 0.4, LANE_HALF_WIDTH + 0.3, abs(from_lane) + 0.35 * tone)
    )

    walls = _grid_value(scene.yards.walls, YARD_SPACING, EXTENT, x, y)
    drives = _grid_value(scene.yards.drives, YARD_SPACING, EXTENT, x, y)
    gravel = _scale((0.37, 0.345, 0.305), 0.85 + 0.12 * tone + 0.35 * fine)
    color = _mix(gravel, color, step(0.0, 0.25, drives + 0.1 * fine))
    slab_x, slab_y = x * 1.45 + 0.3 * y, y * 1.45 - 0.3 * x
    slab = lattice(int(np.floor(slab_x)), int(np.floor(slab_y)), 2, seed + 81)
    paving = _scale((0.34, 0.32, 0.29), 0.75 + 0.4 * slab + 0.15 * tone + 0.2 * fine)
    color = _mix(paving, color, step(0.75, 0.95, walls + 0.2 * tone))

    verge = _scale((0.30, 0.265, 0.20), 0.85 + 0.2 * tone + 0.4 * fine)
    color = _mix(
        verge, color, step(ROAD_HALF_WIDTH + 0.3, ROAD_HALF_WIDTH + 0.8, abs(from_road) + 0.3 * tone)
    )
    on_road = 1.0 - step(ROAD_HALF_WIDTH - 0.5 * footprint, ROAD_HALF_WIDTH + 0.1, abs(from_road))
    if on_road > 0.0:
        color = _mix(color, _asphalt(from_road, y, tone, hue, fine, footprint, seed), on_road)
    return color


@kernel
def _lake(x: float, y: float, depth: float, tone: float, fine: float, footprint: float, seed: int) -> Rgb:
    """Clear water: the bed shows near the shore, weeds further out, ripples everywhere."""
    bed = _scale((0.20, 0.18, 0.12), 0.8 + 0.35 * tone + 0.4 * fine)
    weeds = step(0.1, 0.5, fractal2(x, y, 9.0, 4, 0.65, footprint, seed + 91) + 0.2)
    bed = _mix(bed, _scale((0.045, 0.070, 0.028), 1.0 + 0.5 * fine), 0.8 * weeds)
    deep = (0.020, 0.062, 0.066)
    color = _mix(deep, bed, 0.12 + 0.88 * np.exp(-1.1 * depth))
    ripple = fractal2(0.8 * x + 0.25 * y, 1.1 * y - 0.3 * x, 2.3, 4, 0.7, footprint, seed + 95)
    glint = step(0.35, 0.9, ripple)
    color = _scale(color, 1.0 + 0.22 * ripple)
    return _mix(color, (0.22, 0.27, 0.31), 0.16 * glint)


@kernel
def _bake_sunlight(
    first: int, end: int, scene: Landscape, extent: float, spacing: float, light: NDArray[np.float32]
) -> None:
    """The share of the sun's disc that each ground point sees, [y, x]."""
    for row in range(first, end):
        for column in range(light.shape[1]):
            x, y = column * spacing - extent, row * spacing - extent
            z = surface_height(scene.terrain, x, y) + 0.03
            light[row, column] = sunlit(scene, x, y, z)


@kernel
def _bake_skylight(
    first: int, end: int, scene: Landscape, extent: float, spacing: float, light: NDArray[np.float32]
) -> None:
    """The share of the sky that each ground point sees, from seven directions, [y, x]."""
    for row in range(first, end):
        for column in range(light.shape[1]):
            x, y = column * spacing - extent, row * spacing - extent
            z = surface_height(scene.terrain, x, y) + 0.05
            _, item, _ = trace_objects(scene, x, y, z, 0.0, 0.0, 1.0, 12.0)
            seen = 0.25 if item < 0 else 0.0
            for k in range(6):
                angle = np.pi / 3.0 * k + 0.4
                _, item, _ = trace_objects(
                    scene, x, y, z, 0.7 * np.cos(angle), 0.7 * np.sin(angle), 0.714, 12.0
                )
                seen += 0.125 if item < 0 else 0.0
            light[row, column] = seen


@kernel
def _bake_radiance(
    first: int,
    end: int,
    scene: Landscape,
    extent: float,
    spacing: float,
    sunlight: NDArray[np.float32],
    skylight: NDArray[np.float32],
    texels: NDArray[np.uint16],
) -> None:
    count = round(2 * extent / spacing)
    for row in range(first, end):
        for column in range(count):
            x, y = (column + 0.5) * spacing - extent, (row + 0.5) * spacing - extent
            color = ground_reflectance(scene, x, y, spacing)
            nx, ny, nz = surface_normal(scene.terrain, x, y)
            facing = max(0.0, nx * scene.sun[0] + ny * scene.sun[1] + nz * scene.sun[2]) / scene.sun[2]
            sun = facing * _grid_value(sunlight, _TEXELS_PER_LIGHT * spacing, extent, x, y)
            sky = 0.15 + 0.85 * _grid_value(skylight, _TEXELS_PER_SKY * spacing, extent, x, y)
            for c in range(3):
                radiance = color[c] * (sun * SUNLIGHT[c] + sky * SKYLIGHT[c])
                texels[row * count + column, c] = np.uint16(min(65535.0, max(0.0, radiance * _CODE)))


@kernel
def _halve(texels: NDArray[np.uint16], source: int, target: int, count: int) -> None:
    """The next mip level: each texel of the `count`² at `target` is the mean of four at `source`."""
    for row in range(count):
        for column in range(count):
            first = source + 4 * row * count + 2 * column
            for c in range(3):
                total = 2  # rounds
                for k in (first, first + 1, first + 2 * count, first + 2 * count + 1):
                    total += int(texels[k, c])
                texels[target + row * count + column, c] = np.uint16(total // 4)


def _light_grid(extent: float, spacing: float) -> NDArray[np.float32]:
    count = int(2 * extent / spacing) + 1
    return np.empty((count, count), np.float32)


def _bake_map(scene: Landscape, extent: float, spacing: float) -> GroundMap:
    counts = [round(2 * extent / spacing)]
    while counts[-1] % 2 == 0 and counts[-1] > 16:
        counts.append(counts[-1] // 2)
    offsets = np.concatenate([[0], np.cumsum([c * c for c in counts])]).astype(np.int64)
    texels = np.empty((offsets[-1], 3), np.uint16)
    sun_spacing, sky_spacing = _TEXELS_PER_LIGHT * spacing, _TEXELS_PER_SKY * spacing
    sunlight, skylight = _light_grid(extent, sun_spacing), _light_grid(extent, sky_spacing)
    run_in_bands(_bake_sunlight, len(sunlight), scene, extent, sun_spacing, sunlight)
    run_in_bands(_bake_skylight, len(skylight), scene, extent, sky_spacing, skylight)
    run_in_bands(_bake_radiance, counts[0], scene, extent, spacing, sunlight, skylight, texels)
    for level, count in enumerate(counts[1:]):
        _halve(texels, offsets[level], offsets[level + 1], count)
    return GroundMap(texels, offsets[:-1], np.array(counts, np.int64), extent, spacing)


def bake_ground(scene: Landscape, pixel_size: float) -> Ground:
    """Colour and light the ground for photos whose pixels cover `pixel_size` metres straight below."""
    # Powers of two below the extents, so that every mip level halves evenly.
    fine = 2 ** round(np.log2(2 * FINE_EXTENT / pixel_size))
    return Ground(
        _bake_map(scene, FINE_EXTENT, 2 * FINE_EXTENT / fine),
        _bake_map(scene, EXTENT, 2 * EXTENT / min(2048, fine // 2)),
    )


@kernel
def _map_level(level_map: GroundMap, level: int, x: float, y: float) -> Rgb:
    count = level_map.counts[level]
    scale = count / (2.0 * level_map.extent)
    gx = min(count - 1.001, max(0.0, (x + level_map.extent) * scale - 0.5))
    gy = min(count - 1.001, max(0.0, (y + level_map.extent) * scale - 0.5))
    ix, iy = int(gx), int(gy)
    u, v = gx - ix, gy - iy
    first = level_map.offsets[level] + iy * count + ix
    a, b, c, d = (1.0 - u) * (1.0 - v), u * (1.0 - v), (1.0 - u) * v, u * v
    t = level_map.texels
    return (
        (a * t[first, 0] + b * t[first + 1, 0] + c * t[first + count, 0] + d * t[first + count + 1, 0])
        / _CODE,
        (a * t[first, 1] + b * t[first + 1, 1] + c * t[first + count, 1] + d * t[first + count + 1, 1])
        / _CODE,
        (a * t[first, 2] + b * t[first + 1, 2] + c * t[first + count, 2] + d * t[first + count + 1, 2])
        / _CODE,
    )


@kernel
def ground_radiance(ground: Ground, x: float, y: float, footprint: float) -> Rgb:
    """Radiance of the lit ground, averaged over `footprint` metres (trilinear)."""
    chosen = ground.fine
    if max(abs(x), abs(y)) > ground.fine.extent - 0.5 - 2.0 * footprint:
        chosen = ground.coarse
    last = chosen.counts.shape[0] - 1.0
    level = min(last, max(0.0, np.log2(max(1e-6, footprint / chosen.spacing))))
    lower = int(level)
    share = level - lower
    color = _map_level(chosen, lower, x, y)
    if share > 0.0:
        color = _mix(color, _map_level(chosen, lower + 1, x, y), share)
    return color
