# ruff: noqa: PLR0917 - a kernel takes its arrays one by one
"""SSIM and its gradient on the CPU (Wang et al. 2004), fused: no blurred image is ever stored.

Images are (H, 3·W) float32, the channels of a pixel side by side: the window's taps along a row are then
3 apart, and one loop serves all channels. Beyond the border lies 0, as in 3DGS's loss.

The window is a product of two lines. Each row is summed along itself once, into a ring of the last rows; a
row of windows is then the sum of the ring's rows.
"""

from __future__ import annotations

import numpy as np

from spaceport_render.kernel import inlined, kernel

F = np.float32

# The window: 11 × 11 pixels, Gaussian with σ = 1.5.
RADIUS = 5
TAPS = 2 * RADIUS + 1
CHANNELS = 3
_line = np.exp(-0.5 * ((np.arange(TAPS) - RADIUS) / 1.5) ** 2)
WINDOW = (_line / _line.sum()).astype(np.float32)
PAD = RADIUS * CHANNELS

C1 = F(0.01**2)
C2 = F(0.03**2)

# The image is taken in strips of so many elements, so that rings stay in the first cache, and loops have a
# known length, which LLVM needs to see that what they read and write does not overlap.
STRIP = 64 * CHANNELS


@inlined
def _sum_along(lines, planes, rings, place):
    """The window's sums along the row that `lines` holds for each plane, into the rings at `place`.

    A ring is as long as two windows are high and holds each row twice: so a window's rows are side by side.
    """
    for plane in range(planes):
        for i in range(STRIP):
            total = F(0)
            for k in range(TAPS):
                total += WINDOW[k] * lines[plane, i + CHANNELS * k]
            rings[plane, place, i] = total
            rings[plane, place + TAPS, i] = total


@inlined
def _sum_down(planes, rings, place, sums):
    """The sums over the window whose last row is at `place` of the rings."""
    for plane in range(planes):
        for i in range(STRIP):
            total = F(0)
            for k in range(TAPS):
                total += WINDOW[k] * rings[plane, place + 1 + k, i]
            sums[plane, i] = total


@inlined
def _span(left, length):
    """Of a row, the elements that a strip from `left` on looks at: the first, and one after the last."""
    return max(left - PAD, 0), min(left + STRIP + PAD, length)


@kernel(fast=True)
def target_moments(first, end, photo, mean, mean_square):
    """Fills rows `first` to `end` of the photo's and its square's means under the window."""
    height, length = photo.shape
    lines = np.empty((2, STRIP + 2 * PAD), np.float32)
    rings = np.empty((2, 2 * TAPS, STRIP), np.float32)
    sums = np.empty((2, STRIP), np.float32)
    for left in range(0, length, STRIP):
        lines[:] = 0
        start, stop = _span(left, length)
        at = start - left + PAD
        for below in range(first - RADIUS, end + RADIUS):
            place = (below + RADIUS) % TAPS
            if 0 <= below < height:
                row, line, squares = photo[below, start:stop], lines[0, at:], lines[1, at:]
                for i in range(len(row)):
                    line[i] = row[i]
                    squares[i] = row[i] * row[i]
                _sum_along(lines, 2, rings, place)
            else:
                rings[:, place] = 0
                rings[:, place + TAPS] = 0
            y = below - RADIUS
            if y >= first:
                _sum_down(2, rings, place, sums)
                to_mean, to_square = mean[y, left : left + STRIP], mean_square[y, left : left + STRIP]
                for i in range(len(to_mean)):
                    to_mean[i] = sums[0, i]
                    to_square[i] = sums[1, i]


