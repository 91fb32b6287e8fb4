"""Blends footprints into pixels, tile by tile and front to back, and gradients the way back.

A tile is as wide as a vector register, and its pixels lie in memory row after row. So whatever rows a
footprint touches, they are one loop over contiguous pixels, without a branch, that LLVM vectorises,
and sums over them stay in registers. A pixel that takes no more light is kept at transmittance 0, which
makes every later weight 0.

The rules are gsplat's: alpha = min(0.999, opacity · exp(-½ d²)), nothing where alpha is below the
cut, and a pixel is finished before the footprint that would bring its transmittance to 10⁻⁴ or less.
"""

# ruff: noqa: PLR0915, PLR0917 - a kernel takes its arrays one by one, and reads best in one piece

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from spaceport_render.kernel import inlined, kernel

F = np.float32

# Pixels. The width is an AVX2 register's, which LLVM prefers to AVX-512's for most CPUs.
TILE_WIDTH = 8
TILE_HEIGHT = 16
PIXELS = TILE_WIDTH * TILE_HEIGHT
# Places in a tile are counted without sign: Numba looks whether a signed index is negative, which keeps
# LLVM from seeing that a loop runs over contiguous pixels.
WIDTH = np.uint64(TILE_WIDTH)
ALPHA_MAX = F(0.999)
OPAQUE = F(1e-4)
# exp is taken of nothing lower; far below any cut.
LOWEST_POWER = F(-30.0)
# How many footprints are blended between two looks whether the whole tile is finished.
LOOK_EVERY = 8

# What is kept of each pixel of a tile. One array of known shape holds all of it, so that LLVM sees that
# the planes don't overlap and need not test it before each loop.
RED, GREEN, BLUE = 0, 1, 2
LIGHT = 3  # transmittance in front of the next footprint; 0 once the pixel is finished
BEHIND = 4  # forward: transmittance behind the last footprint; backward: the light from there
COUNT = 5  # how many of the tile's footprints came before the pixel was finished
COLUMN, ROW = 6, 7  # the pixel's place in the tile
PLANES = 8

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
def _start(planes):
    """Sets all planes to 0, and the pixels' places."""
    for plane in range(PLANES):
        for i in range(PIXELS):
            planes[plane, i] = 0
    for row in range(TILE_HEIGHT):
        for column in range(TILE_WIDTH):
            planes[COLUMN, row * TILE_WIDTH + column] = column
            planes[ROW, row * TILE_WIDTH + column] = row


@kernel(fast=True)
def composite(
    first, end, footprints, tile_start, tile_footprints, tile_rows, across, alpha_cut, background,
    image, alpha, transmittance, finished,
):  # fmt: skip
    """Draws tiles `first` to `end`, of which there are `across` in a row.

    Args:
        footprints: (N,) FOOTPRINT.
        tile_start, tile_footprints, tile_rows: see `tiles.Touches`.
        background: (3,).
        image, alpha: (H, W, 3) and (H, W), filled.
        transmittance: (tiles, PIXELS), filled: what light is left behind the last footprint.
        finished: (tiles, PIXELS) float32, filled: how many of the tile's footprints came before the
            pixel was finished.
    """
    height, width = alpha.shape
    planes = np.empty((PLANES, PIXELS), np.float32)
    for tile in range(first, end):
        left, top = tile % across * TILE_WIDTH, tile // across * TILE_HEIGHT
        rows, columns = min(TILE_HEIGHT, height - top), min(TILE_WIDTH, width - left)
        _start(planes)
        for row in range(rows):  # pixels beyond the image are finished from the start
            for column in range(columns):
                planes[LIGHT, row * TILE_WIDTH + column] = 1
                planes[BEHIND, row * TILE_WIDTH + column] = 1
        center_left, center_top = F(left) + F(0.5), F(top) + F(0.5)
        for k in range(tile_start[tile + 1] - tile_start[tile]):
            pair = tile_start[tile] + k
            footprint = footprints[tile_footprints[pair]]
            row_first, row_end = np.uint64(tile_rows[pair, 0]), np.uint64(tile_rows[pair, 1])
            half_a, b, half_c = F(-0.5) * footprint.conic_xx, footprint.conic_xy, F(-0.5) * footprint.conic_yy
            opacity = footprint.opacity
            red, green, blue = footprint.red, footprint.green, footprint.blue
            to_left, to_top = center_left - footprint.x, center_top - footprint.y
            blended = F(k + 1)
            for i in range(row_first * WIDTH, row_end * WIDTH):
                dx, dy = to_left + planes[COLUMN, i], to_top + planes[ROW, i]
                power = (half_a * dx - b * dy) * dx + half_c * dy * dy
                power = min(max(power, LOWEST_POWER), F(0))
                covering = min(ALPHA_MAX, opacity * _exp(power))
                covering = covering if covering >= alpha_cut else F(0)
                before = planes[LIGHT, i]
                weight = covering * before
                after = before - weight
                goes_on = after > OPAQUE
                weight = weight if goes_on else F(0)
                planes[RED, i] += weight * red
                planes[GREEN, i] += weight * green
                planes[BLUE, i] += weight * blue
                planes[LIGHT, i] = after if goes_on else F(0)
                planes[BEHIND, i] = after if goes_on else planes[BEHIND, i]
                planes[COUNT, i] = blended if goes_on else planes[COUNT, i]
            if (k + 1) % LOOK_EVERY == 0:
                light = F(0)
                for i in range(PIXELS):
                    light += planes[LIGHT, i]
                if light == 0:
                    break
        for i in range(PIXELS):
            transmittance[tile, i] = planes[BEHIND, i]
            finished[tile, i] = planes[COUNT, i]
        for row in range(rows):
            for column in range(columns):
                i = row * TILE_WIDTH + column
                behind = planes[BEHIND, i]
                pixel = image[top + row, left + column]
                pixel[0] = planes[RED, i] + behind * background[0]
                pixel[1] = planes[GREEN, i] + behind * background[1]
                pixel[2] = planes[BLUE, i] + behind * background[2]
                alpha[top + row, left + column] = F(1) - behind


