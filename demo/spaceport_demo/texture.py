"""Noise that never repeats: it hashes every lattice point, so a matcher finds no tile twice.

Each function takes the footprint (metres that one pixel or texel covers) where it matters and fades out
what is finer than that, as a mip-map would; so a texture does not shimmer from photo to photo.
"""

from __future__ import annotations

import numpy as np

from spaceport_demo.kernels import kernel

# Odd 64-bit constants of SplitMix64 and xxHash: they spread neighbouring lattice points over all bits.
_MIX_X = np.uint64(0x9E3779B97F4A7C15)
_MIX_Y = np.uint64(0xC2B2AE3D27D4EB4F)
_MIX_Z = np.uint64(0x165667B19E3779F9)
_MIX_SEED = np.uint64(0xBF58476D1CE4E5B9)
_AVALANCHE = np.uint64(0x94D049BB133111EB)
_SHIFT_HIGH = np.uint64(32)
_SHIFT_MIDDLE = np.uint64(29)
_SHIFT_MANTISSA = np.uint64(40)
_TO_UNIT = 1.0 / (1 << 24)

# The octaves of a fractal turn by this angle (3-4-5 triangle) so that their lattices never line up.
_TURN_COS, _TURN_SIN = 0.8, 0.6


@kernel
def lattice(ix: int, iy: int, iz: int, seed: int) -> float:
    """A random number in [0, 1) that belongs to an integer point."""
    h = (
        (np.uint64(ix) * _MIX_X)
        ^ (np.uint64(iy) * _MIX_Y)
        ^ (np.uint64(iz) * _MIX_Z)
        ^ (np.uint64(seed) * _MIX_SEED)
    )
    h = (h ^ (h >> _SHIFT_HIGH)) * _AVALANCHE
    h ^= h >> _SHIFT_MIDDLE
    h *= _MIX_X
    return (h >> _SHIFT_MANTISSA) * _TO_UNIT


@kernel
def _fade(t: float) -> float:
    """Perlin's quintic: first and second derivatives vanish at the lattice points."""
    return t * t * t * (t * (t * 6.0 - 15.0) + 10.0)


@kernel
def noise2(x: float, y: float, seed: int) -> float:
    """Smooth noise in [-1, 1], one feature per unit."""
    fx, fy = np.floor(x), np.floor(y)
    ix, iy = int(fx), int(fy)
    u, v = _fade(x - fx), _fade(y - fy)
    a, b = lattice(ix, iy, 0, seed), lattice(ix + 1, iy, 0, seed)
    c, d = lattice(ix, iy + 1, 0, seed), lattice(ix + 1, iy + 1, 0, seed)
    low, high = a + (b - a) * u, c + (d - c) * u
    return 2.0 * (low + (high - low) * v) - 1.0


@kernel
def noise3(x: float, y: float, z: float, seed: int) -> float:
    """Smooth noise in [-1, 1] in space, one feature per unit."""
    fx, fy, fz = np.floor(x), np.floor(y), np.floor(z)
    ix, iy, iz = int(fx), int(fy), int(fz)
    u, v, w = _fade(x - fx), _fade(y - fy), _fade(z - fz)
    total = 0.0
    for k in range(2):
        a, b = lattice(ix, iy, iz + k, seed), lattice(ix + 1, iy, iz + k, seed)
        c, d = lattice(ix, iy + 1, iz + k, seed), lattice(ix + 1, iy + 1, iz + k, seed)
        low, high = a + (b - a) * u, c + (d - c) * u
        total += (low + (high - low) * v) * (w if k == 1 else 1.0 - w)
    return 2.0 * total - 1.0


@kernel
def visible(wavelength: float, footprint: float) -> float:
    """How much of a wavelength (metres) a pixel of this footprint shows: 0 below 2 pixels, 1 above 4."""
    return min(1.0, max(0.0, wavelength / (2.0 * footprint) - 1.0))


@kernel
def fractal2(
    x: float, y: float, wavelength: float, octaves: int, gain: float, footprint: float, seed: int
) -> float:
    """A sum of octaves from `wavelength` (metres) down, each half as wide and `gain` times as strong.

    Returns about [-1, 1]; octaves finer than the footprint (metres) fade out.
    """
    total, strength, norm = 0.0, 1.0, 0.0
    for octave in range(octaves):
        shown = visible(wavelength, footprint)
        norm += strength * strength
        if shown > 0.0:
            total += shown * strength * noise2(x / wavelength, y / wavelength, seed + octave)
        x, y = _TURN_COS * x - _TURN_SIN * y, _TURN_SIN * x + _TURN_COS * y
        wavelength *= 0.5
        strength *= gain
    return 1.4 * total / np.sqrt(norm)


@kernel
def cells2(x: float, y: float, seed: int) -> tuple[int, int, float]:
    """The Voronoi cell that a point lies in, about one cell per unit square.

    Returns the cell's lattice point (ix, iy) and half the difference of the distances to the two nearest
    seeds: about the distance to the cell's border, in units.
    """
    fx, fy = int(np.floor(x)), int(np.floor(y))
    nearest, second = 1e9, 1e9
    best_x, best_y = fx, fy
    for jy in range(fy - 1, fy + 2):
        for jx in range(fx - 1, fx + 2):
            dx = jx + 0.1 + 0.8 * lattice(jx, jy, 1, seed) - x
            dy = jy + 0.1 + 0.8 * lattice(jx, jy, 2, seed) - y
            d = dx * dx + dy * dy
            if d < nearest:
                second, nearest = nearest, d
                best_x, best_y = jx, jy
            elif d < second:
                second = d
    return best_x, best_y, 0.5 * (np.sqrt(second) - np.sqrt(nearest))


@kernel
def specks2(
    x: float, y: float, cell: float, chance: float, footprint: float, seed: int
) -> tuple[float, float]:
    """Scattered round specks: at most one in each square of `cell` metres, there with this chance.

    Returns how much of the pixel the speck covers, and a random number in [0, 1) that belongs to it.
    """
    fx, fy = np.floor(x / cell), np.floor(y / cell)
    ix, iy = int(fx), int(fy)
    if lattice(ix, iy, 0, seed) >= chance:
        return 0.0, 0.0
    value = lattice(ix, iy, 1, seed)
    radius = 0.10 + 0.18 * value
    dx = x / cell - fx - (0.3 + 0.4 * lattice(ix, iy, 2, seed))
    dy = y / cell - fy - (0.3 + 0.4 * lattice(ix, iy, 3, seed))
    edge = max(0.3 * radius, footprint / cell)
    share = min(1.0, (radius * cell / (0.5 * footprint)) ** 2)  # smaller than a pixel: fainter
    return share * (1.0 - step(radius - 0.5 * edge, radius + 0.5 * edge, np.sqrt(dx * dx + dy * dy))), value


@kernel
def step(low: float, high: float, value: float) -> float:
    """A smooth step: 0 below `low`, 1 above `high`."""
    t = min(1.0, max(0.0, (value - low) / (high - low)))
    return t * t * (3.0 - 2.0 * t)


@kernel
def inside(value: float, low: float, high: float, footprint: float) -> float:
    """The share of a pixel of this footprint, centred at `value`, that lies between `low` and `high`."""
    left = max(low, value - 0.5 * footprint)
    right = min(high, value + 0.5 * footprint)
    return max(0.0, right - left) / footprint
