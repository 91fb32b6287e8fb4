"""Rotations: the three smaller components of the unit quaternion in 8 bits each.

The largest component follows from the others; its index is in alpha, as 252 + index, its sign is made
positive (q and -q are the same rotation). The others lie in ±1/√2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spaceport_compressor.sog.format import QuatsMeta
from spaceport_compressor.sog.images import Texels
from spaceport_compressor.sog.pieces import pieces
from spaceport_compressor.sog.quantisation import Leeway, choose_levels

FILES = ("quats.webp",)
FIRST_TAG = 252
STEPS = 255
# The components that stay, for each one that is left out.
KEPT = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
LEVELS = (np.arange(STEPS + 1) / STEPS * 2 - 1) / np.sqrt(2)


def pack_quats(quats: NDArray[np.float32], leeway: Leeway | None = None) -> tuple[QuatsMeta, Texels]:
    """The texels of `quats` (N, 4), w x y z, of any length but zero.

    Args:
        leeway: of the four components of the unit quaternion; None: the nearest codes.
    """
    kept, largest = np.empty((len(quats), 3), np.float32), np.empty(len(quats), np.uint8)
    for piece in pieces(len(quats)):
        unit = quats[piece].astype(np.float64)
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        largest[piece] = np.abs(unit).argmax(axis=1)
        own = np.take_along_axis(unit, largest[piece, None].astype(np.intp), axis=1)
        kept[piece] = np.take_along_axis(np.where(own < 0, -unit, unit), KEPT[largest[piece]], axis=1)
    texels = np.empty((len(quats), 4), dtype=np.uint8)
    texels[:, :3] = choose_levels(kept, LEVELS, leeway and _of_kept(leeway, largest))
    texels[:, 3] = FIRST_TAG + largest
    return QuatsMeta(files=FILES), texels


def _of_kept(leeway: Leeway, largest: NDArray[np.uint8]) -> Leeway:
    """Of the three components that stay, where `leeway` is of all four."""
    weights, reach = (np.empty((len(largest), 3), np.float32) for _ in range(2))
    for piece in pieces(len(largest)):
        kept = KEPT[largest[piece]]
        weights[piece] = np.take_along_axis(leeway.weights[piece], kept, axis=1)
        reach[piece] = np.take_along_axis(leeway.reach[piece], kept, axis=1)
    return Leeway(weights, reach, leeway.price)


def unpack_quats(texels: Texels) -> NDArray[np.float32]:
    """Unit quaternions, (N, 4) w x y z. Raises ValueError where a tag is none."""
    tags = texels[:, 3]
    if (tags < FIRST_TAG).any():
        raise ValueError("a rotation names no left-out component")
    largest = tags.astype(np.intp) - FIRST_TAG
    kept = LEVELS[texels[:, :3]]
    quats = np.empty((len(texels), 4))
    np.put_along_axis(quats, KEPT[largest], kept, axis=1)
    rest = np.sqrt(np.maximum(0.0, 1.0 - (kept**2).sum(axis=1)))
    np.put_along_axis(quats, largest[:, None], rest[:, None], axis=1)
    return quats.astype(np.float32)
