# ruff: noqa: PLR0917 - a kernel takes its arrays one by one
"""SSIM and its gradient on the CPU (Wang et al. 2004), fused: no blurred image is ever stored.

Images are (H, 3·W) float32, the channels of a pixel side by side: the window's taps along a row are then
3 apart, and one loop serves all channels. Beyond the border lies 0, as in 3DGS's loss.
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


@inlined
def _along_row(padded, i):
    """The window's sum along a row, around element `i` of the row that `padded` holds between its pads."""
    total = F(0)
    for k in range(TAPS):
        total += WINDOW[k] * padded[i + CHANNELS * k]
    return total


@kernel(fast=True)
def target_moments(first, end, photo, mean, mean_square):
    """Fills rows `first` to `end` of the photo's and its square's means under the window."""
    height, length = photo.shape
    lines = np.zeros((2, length + 2 * PAD), np.float32)
    for y in range(first, end):
        lines[:] = 0
        for k in range(max(0, RADIUS - y), min(TAPS, height + RADIUS - y)):
            weight, row = WINDOW[k], photo[y + k - RADIUS]
            for i in range(length):
                lines[0, PAD + i] += weight * row[i]
                lines[1, PAD + i] += weight * row[i] * row[i]
        for i in range(length):
            mean[y, i] = _along_row(lines[0], i)
            mean_square[y, i] = _along_row(lines[1], i)


@kernel(fast=True)
def similarity(first, end, image, photo, photo_mean, photo_mean_square, sums, slopes):
    """SSIM of rows `first` to `end`, and how it changes with the image's moments.

    Args:
        photo_mean, photo_mean_square: from `target_moments`.
        sums: (H,) float64, filled: each row's sum of SSIM.
        slopes: (3, H, 3·W), filled: the derivatives of SSIM by the image's mean, by the mean of its
            square, and by the mean of its product with the photo, under each window.
    """
    height, length = image.shape
    lines = np.zeros((3, length + 2 * PAD), np.float32)
    for y in range(first, end):
        lines[:] = 0
        for k in range(max(0, RADIUS - y), min(TAPS, height + RADIUS - y)):
            weight, row, photo_row = WINDOW[k], image[y + k - RADIUS], photo[y + k - RADIUS]
            for i in range(length):
                weighted = weight * row[i]
                lines[0, PAD + i] += weighted
                lines[1, PAD + i] += weighted * row[i]
                lines[2, PAD + i] += weighted * photo_row[i]
        total = F(0)
        for i in range(length):
            a, b = _along_row(lines[0], i), photo_mean[y, i]
            variance_a = _along_row(lines[1], i) - a * a
            variance_b = photo_mean_square[y, i] - b * b
            covariance = _along_row(lines[2], i) - a * b
            luminance, structure = F(2) * a * b + C1, F(2) * covariance + C2
            luminance_norm = a * a + b * b + C1
            structure_norm = variance_a + variance_b + C2
            inverse = F(1) / (luminance_norm * structure_norm)
            ssim = luminance * structure * inverse
            total += ssim
            by_square = -ssim / structure_norm
            by_product = F(2) * luminance * inverse
            slopes[1, y, i] = by_square
            slopes[2, y, i] = by_product
            # The variance and the covariance hold the mean, too.
            slopes[0, y, i] = (
                F(2) * b * structure * inverse
                - F(2) * a * ssim / luminance_norm
                - F(2) * a * by_square
                - b * by_product
            )
        sums[y] = total


@kernel(fast=True)
def similarity_backward(first, end, image, photo, slopes, scale, to_image):
    """Fills rows `first` to `end` of `to_image`: the gradient of `scale` · Σ SSIM by the image."""
    height, length = image.shape
    lines = np.zeros((3, length + 2 * PAD), np.float32)
    for y in range(first, end):
        lines[:] = 0
        for k in range(max(0, RADIUS - y), min(TAPS, height + RADIUS - y)):
            weight, at = WINDOW[k], y + k - RADIUS
            for plane in range(3):
                row = slopes[plane, at]
                for i in range(length):
                    lines[plane, PAD + i] += weight * row[i]
        for i in range(length):
            by_mean, by_square = _along_row(lines[0], i), _along_row(lines[1], i)
            by_product = _along_row(lines[2], i)
            to_image[y, i] = scale * (by_mean + F(2) * image[y, i] * by_square + photo[y, i] * by_product)
