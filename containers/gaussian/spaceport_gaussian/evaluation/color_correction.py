"""Forgives a render what only exposure and white balance of its photo explain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROUNDS = 5  # as many as they take; after the second hardly a pixel changes sides
CLIPPED = 0.5 / 255  # nearer than half a step of 8 bits to black or white


def color_corrected(render: NDArray[np.floating], photo: NDArray[np.floating]) -> NDArray[np.float64]:
    """`render` under the affine map of colours that brings it nearest to `photo`, in 0..1.

    Least squares over one 3 × 4 matrix for the whole image, fitted on the pixels that neither image clips,
    again after each round, for the map moves some to the edge: as Mip-NeRF 360 (Barron et al. 2022) and
    gsplat measure it, here with linear terms only. A PSNR after it has seen the photo: it can only be
    compared with others like it.

    Args:
        render, photo: (H, W, 3) in 0..1.
    """
    target = np.asarray(photo, np.float64).reshape(-1, 3)
    colors = np.asarray(render, np.float64).reshape(-1, 3)
    was_clipped = _clipped(colors)
    for _ in range(ROUNDS):
        terms = np.column_stack([colors, np.ones(len(colors))])
        usable = ~(was_clipped | _clipped(colors) | _clipped(target))
        maps = [
            _least_squares(terms[usable[:, channel]], target[usable[:, channel], channel], channel)
            for channel in range(3)
        ]
        colors = np.clip(terms @ np.column_stack(maps), 0.0, 1.0)
    return colors.reshape(render.shape)


def _clipped(colors: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (colors < CLIPPED) | (colors > 1.0 - CLIPPED)


def _least_squares(
    terms: NDArray[np.float64], values: NDArray[np.float64], channel: int
) -> NDArray[np.float64]:
    """The weights (4,) of `terms` (P, 4) nearest to `values` (P,); those of no change where P is 0."""
    if len(values) == 0:
        return np.eye(4)[channel]
    # The 4 × 4 normal equations: a hundredth of the time of a decomposition of all pixels.
    return np.linalg.lstsq(terms.T @ terms, terms.T @ values, rcond=None)[0]
