"""3D Tiles 1.1: the model placed on the globe; a large one in tiles, each replaced by finer ones from near.

Source: OGC 22-025r4, "3D Tiles Specification 1.1".
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from spaceport.quality import Origin
from spaceport_compressor.formats.fit import DoesNotFitError
from spaceport_compressor.formats.globe import east_north_up_to_fixed
from spaceport_compressor.formats.gltf import SPLATTING, SPZ_PACKED, write_packed_gltf
from spaceport_compressor.formats.y_up import y_up
from spaceport_compressor.sog.format import GENERATOR
from spaceport_render.gaussians import Gaussians
from spaceport_render.threads import available_cores

# Rasterizers draw a Gaussian so many standard deviations wide.
REACH = 3.0
# What counts as a tile's extent: the middle nine tenths of its centres on each axis. Strays lie far out.
MIDDLE = (5, 95)
# Readers replace a tile where its error is larger than 16 pixels (CesiumJS' `maximumScreenSpaceError`). That
# is to be where its Gaussians are 2 pixels apart: from where they are 1.7 to 2.3, brighton's and demo60's
# levels are as near to the truth as the next finer ones, or nearer (bench/lod.py, `true`: renderers make what
# is smaller than a pixel too broad).
ERROR_OF_SPACING = 16 / 2
# Viewers read it as metres above the ellipsoid. Where the photos' EXIF means sea level, the model stands too
# low or too high by the geoid's height there, at most 100 m, all of it alike.
HEIGHTS = (
    "Heights are those of georef.json: above the WGS 84 ellipsoid only where the photos' EXIF or the ground "
    "control were. Where the model stands above or below the terrain, raise it by the tileset's modelMatrix."
)

Indices = NDArray[np.intp]
Corner = NDArray[np.float64]


@dataclass(frozen=True)
class Tile:
    """A part of space at one level of detail, and the finer tiles that replace it.

    Attributes:
        file: its name beside the tileset.
        level: 0 is the finest.
        members: the indices of its Gaussians in that level, at least one.
        low, high: (3,) the box of all that it and the finer ones draw, metres.
        error: metres, 0 where nothing finer is there; none of the finer ones has a larger one.
    """

    file: str
    level: int
    members: Indices
    low: Corner
    high: Corner
    error: float
    finer: tuple[Tile, ...]


def write_tileset(path: Path, levels: Sequence[Gaussians], origin: Origin | None) -> None:
    """Write a tileset to `path`, and its tiles beside it; the folder is emptied first, or made.

    Args:
        levels: of detail, the finest first, in metres east, north and up of `origin`. Of one alone one tile
            is made.
        origin: None where nothing tells it.

    Raises:
        DoesNotFitError: without an origin, and as `write_packed_gltf`; nothing is left then.
    """
    if origin is None:
        raise DoesNotFitError("nothing tells where on Earth the model is")
    folder = path.parent
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    root = cut_into_tiles(levels)

    def write(tile: Tile) -> None:
        write_packed_gltf(folder / tile.file, y_up(levels[tile.level].select(tile.members)))

    try:
        with ThreadPoolExecutor(available_cores()) as threads:
            list(threads.map(write, tiles_of(root)))
    except DoesNotFitError:
        shutil.rmtree(folder)
        raise
    path.write_text(json.dumps(_tileset(root, origin), indent=1))


def cut_into_tiles(levels: Sequence[Gaussians]) -> Tile:
    """The tree of tiles of `levels`, the finest first, which has at least one Gaussian.

    The root is all of the coarsest level. With each level, of twice as many, space is cut in two once more,
    at the median of what is shown next: so all tiles have about as many Gaussians as the root.
    """
    numbers = Counter[int]()

    def tile(part: Mapping[int, Indices]) -> Tile:
        level = max(part)
        numbers[level] += 1
        file = f"{level}_{numbers[level] - 1}.glb"
        finer = [tile(half) for half in _halves(levels, {k: part[k] for k in part if k < level})]
        own = levels[level].select(part[level])
        low, high = bounds(own)
        # What lies in one place is as coarse as it is large: with no error finer ones would never be shown.
        spacing = _spacing(own.means) or float(np.linalg.norm(high - low))
        error = ERROR_OF_SPACING * spacing if finer else 0.0
        return Tile(
            file,
            level,
            part[level],
            low=np.min([low, *(other.low for other in finer)], axis=0),
            high=np.max([high, *(other.high for other in finer)], axis=0),
            error=max([error, *(other.error for other in finer)]),
            finer=tuple(finer),
        )

    return tile({k: np.arange(len(level)) for k, level in enumerate(levels)})


def tiles_of(tile: Tile) -> list[Tile]:
    """`tile` and all that are finer."""
    return [tile, *(each for other in tile.finer for each in tiles_of(other))]


def _halves(levels: Sequence[Gaussians], part: Mapping[int, Indices]) -> list[dict[int, Indices]]:
    """`part` of space, the indices in each level, in two, both with something in them; one where it can't be
    cut, none where it is empty.
    """
    if not part:
        return []
    shown = levels[max(part)].means[part[max(part)]]
    axis = int(np.ptp(shown, axis=0).argmax())
    middle = np.median(shown[:, axis])
    halves: list[dict[int, Indices]] = [{}, {}]
    for level, members in part.items():
        is_left = levels[level].means[members, axis] < middle
        for half, chosen in zip(halves, (members[is_left], members[~is_left]), strict=True):
            if len(chosen):
                half[level] = chosen
    return [half for half in halves if half]


def _spacing(means: NDArray[np.float32]) -> float:
    """How far apart neighbours of the centres (N, 3) are on average, metres, where they lie on a surface or
    on a line; 0 where all lie in one place.
    """
    _, width, length = np.sort(np.ptp(np.percentile(means, MIDDLE, axis=0), axis=0))
    return float(max(np.sqrt(width * length / len(means)), length / len(means)))


def bounds(gaussians: Gaussians) -> tuple[Corner, Corner]:
    """The least and the greatest coordinates (3,) that any Gaussian reaches, metres."""
    axes = Rotation.from_quat(gaussians.quats[:, [1, 2, 3, 0]].astype(np.float64)).as_matrix()
    variances = np.einsum("nij,nj->ni", axes**2, gaussians.scales.astype(np.float64) ** 2)
    reach = REACH * np.sqrt(variances)
    return (gaussians.means - reach).min(axis=0), (gaussians.means + reach).max(axis=0)


def _tileset(root: Tile, origin: Origin) -> dict[str, Any]:
    # What is amiss without any tile is all of the model.
    diagonal = float(np.linalg.norm(root.high - root.low))
    return {
        "asset": {"version": "1.1", "generator": GENERATOR, "extras": {"heights": HEIGHTS}},
        # CesiumJS takes a tile for Gaussians only where the tileset says so beforehand.
        "extensionsUsed": ["3DTILES_content_gltf"],
        "extensions": {
            "3DTILES_content_gltf": {
                "extensionsUsed": [SPLATTING, SPZ_PACKED],
                "extensionsRequired": [SPLATTING, SPZ_PACKED],
            }
        },
        "geometricError": max(diagonal, root.error),
        # By columns. Readers turn the tiles' y-up axes to z-up themselves.
        "root": {
            "transform": east_north_up_to_fixed(origin).T.ravel().tolist(),
            "refine": "REPLACE",
            **_told(root),
        },
    }


def _told(tile: Tile) -> dict[str, Any]:
    told: dict[str, Any] = {
        "boundingVolume": {"box": _box(tile.low, tile.high)},
        "geometricError": tile.error,
        "content": {"uri": tile.file},
    }
    if tile.finer:  # the schema knows no empty list
        told["children"] = [_told(other) for other in tile.finer]
    return told


def _box(low: Corner, high: Corner) -> list[float]:
    """The middle, then half of each edge."""
    return [*((low + high) / 2).tolist(), *np.diag((high - low) / 2).ravel().tolist()]
