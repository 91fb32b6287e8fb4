"""Blends footprints into pixels, tile by tile and front to back, and gradients the way back.

Each row of a tile is one or two vector registers wide: the innermost loops run over its 16 pixels
without a branch, so that LLVM vectorises them. A pixel that takes no more light is kept at
transmittance 0, which makes every later weight 0.

The rules are gsplat's: alpha = min(0.999, opacity · exp(-½ d²)), nothing where alpha is below the
cut, and a pixel is finished before the footprint that would bring its transmittance to 10⁻⁴ or less.
"""

# ruff: noqa: PLR0912, PLR0915, PLR0917 - a kernel takes its arrays one by one, and reads best in one piece

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from spaceport_render.kernel import inlined, kernel

F = np.float32

# Pixels along a tile's side: a row fills one AVX-512 register, or two of AVX2.
TILE = 16
ALPHA_MAX = F(0.999)
OPAQUE = F(1e-4)
# exp is taken of nothing lower; far below any cut.
LOWEST_POWER = F(-30.0)
# How many footprints are blended between two looks whether the whole tile is finished.
LOOK_EVERY = 8

LOG2_E = F(1.4426950408889634)
# 2**f = 1 + P1·f + … + P5·f⁵ over -1 ≤ f ≤ 0: the polynomial of least relative error, 4.8e-8 (found by
# linear programming over 4,000 points).
P1, P2, P3, P4, P5 = F(0.693142634), F(0.240169291), F(0.0552659608), F(0.00917033149), F(0.000931051584)


@intrinsic
def _two_to_the(typing_context, exponent):
    """2**n for an int32 n within float32's range: n, biased, in the exponent's bits."""

    def generate(context, builder, signature, arguments):
        int32 = ir.IntType(32)
        biased = builder.add(arguments[0], int32(127))
        return builder.bitcast(builder.shl(biased, int32(23)), ir.FloatType())

    return types.float32(types.int32), generate


@inlined
def _exp(x):
    """exp(x) for LOWEST_POWER ≤ x ≤ 0, to 2e-6 of its value; unlike libm's, it vectorises."""
    scaled = x * LOG2_E
    n = np.int32(scaled)  # towards zero
    f = scaled - F(n)
    p = ((((P5 * f + P4) * f + P3) * f + P2) * f + P1) * f + F(1)
    return p * _two_to_the(n)


@inlined
def _rows(center_y, reach_y, tile_top):
    """The tile's rows, first and one after the last, whose pixel centres are within reach."""
    top = center_y - reach_y - tile_top
    bottom = center_y + reach_y - tile_top
    first = min(max(math.ceil(top), F(0)), F(TILE))
    end = min(max(math.floor(bottom) + F(1), F(0)), F(TILE))
    return int(first), int(end)


@kernel(fast=True)
def composite(
    first, end, footprints, tile_start, tile_footprints, across, alpha_cut, background,
    image, alpha, transmittance, finished,
):  # fmt: skip
    """Draws tiles `first` to `end`, of which there are `across` in a row.

    Args:
        footprints: (N,) FOOTPRINT, front to back.
        tile_start, tile_footprints: see `tiles.Touches`.
        background: (3,).
        image, alpha: (H, W, 3) and (H, W), filled.
        transmittance: (tiles, TILE, TILE), filled: what light is left behind the last footprint.
        finished: (tiles, TILE, TILE) float32, filled: how many of the tile's footprints came before
            the pixel was finished.
    """
    height, width = alpha.shape
    # One array of known shape, so that LLVM sees that the planes don't overlap and need not test it
    # before each row.
    planes = np.empty((6, TILE, TILE), np.float32)
    for tile in range(first, end):
        left, top = tile % across * TILE, tile // across * TILE
        rows, columns = min(TILE, height - top), min(TILE, width - left)
        planes[:] = 0
        for row in range(rows):  # pixels beyond the image are finished from the start
            for j in range(columns):
                planes[3, row, j] = 1
        planes[4, :, :] = 1
        center_left, center_top = F(left) + F(0.5), F(top) + F(0.5)
        count = tile_start[tile + 1] - tile_start[tile]
        for k in range(count):
            footprint = footprints[tile_footprints[tile_start[tile] + k]]
            half_a, b, half_c = F(-0.5) * footprint.conic_xx, footprint.conic_xy, F(-0.5) * footprint.conic_yy
            opacity = footprint.opacity
            red, green, blue = footprint.red, footprint.green, footprint.blue
            offset = center_left - footprint.x
            blended = F(k + 1)
            row_first, row_end = _rows(footprint.y, footprint.reach_y, center_top)
            for row in range(row_first, row_end):
                dy = center_top + F(row) - footprint.y
                constant, slope = half_c * dy * dy, -b * dy
                for j in range(TILE):
                    dx = offset + F(np.int32(j))
                    power = (half_a * dx + slope) * dx + constant
                    power = min(max(power, LOWEST_POWER), F(0))
                    covering = min(ALPHA_MAX, opacity * _exp(power))
                    covering = covering if covering >= alpha_cut else F(0)
                    before = planes[3, row, j]
                    weight = covering * before
                    after = before - weight
                    goes_on = after > OPAQUE
                    weight = weight if goes_on else F(0)
                    planes[0, row, j] += weight * red
                    planes[1, row, j] += weight * green
                    planes[2, row, j] += weight * blue
                    planes[3, row, j] = after if goes_on else F(0)
                    planes[4, row, j] = after if goes_on else planes[4, row, j]
                    planes[5, row, j] = blended if goes_on else planes[5, row, j]
            if (k + 1) % LOOK_EVERY == 0:
                light = F(0)
                for row in range(TILE):
                    for j in range(TILE):
                        light += planes[3, row, j]
                if light == 0:
                    break
        transmittance[tile] = planes[4]
        finished[tile] = planes[5]
        for row in range(rows):
            for j in range(columns):
                behind = planes[4, row, j]
                for channel in range(3):
                    image[top + row, left + j, channel] = (
                        planes[channel, row, j] + behind * background[channel]
                    )
                alpha[top + row, left + j] = F(1) - behind


