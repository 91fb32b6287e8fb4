"""What walls, roofs and leaves look like: linear reflectance at a point, band-limited to the pixel."""

from __future__ import annotations

import numpy as np

from spaceport_demo.ground import Rgb
from spaceport_demo.kernels import kernel
from spaceport_demo.shapes import Crowns, Material, Solids
from spaceport_demo.texture import fractal2, inside, lattice, noise2, noise3, step, visible
from spaceport_demo.trace import LEAF_SEED, leaf_relief

# Numba reads plain numbers.
_FACADE, _GABLE, _TILES = int(Material.FACADE), int(Material.GABLE), int(Material.TILES)
_BOARDS, _METAL, _FLAT_ROOF = int(Material.BOARDS), int(Material.METAL), int(Material.FLAT_ROOF)
_STONE, _GLASS = int(Material.STONE), int(Material.GLASS)

_STOREY = 2.75  # metres
_WINDOW_PITCH = 2.5  # metres from window to window


@kernel
def _tint(color: Rgb, factor: float) -> Rgb:
    return color[0] * factor, color[1] * factor, color[2] * factor


@kernel
def _blend(a: Rgb, b: Rgb, share: float) -> Rgb:
    rest = 1.0 - share
    return a[0] * rest + b[0] * share, a[1] * rest + b[1] * share, a[2] * rest + b[2] * share


@kernel
def face_reflectance(solids: Solids, face: int, x: float, y: float, z: float, footprint: float) -> Rgb:
    """The colour of a solid's face at a point of the world that lies on it."""
    frames = solids.frames
    px, py, pz = x - frames[face, 0, 0], y - frames[face, 0, 1], z - frames[face, 0, 2]
    u = px * frames[face, 1, 0] + py * frames[face, 1, 1] + pz * frames[face, 1, 2]
    v = px * frames[face, 2, 0] + py * frames[face, 2, 1] + pz * frames[face, 2, 2]
    color = (solids.colors[face, 0], solids.colors[face, 1], solids.colors[face, 2])
    width, height = solids.sizes[face, 0], solids.sizes[face, 1]
    kind = solids.materials[face]
    weather = fractal2(u + 1.7 * face, v, 2.2, 4, 0.7, footprint, face)
    grain = fractal2(u, v - 3.1 * face, 0.5, 3, 0.8, footprint, face + 5000)
    if kind in (_FACADE, _GABLE):
        attic = 1.9 if kind == _GABLE else 0.0  # a gable has room for a window under the roof
        color = _facade(color, u, v, width, height + attic, face, weather, grain, footprint)
    elif kind == _TILES:
        color = _tiles(color, u, v, face, weather, grain, footprint)
    elif kind == _BOARDS:
        board = int(np.floor(u / 0.22))
        shade = 0.78 + 0.45 * lattice(board, face, 0, 11) * visible(0.22, 0.5 * footprint)
        gap = inside(u - 0.22 * board, 0.0, 0.03, footprint)
        streak = noise2(u / 0.15, v / 1.4, face + 7000) * visible(0.15, 0.5 * footprint)
        stain = 1.0 + 0.22 * weather + 0.18 * grain + 0.15 * streak
        color = _tint(color, shade * (1.0 - 0.6 * gap) * stain)
    elif kind == _METAL:
        sheet = int(np.floor(u / 1.1))
        shade = 0.9 + 0.2 * lattice(sheet, int(np.floor(v / 3.3)), face, 13)
        seam = inside(u - 0.55 * np.floor(u / 0.55), 0.0, 0.06, footprint)
        base = _tint(color, shade * (1.0 - 0.35 * seam) * (1.0 + 0.16 * weather + 0.14 * grain))
        color = _blend(base, (0.21, 0.11, 0.065), 0.7 * step(0.25, 0.9, weather + 0.4 * grain))  # rust
    elif kind == _FLAT_ROOF:
        puddle = step(0.2, 0.7, weather)
        color = _tint(color, (0.95 + 0.25 * grain + 0.15 * weather) * (1.0 - 0.35 * puddle))
    elif kind == _STONE:
        lump = noise3(x * 3.1, y * 3.1, z * 3.1, 17) * visible(0.32, footprint)
        lump += noise3(x * 8.3, y * 8.3, z * 8.3, 18) * visible(0.12, 0.8 * footprint)
        base = _tint(color, 0.9 + 0.3 * weather + 0.3 * grain + 0.22 * lump)
        color = _blend(base, (0.33, 0.32, 0.20), 0.45 * step(0.35, 0.8, weather + 0.5 * grain))  # lichen
    elif kind == _GLASS:
        color = _tint(color, 1.0 + 0.3 * weather)
    else:  # paint
        color = _tint(color, 1.0 + 0.07 * weather + 0.05 * grain)
    return color


