"""Points for what SfM leaves empty (lawn, canopy, roofs), by stereo from the poses it found.

Photos are compared in pairs, small and grey; a depth is kept where the pair agrees looking both ways and two
partners of a photo agree with each other. What lies where SfM has points already is left out. The result is
`dense/seeds.npz`, whose format spaceport_render.seed_file tells.

The trainer's plane sweep (spaceport_gaussian.seeding.plane_sweep) guesses the depth of a few coarse cells
that no point falls into; this looks at every fourth pixel, and keeps what it can prove.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pycolmap
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from spaceport_render.camera import Camera
from spaceport_render.seed_file import SEED_FILE, DenseSeeds, write_seed_file
from spaceport_sfm.seeding.rectification import Rectification, rectify
from spaceport_sfm.seeding.seed_fusion import Candidates, Depths, cross_checked, fused, thinned
from spaceport_sfm.seeding.stereo_matching import disparities
from spaceport_sfm.seeding.stereo_pairs import stereo_pairs

SIZE = 640  # pixels, the longer side at which photos are compared
STRIDE = 4  # every so many pixels a depth is kept: a seed is a start, not a surface
NEAR = 2.0  # spacings: a seed this near to an SfM point says nothing new
CACHED_PHOTOS = 48  # small and grey, 0.3 MB each; a photo's partners are few and mostly its neighbours


@dataclass(frozen=True)
class PosedPhotos:
    """What SfM found, as stereo needs it.

    Attributes:
        cameras: N, at the size of the comparison, in name order.
        points: (M, 3) metres.
        sees: (N, M) nonzero where a photo was used to find a point.
    """

    folder: Path
    cameras: tuple[Camera, ...]
    points: NDArray[np.float64]
    sees: csr_array

    @classmethod
    def read(cls, dense: Path, size: int = SIZE) -> PosedPhotos:
        """From `dense/`, PINHOLE cameras."""
        model = pycolmap.Reconstruction(dense / "sparse")
        posed = sorted((image for image in model.images.values() if image.has_pose), key=lambda i: i.name)
        ids = sorted(model.points3D)
        column = {point_id: index for index, point_id in enumerate(ids)}
        row = {image.image_id: index for index, image in enumerate(posed)}
        seen = {
            (row[element.image_id], column[point_id])
            for point_id in ids
            for element in model.points3D[point_id].track.elements
            if element.image_id in row
        }
        rows, columns = np.array(sorted(seen), dtype=np.int64).reshape(-1, 2).T
        return cls(
            folder=dense / "images",
            cameras=tuple(_small_camera(image, model.cameras[image.camera_id], size) for image in posed),
            points=np.array([model.points3D[point_id].xyz for point_id in ids]).reshape(-1, 3),
            sees=csr_array((np.ones(len(rows), np.int32), (rows, columns)), shape=(len(posed), len(ids))),
        )

    def common_points(self, first: int, second: int) -> NDArray[np.float64]:
        """(K, 3): those that both photos were used to find."""
        starts = self.sees.indptr
        one, two = (self.sees.indices[starts[i] : starts[i + 1]] for i in (first, second))
        return self.points[np.intersect1d(one, two)]


def write_seeds(dense: Path, progress: Callable[[float], None] = lambda _: None) -> int:
    """Find seeds for the scene in `dense` and write `dense/seeds.npz`; how many."""
    seeds = find_seeds(PosedPhotos.read(dense), progress)
    write_seed_file(dense / SEED_FILE, seeds)
    return len(seeds)


def find_seeds(photos: PosedPhotos, progress: Callable[[float], None] = lambda _: None) -> DenseSeeds:
    """Seeds for what `photos` show and SfM has no points of.

    Memory grows by a photo's depth maps at `1 / STRIDE` of the compared size and its seeds, some 0.5 MB
    (200 photos), time by 0.15 to 0.32 CPU seconds a photo (brighton, demo flights), on one thread.
    """
    grids = tuple(
        camera.resized(max(1, camera.width // STRIDE), max(1, camera.height // STRIDE))
        for camera in photos.cameras
    )
    maps = _pairwise_depths(photos, grids, progress)
    spacing = _spacing(photos, grids)
    known = cKDTree(photos.points)
    parts = []
    for index, grid in enumerate(grids):
        candidates = fused(index, grid, _colors(photos, index, grid), maps[index])
        to_nearest, _ = known.query(candidates.points, distance_upper_bound=NEAR * spacing)
        parts.append(candidates.only(~np.isfinite(to_nearest)))
        maps[index].clear()
    return _as_seeds(thinned(Candidates.joined(parts), spacing), photos, spacing)


def _pairwise_depths(
    photos: PosedPhotos, grids: Sequence[Camera], progress: Callable[[float], None]
) -> list[dict[int, Depths]]:
    """For each photo and each of its partners the depths at the grid's pixels that both agree on."""
    grey = lru_cache(CACHED_PHOTOS)(lambda index: _picture(photos, index, "L"))
    maps: list[dict[int, Depths]] = [{} for _ in photos.cameras]
    pairs = stereo_pairs(np.array([c.position for c in photos.cameras]), photos.points, photos.sees)
    for done, (one, two) in enumerate(pairs, 1):
        points = photos.common_points(one, two)
        found = [
            _depths(rectify(photos.cameras[a], photos.cameras[b], points), grids[a], grey(a), grey(b))
            for a, b in ((one, two), (two, one))
        ]
        if found[0] is not None and found[1] is not None:
            maps[one][two] = cross_checked(grids[one], found[0], grids[two], found[1])
            maps[two][one] = cross_checked(grids[two], found[1], grids[one], found[0])
        progress(done / len(pairs))
    return maps


