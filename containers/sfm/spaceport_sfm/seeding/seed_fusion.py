"""Which of the depths that pairs of photos tell can be believed, and which points are worth keeping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spaceport_render.camera import Camera
from spaceport_render.seed_file import voxel_keys

Floats = NDArray[np.float64]
Depths = NDArray[np.float32]

AGREEMENT = 0.02  # relative: depths that differ by less are the same
MIN_VOICES = 2  # partners that must agree on a depth, each of which has found it from its own side too


@dataclass(frozen=True)
class Candidates:
    """Points told by one photo and some of its partners.

    Attributes:
        points: (M, 3) metres; colors: (M, 3) uint8; confidence: (M,) 0..1.
        tellers: (M, K) int32, photos; -1 where there are fewer than K.
    """

    points: Floats
    colors: NDArray[np.uint8]
    confidence: Floats
    tellers: NDArray[np.int32]

    @classmethod
    def joined(cls, parts: Sequence[Candidates]) -> Candidates:
        """All of `parts`, in order."""
        width = max((part.tellers.shape[1] for part in parts), default=1)
        padded = [
            np.pad(part.tellers, ((0, 0), (0, width - part.tellers.shape[1])), constant_values=-1)
            for part in parts
        ]
        return cls(
            points=np.concatenate([part.points for part in parts] or [np.empty((0, 3))]),
            colors=np.concatenate([part.colors for part in parts] or [np.empty((0, 3), np.uint8)]),
            confidence=np.concatenate([part.confidence for part in parts] or [np.empty(0)]),
            tellers=np.concatenate(padded or [np.empty((0, width), np.int32)]),
        )

    def only(self, kept: NDArray[np.bool_] | NDArray[np.int64]) -> Candidates:
        """Those of an index or mask."""
        return Candidates(self.points[kept], self.colors[kept], self.confidence[kept], self.tellers[kept])


def cross_checked(camera: Camera, depths: Depths, other: Camera, other_depths: Depths) -> Depths:
    """`depths` (h, w) where the other photo, looking back, found the same points; NaN elsewhere.

    Args:
        camera, other: of the maps' own sizes.
        depths, other_depths: metres, of one pair: the first by the second and the second by the first.
    """
    known = np.flatnonzero(np.isfinite(depths.ravel()))
    points = unprojected(camera, known, depths.ravel()[known].astype(float))
    seen = points @ other.world_to_camera[:3, :3].T + other.world_to_camera[:3, 3]
    image = seen @ other.intrinsics.T
    with np.errstate(divide="ignore", invalid="ignore"):
        columns, rows = np.floor(image[:, :2] / image[:, 2:]).T
    inside = (seen[:, 2] > 0) & (columns >= 0) & (columns < other.width) & (rows >= 0) & (rows < other.height)
    back = np.full(len(known), np.nan)
    back[inside] = other_depths[rows[inside].astype(int), columns[inside].astype(int)]
    confirmed = known[np.abs(back - seen[:, 2]) < AGREEMENT * seen[:, 2]]
    checked = np.full(depths.size, np.nan, dtype=np.float32)
    checked[confirmed] = depths.ravel()[confirmed]
    return checked.reshape(depths.shape)


def fused(photo: int, camera: Camera, colors: NDArray[np.uint8], maps: Mapping[int, Depths]) -> Candidates:
    """The points on which at least two of a photo's partners agree.

    Args:
        camera: of the maps' size.
        colors: (h, w, 3), the photo at that size.
        maps: of each partner the cross-checked depths (h, w).
    """
    partners = np.array(sorted(maps), dtype=np.int32)
    if len(partners) < MIN_VOICES:
        return Candidates.joined([])
    stack = np.stack([maps[int(partner)].ravel() for partner in partners]).astype(float)  # (P, h · w)
    # NaN agrees with nothing. Partner by partner: a wide photo may be one of a hundred others.
    agree = np.stack([np.abs(depths - stack) < AGREEMENT * depths for depths in stack])
    voices = agree.sum(axis=1)
    chosen = voices.argmax(axis=0)
    pixels = np.flatnonzero(voices.max(axis=0) >= MIN_VOICES)
    support = agree[chosen[pixels], :, pixels]  # (M, P)
    values = np.where(support, stack[:, pixels].T, 0.0)
    depths = values.sum(axis=1) / support.sum(axis=1)
    tellers = np.where(support, partners, -1)
    return Candidates(
        points=unprojected(camera, pixels, depths),
        colors=colors.reshape(-1, 3)[pixels],
        confidence=_confidence(values, support, depths),
        tellers=np.column_stack([np.full(len(pixels), photo, np.int32), tellers]).astype(np.int32),
    )


def _confidence(values: Floats, support: NDArray[np.bool_], depths: Floats) -> Floats:
    """0..1: each partner more halves the doubt, and less the farther they are apart.

    No probability: of those under 0.3 a few per cent are wrong, from 0.5 on next to none (docs/training.md).
    """
    voices = support.sum(axis=1)
    spread = np.where(support, np.abs(values - depths[:, None]), 0.0).max(axis=1) / depths
    return (1 - 0.5 ** (voices - 1)) * np.clip(1 - spread / AGREEMENT, 0.0, 1.0)


def unprojected(camera: Camera, pixels: NDArray[np.int64], depths: Floats) -> Floats:
    """World points (M, 3) that the camera sees at flat pixel indices (M,), `depths` (M,) metres away."""
    rows, columns = np.divmod(pixels, camera.width)
    return camera.unproject(np.column_stack([columns, rows]) + 0.5, depths)


def thinned(candidates: Candidates, spacing: float) -> Candidates:
    """At most two of each voxel: the most confident, and the one with the fewest tellers in common with it.

    Args:
        spacing: metres, the voxel's side.
    """
    if not len(candidates.points):
        return candidates
    voxels = voxel_keys(candidates.points, spacing)
    order = np.lexsort((-candidates.confidence, voxels))
    sorted_voxels = voxels[order]
    is_first = np.concatenate([[True], sorted_voxels[1:] != sorted_voxels[:-1]])
    group = np.cumsum(is_first) - 1
    best = order[is_first]
    tellers, best_tellers = candidates.tellers[order], candidates.tellers[best][group]
    common = np.zeros(len(order), dtype=int)
    for column in range(tellers.shape[1]):
        told = tellers[:, column : column + 1]
        common += ((told == best_tellers) & (told >= 0)).any(axis=1)
    rest = np.flatnonzero(~is_first)
    rest = rest[np.lexsort((rest, common[rest], group[rest]))]
    is_next = np.ones(len(rest), dtype=bool)
    is_next[1:] = group[rest[1:]] != group[rest[:-1]]
    second = rest[is_next]
    differs = common[second] < (best_tellers[second] >= 0).sum(axis=1)
    return candidates.only(np.sort(np.concatenate([best, order[second[differs]]])))