@kernel(fast=True)
def similarity(first, end, image, photo, photo_mean, photo_mean_square, totals, slopes):
    """SSIM of rows `first` to `end`, and how it changes with the image's moments.

    Args:
        photo_mean, photo_mean_square: from `target_moments`.
        totals: (H,) float64, filled: each row's sum of SSIM.
        slopes: (3, H, 3·W), filled: the derivatives of SSIM by the image's mean, by the mean of its
            square, and by the mean of its product with the photo, under each window.
    """
    height, length = image.shape
    lines = np.empty((3, STRIP + 2 * PAD), np.float32)
    rings = np.empty((3, 2 * TAPS, STRIP), np.float32)
    sums = np.empty((3, STRIP), np.float32)
    totals[first:end] = 0
    for left in range(0, length, STRIP):
        lines[:] = 0
        start, stop = _span(left, length)
        at = start - left + PAD
        for below in range(first - RADIUS, end + RADIUS):
            place = (below + RADIUS) % TAPS
            if 0 <= below < height:
                row, photo_row = image[below, start:stop], photo[below, start:stop]
                line, squares, products = lines[0, at:], lines[1, at:], lines[2, at:]
                for i in range(len(row)):
                    line[i] = row[i]
                    squares[i] = row[i] * row[i]
                    products[i] = row[i] * photo_row[i]
                _sum_along(lines, 3, rings, place)
            else:
                rings[:, place] = 0
                rings[:, place + TAPS] = 0
            y = below - RADIUS
            if y < first:
                continue
            _sum_down(3, rings, place, sums)
            total = F(0)
            means, squares = photo_mean[y, left : left + STRIP], photo_mean_square[y, left : left + STRIP]
            for i in range(len(means)):
                a, b = sums[0, i], means[i]
                variance_a = sums[1, i] - a * a
                variance_b = squares[i] - b * b
                covariance = sums[2, i] - a * b
                luminance, structure = F(2) * a * b + C1, F(2) * covariance + C2
                luminance_norm = a * a + b * b + C1
                structure_norm = variance_a + variance_b + C2
                inverse = F(1) / (luminance_norm * structure_norm)
                ssim = luminance * structure * inverse
                total += ssim
                by_square = -ssim / structure_norm
                by_product = F(2) * luminance * inverse
                # The variance and the covariance hold the mean, too.
                sums[0, i] = (
                    F(2) * b * structure * inverse
                    - F(2) * a * ssim / luminance_norm
                    - F(2) * a * by_square
                    - b * by_product
                )
                sums[1, i] = by_square
                sums[2, i] = by_product
            for plane in range(3):
                line = slopes[plane, y, left : left + STRIP]
                for i in range(len(line)):
                    line[i] = sums[plane, i]
            totals[y] += total


@kernel(fast=True)
def similarity_backward(first, end, image, photo, slopes, scale, to_image):
    """Fills rows `first` to `end` of `to_image`: the gradient of `scale` · Σ SSIM by the image."""
    height, length = image.shape
    lines = np.empty((3, STRIP + 2 * PAD), np.float32)
    rings = np.empty((3, 2 * TAPS, STRIP), np.float32)
    sums = np.empty((3, STRIP), np.float32)
    for left in range(0, length, STRIP):
        lines[:] = 0
        start, stop = _span(left, length)
        at = start - left + PAD
        for below in range(first - RADIUS, end + RADIUS):
            place = (below + RADIUS) % TAPS
            if 0 <= below < height:
                for plane in range(3):
                    row, line = slopes[plane, below, start:stop], lines[plane, at:]
                    for i in range(len(row)):
                        line[i] = row[i]
                _sum_along(lines, 3, rings, place)
            else:
                rings[:, place] = 0
                rings[:, place + TAPS] = 0
            y = below - RADIUS
            if y >= first:
                _sum_down(3, rings, place, sums)
                result = to_image[y, left : left + STRIP]
                row, photo_row = image[y, left : left + STRIP], photo[y, left : left + STRIP]
                for i in range(len(result)):
                    result[i] = scale * (sums[0, i] + F(2) * row[i] * sums[1, i] + photo_row[i] * sums[2, i])