@kernel
def _tiles(color: Rgb, u: float, v: float, face: int, weather: float, grain: float, footprint: float) -> Rgb:
    """Roof tiles in staggered courses: each its own shade, mossy patches, shadow lines between courses."""
    course = int(np.floor(v / 0.34))
    tile = int(np.floor(u / 0.25 + 0.5 * (course % 2)))
    # A batch of tiles laid together: shades vary by tile where a pixel sees them, by batch everywhere.
    batch = lattice(int(np.floor(u / 1.3 + 0.4 * course)), course // 2, face, 19)
    single = lattice(tile, course, face, 23)
    seen = visible(0.30, 0.6 * footprint)
    shade = 0.80 + 0.26 * batch + 0.42 * (single - 0.5) * seen
    shadow = inside(v - 0.34 * course, 0.0, 0.05, footprint)
    base = _tint(color, shade * (1.0 - 0.5 * shadow) * (1.0 + 0.14 * weather + 0.10 * grain))
    moss = step(0.30, 0.95, weather + 0.35 * grain)
    if single > 0.985:
        base = _tint(base, 1.0 + 0.8 * seen)  # a tile replaced lately
    return _blend(base, (0.095, 0.105, 0.045), 0.6 * moss)


@kernel
def _facade(
    color: Rgb,
    u: float,
    v: float,
    width: float,
    height: float,
    face: int,
    weather: float,
    grain: float,
    footprint: float,
) -> Rgb:
    """Plaster with windows on every storey, shutters on some, a door, and a stone base."""
    wall = _tint(color, 0.95 + 0.10 * weather + 0.07 * grain)
    wall = _tint(
        wall, 0.78 + 0.22 * step(-0.2, 1.6, v + 0.5 * weather)
    )  # splashed and darker near the ground
    base = inside(v, -9.0, 0.45, footprint)
    wall = _blend(wall, _tint((0.22, 0.21, 0.19), 0.9 + 0.3 * grain + 0.2 * weather), base)
    columns = int(max(1.0, np.floor(width / _WINDOW_PITCH)))
    pitch = width / columns
    column = int(np.floor(u / pitch))
    storey = int(np.floor(v / _STOREY))
    if column < 0 or column >= columns or storey < 0 or (storey + 1) * _STOREY > height + 0.25:
        return wall
    chance = lattice(column, storey, face, 29)
    if chance < 0.17:
        return wall
    half = 0.42 + 0.16 * lattice(0, storey, face, 31)
    du = u - (column + 0.5) * pitch - 0.25 * (chance - 0.6)
    dv = v - storey * _STOREY
    low, high = 0.95, 2.25
    if storey == 0 and chance > 0.86:
        door = inside(du, -0.55, 0.55, footprint) * inside(dv, 0.0, 2.15, footprint)
        shade = lattice(column, 5, face, 37)
        return _blend(wall, _tint((0.20, 0.11, 0.06), 0.5 + shade + 0.2 * grain), door)
    frame = inside(du, -half - 0.1, half + 0.1, footprint) * inside(dv, low - 0.1, high + 0.1, footprint)
    wall = _blend(wall, (0.60, 0.58, 0.54), frame)
    glass_color = _blend((0.025, 0.032, 0.040), (0.30, 0.29, 0.27), 0.6 * step(0.70, 0.72, chance))
    glass_color = _tint(glass_color, 0.7 + 0.6 * lattice(column, storey, face, 41) + 0.4 * dv)
    glass = inside(du, -half, -0.03, footprint) + inside(du, 0.03, half, footprint)
    wall = _blend(wall, glass_color, glass * inside(dv, low, high, footprint))
    if lattice(face, 3, 1, 43) > 0.45:
        shutter = inside(abs(du), half + 0.1, half + 0.55, footprint) * inside(
            dv, low - 0.1, high + 0.1, footprint
        )
        hue = lattice(face // 8, 4, 1, 47)
        paint = _blend((0.06, 0.12, 0.08), (0.26, 0.07, 0.05), step(0.4, 0.6, hue))
        wall = _blend(wall, _tint(paint, 0.9 + 0.3 * grain), shutter)
    return wall


@kernel
def leaf_reflectance(
    crowns: Crowns, item: int, x: float, y: float, z: float, footprint: float
) -> tuple[Rgb, float]:
    """The colour of a crown at a point of its surface, and how open to the light it is there, 0..1.

    Hollows between boughs are dark, tips are light and yellower.
    """
    relief = leaf_relief(x, y, z)
    twig = noise3(x * 5.3, y * 5.3, z * 5.3, LEAF_SEED + 2) * visible(0.19, 0.7 * footprint)
    leaf = noise3(x * 10.7, y * 10.7, z * 10.7, LEAF_SEED + 3) * visible(0.093, 0.7 * footprint)
    patch = noise3(x * 0.7, y * 0.7, z * 0.7, LEAF_SEED + 4 + item)
    openness = min(1.0, max(0.08, 0.60 + 0.75 * relief + 0.40 * twig + 0.30 * leaf))
    bright = 1.0 + 0.25 * patch + 0.45 * twig + 0.50 * leaf
    base = (crowns.colors[item, 0], crowns.colors[item, 1], crowns.colors[item, 2])
    tip = (base[0] * 1.5, base[1] * 1.25, base[2] * 1.1)
    return _tint(_blend(base, tip, step(0.1, 0.8, relief + 0.5 * twig)), max(0.15, bright)), openness
