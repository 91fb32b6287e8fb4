"""Centres: 16 bits an axis on a logarithmic scale, low and high bytes in two images.

The logarithm spends the steps where the scene is (near the origin) and still reaches far outliers:
in a scene of ±300 m a step is 0.2 mm at the origin and 9 mm at 50 m.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spaceport_compressor.sog.format import MeansMeta, Triple
from spaceport_compressor.sog.images import Texels, opaque
from spaceport_compressor.sog.pieces import pieces
from spaceport_compressor.sog.quantisation import Leeway, choose_steps

STEPS = 2**16 - 1
DIGITS = 9  # significant digits of the bounds in meta.json: far below one of 65,535 steps

FILES = ("means_l.webp", "means_u.webp")


def pack_means(
    means: NDArray[np.float32], leeway: Leeway | None = None
) -> tuple[MeansMeta, tuple[Texels, Texels]]:
    """The texels of `means` (N, 3), metres: low bytes, then high bytes.

    Args:
        leeway: in metres; None: the nearest step.
    """
    places, mins, maxs = places_of(means)
    if leeway is not None:
        leeway = _in_steps(leeway, means, np.subtract(maxs, mins))
    codes = choose_steps(places, STEPS, leeway)
    low, high = (codes & 0xFF).astype(np.uint8), (codes >> 8).astype(np.uint8)
    return MeansMeta(mins=mins, maxs=maxs, files=FILES), (opaque(*low.T), opaque(*high.T))


def _in_steps(leeway: Leeway, means: NDArray[np.float32], extent: NDArray[np.float64]) -> Leeway:
    """`leeway`, in metres, counted in the scale's steps."""
    # The derivative of sign(x)·log(1 + |x|) is 1 / (1 + |x|).
    step = np.maximum(extent, np.finfo(np.float32).tiny) / STEPS
    weights, reach = np.empty_like(means), np.empty_like(means)
    for piece in pieces(len(means)):
        steps = leeway.of(piece).scaled((1 + np.abs(means[piece])) * step)
        weights[piece], reach[piece] = steps.weights, steps.reach
    return Leeway(weights, reach, leeway.price)


def places_of(means: NDArray[np.float32]) -> tuple[NDArray[np.float64], Triple, Triple]:
    """Where `means` lie between the ends of the scale, (N, 3) from 0 to STEPS, and these ends."""
    logs = np.empty(means.shape)
    for piece in pieces(len(means)):
        metres = means[piece].astype(np.float64)
        logs[piece] = np.sign(metres) * np.log1p(np.abs(metres))
    mins, maxs = _triple(logs.min(axis=0)), _triple(logs.max(axis=0))
    extent = np.subtract(maxs, mins)
    logs -= mins
    logs *= STEPS / np.where(extent > 0, extent, np.inf)
    return logs, mins, maxs


def unpack_means(meta: MeansMeta, low: Texels, high: Texels) -> NDArray[np.float32]:
    """The centres, (N, 3) metres."""
    codes = low[:, :3].astype(np.uint16) | (high[:, :3].astype(np.uint16) << 8)
    logs = np.array(meta.mins) + codes / STEPS * np.subtract(meta.maxs, meta.mins)
    return (np.sign(logs) * np.expm1(np.abs(logs))).astype(np.float32)


def _triple(values: NDArray[np.float64]) -> Triple:
    x, y, z = (float(f"{value:.{DIGITS}g}") for value in values)
    return x, y, z
