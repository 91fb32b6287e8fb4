"""Levels of detail: the same model in ever fewer Gaussians, each level half of the one before.

Fewer by merging neighbours, two at a time, the cheapest pairs first (`mixture` tells what a pair costs), in
passes: after each the costs are found anew, as in mesh simplification (Garland & Heckbert, SIGGRAPH 1997)
and as in splat-transform's own decimation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from spaceport_compressor.judging.contributions import contributions
from spaceport_compressor.lod.mixture import (
    Doubles,
    Indices,
    Mixture,
    gaussians_of,
    merge_costs,
    merged,
    mixture_of,
)
from spaceport_render.camera import Camera
from spaceport_render.gaussians import Gaussians
from spaceport_render.kernel import kernel
from spaceport_render.threads import available_cores

# What a page shows first is the coarsest level: this many are about 1 MB, a second on a phone.
COARSEST = 64 * 1024
LEAST_LEVELS = 4
NEIGHBOURS = 6  # candidates for each; 5, 8 and 16 make pictures that differ by 0.1 dB
# Merged at most in one pass, of all: three passes to a half. On brighton the first level is 33.6 dB from the
# model then, with 0.3 (two passes) 32.8, and with 0.5, which takes pairs at any cost, 28.8.
SHARE_A_PASS = 0.21
# What a Gaussian that no photo sees counts: another camera may see it yet.
LEAST_VISIBLE = 0.05
# Photos that tell what is hidden, spread over the flight, and their longer side, pixels: a second or two.
CAMERAS = 16
LOOKED_AT = 480


def levels_of_detail(
    gaussians: Gaussians,
    cameras: Sequence[Camera],
    coarsest: int = COARSEST,
    least_levels: int = LEAST_LEVELS,
) -> list[Gaussians]:
    """`gaussians`, then half as many, and so on, until a level has `coarsest` or fewer.

    The same levels for the same arguments.

    Args:
        cameras: of the photos, which tell what lies hidden; none: all counts alike.
        least_levels: so many, all told, also where the first has few; fewer where Gaussians run out.
    """
    levels = [gaussians]
    mixture = mixture_of(gaussians, visible_shares(gaussians, cameras))
    while len(mixture) > 1 and (len(mixture) > coarsest or len(levels) < least_levels):
        mixture = thinned(mixture, (len(mixture) + 1) // 2)
        levels.append(gaussians_of(mixture, type(gaussians)))
    return levels


def visible_shares(gaussians: Gaussians, cameras: Sequence[Camera]) -> Doubles:
    """What share of each Gaussian others do not hide, over the photos of `cameras`: (N,), LEAST_VISIBLE to 1.

    All are 1 without cameras.
    """
    if not cameras:
        return np.ones(len(gaussians))
    step = -(-len(cameras) // CAMERAS)
    shown = contributions(gaussians, [_small(camera) for camera in cameras[::step]])
    shares = shown.pixels / np.maximum(shown.alone, np.finfo(np.float64).tiny)
    return np.clip(shares, LEAST_VISIBLE, 1)


def _small(camera: Camera) -> Camera:
    scale = min(1.0, LOOKED_AT / max(camera.width, camera.height))
    return camera.resized(max(1, round(camera.width * scale)), max(1, round(camera.height * scale)))


def thinned(mixture: Mixture, count: int) -> Mixture:
    """`mixture` in `count` Gaussians, at least one and at most as many as there are."""
    while len(mixture) > count:
        most = max(1, int(SHARE_A_PASS * len(mixture)))
        mixture = _merge_cheapest(mixture, min(most, len(mixture) - count))
    return mixture


def _merge_cheapest(mixture: Mixture, most: int) -> Mixture:
    """`mixture` after one pass, with 1 to `most` pairs merged."""
    slots = min(NEIGHBOURS + 1, len(mixture))  # each is its own nearest
    tree = cKDTree(mixture.means)
    _, neighbours = tree.query(mixture.means, k=slots, workers=available_cores())
    faces = mixture.faces()
    costs = merge_costs(mixture, faces, neighbours)
    pairs, paid, taken = _cheapest_pairs(costs, neighbours, most)
    into = merged(mixture, faces, pairs, paid)
    # Each stands where its first half stood: neighbours in space stay neighbours in memory.
    order = np.argsort(np.concatenate([np.flatnonzero(~taken), pairs[:, 0]]))
    return Mixture(
        *(
            np.concatenate([getattr(mixture, each.name)[~taken], getattr(into, each.name)])[order]
            for each in fields(Mixture)
        )
    )


def _cheapest_pairs(
    costs: Doubles, neighbours: Indices, most: int
) -> tuple[Indices, Doubles, NDArray[np.bool_]]:
    """Up to `most` pairs (P, 2), none in two of them, the cheapest first; their costs; who is in one."""
    told = np.flatnonzero(np.isfinite(costs))
    told = told[np.argsort(costs.reshape(-1)[told], kind="stable")]
    ends = np.stack([told // costs.shape[1], neighbours.reshape(-1)[told]], axis=1)
    chosen = np.empty(most, np.int64)
    taken = np.zeros(len(costs), np.bool_)
    chosen = chosen[: _choose(ends, taken, chosen)]
    return ends[chosen], costs.reshape(-1)[told[chosen]], taken


@kernel()
def _choose(ends, taken, chosen):
    """Fills `chosen` with rows of `ends` whose ends are both free, in order; returns how many."""
    found = 0
    for row in range(len(ends)):
        if found == len(chosen):
            break
        if not (taken[ends[row, 0]] or taken[ends[row, 1]]):
            taken[ends[row, 0]] = taken[ends[row, 1]] = True
            chosen[found] = row
            found += 1
    return found