@kernel(fast=True)
def composite_backward(
    first, end, footprints, tile_start, tile_footprints, tile_rows, slots, across, alpha_cut, background,
    transmittance, finished, to_image, to_alpha, gradients,
):  # fmt: skip
    """The loss's gradient for each pair of a tile in `first` to `end` and a footprint.

    Goes back to front, undoing one blend after the other.

    Args:
        slots, tile_rows: see `tiles.Touches`.
        transmittance, finished: as `composite` left them.
        to_image, to_alpha: (H, W, 3) and (H, W), the loss's gradient.
        gradients: (M,) FOOTPRINT_GRADIENT, filled at these tiles' slots; left alone where nothing was drawn.
    """
    height, width = to_alpha.shape
    planes = np.empty((PLANES, PIXELS), np.float32)
    for tile in range(first, end):
        left, top = tile % across * TILE_WIDTH, tile // across * TILE_HEIGHT
        rows, columns = min(TILE_HEIGHT, height - top), min(TILE_WIDTH, width - left)
        _start(planes)
        last = F(0)
        for row in range(rows):
            for column in range(columns):
                i = row * TILE_WIDTH + column
                gradient = to_image[top + row, left + column]
                planes[RED, i], planes[GREEN, i], planes[BLUE, i] = gradient[0], gradient[1], gradient[2]
                planes[LIGHT, i] = transmittance[tile, i]
                planes[COUNT, i] = finished[tile, i]
                # The loss's gradient along the light that comes from behind, times that light.
                planes[BEHIND, i] = transmittance[tile, i] * (
                    gradient[0] * background[0]
                    + gradient[1] * background[1]
                    + gradient[2] * background[2]
                    - to_alpha[top + row, left + column]
                )
                last = max(last, finished[tile, i])
        center_left, center_top = F(left) + F(0.5), F(top) + F(0.5)
        for k in range(int(last) - 1, -1, -1):
            pair = tile_start[tile] + k
            footprint = footprints[tile_footprints[pair]]
            row_first, row_end = np.uint64(tile_rows[pair, 0]), np.uint64(tile_rows[pair, 1])
            a, b, c = footprint.conic_xx, footprint.conic_xy, footprint.conic_yy
            half_a, half_c = F(-0.5) * a, F(-0.5) * c
            opacity = footprint.opacity
            red, green, blue = footprint.red, footprint.green, footprint.blue
            to_left, to_top = center_left - footprint.x, center_top - footprint.y
            at = F(k)
            # Sums over pixels: of the colours' gradients, and of the power's times 1, dx, dy, dx², …
            sum_red, sum_green, sum_blue = F(0), F(0), F(0)
            sum_1, sum_x, sum_y = F(0), F(0), F(0)
            sum_xx, sum_xy, sum_yy = F(0), F(0), F(0)
            abs_x, abs_y = F(0), F(0)
            for i in range(row_first * WIDTH, row_end * WIDTH):
                dx, dy = to_left + planes[COLUMN, i], to_top + planes[ROW, i]
                power = (half_a * dx - b * dy) * dx + half_c * dy * dy
                power = min(max(power, LOWEST_POWER), F(0))
                unclipped = opacity * _exp(power)
                covering = min(ALPHA_MAX, unclipped)
                covering = covering if covering >= alpha_cut else F(0)
                covering = covering if at < planes[COUNT, i] else F(0)
                inverse = F(1) / (F(1) - covering)
                before = planes[LIGHT, i] * inverse
                weight = covering * before
                to_red, to_green, to_blue = planes[RED, i], planes[GREEN, i], planes[BLUE, i]
                to_color = red * to_red + green * to_green + blue * to_blue
                to_power = (before * to_color - planes[BEHIND, i] * inverse) * covering
                to_power = to_power if unclipped <= ALPHA_MAX else F(0)
                planes[BEHIND, i] += weight * to_color
                planes[LIGHT, i] = before
                sum_red += weight * to_red
                sum_green += weight * to_green
                sum_blue += weight * to_blue
                by_x, by_y = to_power * dx, to_power * dy
                sum_1 += to_power
                sum_x += by_x
                sum_y += by_y
                sum_xx += by_x * dx
                sum_xy += by_x * dy
                sum_yy += by_y * dy
                abs_x += abs(a * by_x + b * by_y)
                abs_y += abs(b * by_x + c * by_y)
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