def _depths(
    rectification: Rectification | None,
    grid: Camera,
    first: NDArray[np.uint8],
    second: NDArray[np.uint8],
) -> Depths | None:
    """Depths (h, w) of the first photo at its grid's pixels; None where the two can't be rectified."""
    if rectification is None:
        return None
    found = disparities(rectification, first, second)
    rows, columns = np.mgrid[: grid.height, : grid.width]
    pixels = np.column_stack([columns.ravel() + 0.5, rows.ravel() + 0.5])
    pixels *= [rectification.first.width / grid.width, rectification.first.height / grid.height]
    return rectification.depths(found, pixels).reshape(grid.height, grid.width).astype(np.float32)


def _small_camera(image: pycolmap.Image, lens: pycolmap.Camera, size: int) -> Camera:
    fx, fy, cx, cy = (float(value) for value in lens.params)
    world_to_camera = np.eye(4)
    world_to_camera[:3] = image.cam_from_world().matrix()
    full = Camera(image.name, lens.width, lens.height, fx, fy, cx, cy, world_to_camera)
    shrink = min(1.0, size / max(lens.width, lens.height))
    return full.resized(max(1, round(shrink * lens.width)), max(1, round(shrink * lens.height)))


def _picture(photos: PosedPhotos, index: int, mode: str) -> NDArray[np.uint8]:
    camera = photos.cameras[index]
    with Image.open(photos.folder / camera.name) as photo:
        photo.draft(mode, (camera.width, camera.height))  # JPEG: decodes at a half or a quarter, in less time
        small = photo.convert(mode).resize((camera.width, camera.height), Image.Resampling.BOX)
    return np.asarray(small)


def _colors(photos: PosedPhotos, index: int, grid: Camera) -> NDArray[np.uint8]:
    small = Image.fromarray(_picture(photos, index, "RGB"))
    return np.asarray(small.resize((grid.width, grid.height), Image.Resampling.BOX))


def _spacing(photos: PosedPhotos, grids: Sequence[Camera]) -> float:
    """What a pixel of the grids covers at a typical SfM point, metres; 1 where there is none."""
    seers, seen = photos.sees.nonzero()
    if not len(seers):
        return 1.0
    positions = np.array([grid.position for grid in grids])
    focals = np.array([grid.fx for grid in grids])
    return float(np.median(np.linalg.norm(photos.points[seen] - positions[seers], axis=1) / focals[seers]))


def _as_seeds(candidates: Candidates, photos: PosedPhotos, spacing: float) -> DenseSeeds:
    is_teller = candidates.tellers >= 0
    return DenseSeeds(
        points=candidates.points.astype(np.float32),
        colors=candidates.colors,
        confidence=candidates.confidence.astype(np.float32),
        photos=tuple(camera.name for camera in photos.cameras),
        starts=np.concatenate([[0], np.cumsum(is_teller.sum(axis=1))]).astype(np.int64),
        tellers=candidates.tellers[is_teller].astype(np.int32),
        spacing=spacing,
    )