@kernel(fast=True)
def composite_backward(
    first, end, footprints, tile_start, tile_footprints, slots, across, alpha_cut, background,
    transmittance, finished, to_image, to_alpha, gradients,
):  # fmt: skip
    """The loss's gradient for each pair of a tile in `first` to `end` and a footprint.

    Goes back to front, undoing one blend after the other.

    Args:
        slots: see `tiles.Touches`.
        transmittance, finished: as `composite` left them.
        to_image, to_alpha: (H, W, 3) and (H, W), the loss's gradient.
        gradients: (M,) FOOTPRINT_GRADIENT, filled at this tiles' slots; zero where nothing was drawn.
    """
    height, width = to_alpha.shape
    planes = np.empty((6, TILE, TILE), np.float32)
    for tile in range(first, end):
        left, top = tile % across * TILE, tile // across * TILE
        rows, columns = min(TILE, height - top), min(TILE, width - left)
        planes[:] = 0
        planes[3] = transmittance[tile]
        planes[5] = finished[tile]
        last = F(0)
        for row in range(rows):
            for j in range(columns):
                # The loss's gradient along the light that comes from behind, times that light.
                through = -to_alpha[top + row, left + j]
                for channel in range(3):
                    gradient = to_image[top + row, left + j, channel]
                    planes[channel, row, j] = gradient
                    through += gradient * background[channel]
                planes[4, row, j] = planes[3, row, j] * through
                last = max(last, planes[5, row, j])
        center_left, center_top = F(left) + F(0.5), F(top) + F(0.5)
        for k in range(int(last) - 1, -1, -1):
            pair = tile_start[tile] + k
            footprint = footprints[tile_footprints[pair]]
            a, b, c = footprint.conic_xx, footprint.conic_xy, footprint.conic_yy
            half_a, half_c = F(-0.5) * a, F(-0.5) * c
            opacity = footprint.opacity
            red, green, blue = footprint.red, footprint.green, footprint.blue
            offset = center_left - footprint.x
            at = F(k)
            row_first, row_end = _rows(footprint.y, footprint.reach_y, center_top)
            # Sums over pixels: of the colours' gradients, and of the power's times 1, dx, dy, dx², …
            sum_red, sum_green, sum_blue = F(0), F(0), F(0)
            sum_1, sum_x, sum_y = F(0), F(0), F(0)
            sum_xx, sum_xy, sum_yy = F(0), F(0), F(0)
            abs_x, abs_y = F(0), F(0)
            for row in range(row_first, row_end):
                dy = center_top + F(row) - footprint.y
                constant, slope = half_c * dy * dy, -b * dy
                b_dy, c_dy = b * dy, c * dy
                row_1, row_x, row_xx = F(0), F(0), F(0)
                for j in range(TILE):
                    dx = offset + F(np.int32(j))
                    power = (half_a * dx + slope) * dx + constant
                    power = min(max(power, LOWEST_POWER), F(0))
                    unclipped = opacity * _exp(power)
                    covering = min(ALPHA_MAX, unclipped)
                    covering = covering if covering >= alpha_cut else F(0)
                    covering = covering if at < planes[5, row, j] else F(0)
                    inverse = F(1) / (F(1) - covering)
                    before = planes[3, row, j] * inverse
                    weight = covering * before
                    to_red, to_green, to_blue = planes[0, row, j], planes[1, row, j], planes[2, row, j]
                    to_color = red * to_red + green * to_green + blue * to_blue
                    to_power = (before * to_color - planes[4, row, j] * inverse) * covering
                    to_power = to_power if unclipped <= ALPHA_MAX else F(0)
                    planes[4, row, j] += weight * to_color
                    planes[3, row, j] = before
                    sum_red += weight * to_red
                    sum_green += weight * to_green
                    sum_blue += weight * to_blue
                    row_1 += to_power
                    row_x += to_power * dx
                    row_xx += to_power * dx * dx
                    abs_x += abs(to_power * (a * dx + b_dy))
                    abs_y += abs(to_power * (b * dx + c_dy))
                sum_1 += row_1
                sum_x += row_x
                sum_xx += row_xx
                sum_y += row_1 * dy
                sum_xy += row_x * dy
                sum_yy += row_1 * dy * dy
            result = gradients[slots[pair]]
            result.x = a * sum_x + b * sum_y
            result.y = b * sum_x + c * sum_y
            result.abs_x, result.abs_y = abs_x, abs_y
            result.conic_xx = F(-0.5) * sum_xx
            result.conic_xy = -sum_xy
            result.conic_yy = F(-0.5) * sum_yy
            result.opacity = sum_1 / opacity
            result.red, result.green, result.blue = sum_red, sum_green, sum_blue


@kernel()
def sum_by_footprint(first, end, footprint_start, gradients, sums):
    """Adds up the tiles' gradients of footprints `first` to `end`.

    Args:
        footprint_start: see `tiles.Touches`.
        gradients: (M,) FOOTPRINT_GRADIENT by slot, seen as (M, 11) float32.
        sums: (N, 11) float32, filled.
    """
    for n in range(first, end):
        sums[n] = 0
        for slot in range(footprint_start[n], footprint_start[n + 1]):
            for field in range(sums.shape[1]):
                sums[n, field] += gradients[slot, field]
