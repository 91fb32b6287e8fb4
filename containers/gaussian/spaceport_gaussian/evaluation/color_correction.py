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
    never = _clipped(colors) | _clipped(target)
    usable: NDArray[np.bool_] | None = None
    for _ in range(ROUNDS):
        before, usable = usable, ~(never | _clipped(colors))
        if before is not None and np.array_equal(before, usable):
            break  # the same pixels again would ask for no change
        terms = np.column_stack([colors, np.ones(len(colors))])
        maps = [
            _least_squares(terms, target[:, channel], usable[:, channel], channel) for channel in range(3)
        ]
        colors = np.clip(terms @ np.column_stack(maps), 0.0, 1.0)
    return colors.reshape(render.shape)


def _clipped(colors: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (colors < CLIPPED) | (colors > 1.0 - CLIPPED)


def _least_squares(
    terms: NDArray[np.float64], values: NDArray[np.float64], usable: NDArray[np.bool_], channel: int
) -> NDArray[np.float64]:
    """The weights (4,) of `terms` (P, 4) nearest to `values` (P,); of no change where none is usable."""
    if not usable.any():
        return np.eye(4)[channel]
    # The 4 × 4 normal equations: a hundredth of the time of a decomposition of all pixels.
    used = (terms * usable[:, None]).T
    return np.linalg.lstsq(used @ terms, used @ values, rcond=None)[0]
