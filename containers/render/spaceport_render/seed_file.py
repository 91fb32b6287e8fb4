"""`dense/seeds.npz`: points that stereo found where SfM has none, and the photos that told of each.

SfM writes the file beside `images/` and `sparse/`, training reads it. Arrays of the NumPy archive, N seeds:

| array | | |
| --- | --- | --- |
| `points` | (N, 3) float32 | metres, in the frame of `sparse/` |
| `colors` | (N, 3) uint8 | RGB |
| `confidence` | (N,) float32 | 0..1, see `spaceport_sfm.seeding.seed_fusion` |
| `photos` | (P,) str | names of the photos |
| `starts` | (N + 1,) int64 | seed i was told by `photos[tellers[starts[i]:starts[i + 1]]]` |
| `tellers` | (starts[N],) int32 | indices into `photos` |
| `spacing` | () float32 | metres: the side of a voxel, in which at most two seeds lie |

A seed's tellers are all photos whose pixels had a say in it. Two seeds of a voxel were told by photos as
different as can be, so that one is left when photos are held out.
"""

from __future__ import annotations

import zipfile
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spaceport.errors import UserError

SEED_FILE = "seeds.npz"
COARSER = 1.15  # from one voxel size to the next: a quarter fewer on a surface


@dataclass(frozen=True)
class DenseSeeds:
    """What the file holds; attributes are its arrays."""

    points: NDArray[np.float32]
    colors: NDArray[np.uint8]
    confidence: NDArray[np.float32]
    photos: tuple[str, ...]
    starts: NDArray[np.int64]
    tellers: NDArray[np.int32]
    spacing: float

    def __len__(self) -> int:
        return len(self.points)

    def told_by(self, names: Collection[str]) -> DenseSeeds:
        """Those in which no photo but those of `names` had a say."""
        is_other = np.array([photo not in names for photo in self.photos], dtype=np.int64)
        before = np.concatenate([[0], np.cumsum(is_other[self.tellers])])
        return self._only(before[self.starts[1:]] == before[self.starts[:-1]])

    def spread(self, most: int) -> DenseSeeds:
        """At most `most` of them (or 8), evenly over space: the most confident one of each voxel."""
        spacing = self.spacing
        most = max(most, 8)  # however large the voxels, eight of them meet at the origin
        while len(chosen := most_confident(voxel_keys(self.points, spacing), self.confidence)) > most:
            spacing *= COARSER
        kept = np.zeros(len(self), dtype=bool)
        kept[chosen] = True
        return replace(self._only(kept), spacing=spacing)

    def _only(self, kept: NDArray[np.bool_]) -> DenseSeeds:
        counts = np.diff(self.starts)
        return DenseSeeds(
            points=self.points[kept],
            colors=self.colors[kept],
            confidence=self.confidence[kept],
            photos=self.photos,
            starts=np.concatenate([[0], np.cumsum(counts[kept])]).astype(np.int64),
            tellers=self.tellers[np.repeat(kept, counts)],
            spacing=self.spacing,
        )


def voxel_keys(points: NDArray[np.floating], spacing: float) -> NDArray[np.int64]:
    """A number (N,) for each of `points` (N, 3): the same for those in the same cube of side `spacing`."""
    if not len(points):
        return np.empty(0, dtype=np.int64)
    cells = np.floor(np.asarray(points, dtype=np.float64) / spacing).astype(np.int64)
    cells -= cells.min(axis=0)
    across, along, _ = cells.max(axis=0) + 1
    return cells[:, 0] + across * (cells[:, 1] + along * cells[:, 2])


def most_confident(voxels: NDArray[np.int64], confidence: NDArray[np.floating]) -> NDArray[np.int64]:
    """Of each voxel the index of its most confident point, (V,), by voxel; of equals the first."""
    order = np.lexsort((-confidence, voxels))
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = voxels[order[1:]] != voxels[order[:-1]]
    return order[is_first]


def write_seed_file(path: Path, seeds: DenseSeeds) -> None:
    """Write `seeds`; the same seeds give the same bytes."""
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            points=seeds.points,
            colors=seeds.colors,
            confidence=seeds.confidence,
            photos=np.array(seeds.photos, dtype=np.str_),
            starts=seeds.starts,
            tellers=seeds.tellers,
            spacing=np.float32(seeds.spacing),
        )


def read_seed_file(path: Path) -> DenseSeeds | None:
    """The seeds in `path`; None where there is no such file, which is usual.

    Raises:
        UserError: `bad_scene`, where the file is torn or something else.
    """
    if not path.exists():
        return None
    try:
        with np.load(path) as file:
            return DenseSeeds(
                points=file["points"],
                colors=file["colors"],
                confidence=file["confidence"],
                photos=tuple(map(str, file["photos"])),
                starts=file["starts"],
                tellers=file["tellers"],
                spacing=float(file["spacing"]),
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            "bad_scene",
            f"The dense seeds in {path} can't be read.",
            "Run the SfM stage again, or delete the file: training can do without it.",
        ) from error
