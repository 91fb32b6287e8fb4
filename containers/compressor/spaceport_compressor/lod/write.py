"""Writes a model as streamed SOG: what is far away, or was only just opened, needs few of its Gaussians."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spaceport.progress import Progress
from spaceport.quality import LevelsOfDetail
from spaceport_compressor.lod.chunks import ChunkSize, Cut, Tree, chunks_of, cut_into_chunks
from spaceport_compressor.lod.format import LOD_META_FILE, Bounds, Branch, Leaf, LodMeta, Rows, Triple
from spaceport_compressor.lod.mixture import Doubles, Indices
from spaceport_compressor.sog.format import GENERATOR, META_FILE, AssetMeta
from spaceport_compressor.sog.precision import Precision
from spaceport_compressor.sog.scan_order import scan_order
from spaceport_compressor.sog.viewing import viewing_of
from spaceport_compressor.sog.write import Draft
from spaceport_render.camera import Camera
from spaceport_render.gaussians import Gaussians
from spaceport_render.threads import available_cores

# Gaussians to a file: about 1.5 MB. Whoever looks at one corner waits for no more of it than that, and each
# file's own codebooks are still under 1 % of it. splat-transform's 512K would be half of a usual model.
FILE = 128 * 1024
# A chunk is drawn at one level: cut where it is as wide as half the way to the cameras, its near and far end
# differ in distance by less than the factor 2 between levels. splat-transform has 16 m whatever the scale,
# which without GPS is nobody's metres.
EXTENT_OF_DISTANCE = 0.5
CHUNK_LEAST = 8 * 1024  # as splat-transform's: below it, finer cuts of the surroundings save no download


def write_lod(
    folder: Path,
    levels: Sequence[Gaussians],
    cameras: Sequence[Camera],
    distance: float,
    precision: Precision,
    *,
    seed: int,
    progress: Progress,
) -> LevelsOfDetail:
    """Write a model into `folder`, which is emptied first: the same bytes for the same arguments.

    Args:
        levels: of detail, the finest first, each such as `check_writable` passes.
        cameras: of training, as for `sog_files`.
        distance: from the cameras to what they look at, metres.
        precision, seed: as for `sog_files`.
    """
    shutil.rmtree(folder, ignore_errors=True)
    chunks = cut_into_chunks(levels, ChunkSize(FILE, EXTENT_OF_DISTANCE * distance, CHUNK_LEAST))
    files: list[_File] = []
    tree = _file_away(chunks, files)
    counts = [len(level) for level in levels]
    meta = LodMeta(
        asset=AssetMeta(generator=GENERATOR),
        count=sum(counts),
        counts=counts,
        lodLevels=len(levels),
        filenames=[f"{file.folder}/{META_FILE}" for file in files],
        tree=tree,
    )

    # Of whole levels: in a file by itself nothing would hide what is hidden.
    viewings = [viewing_of(level, cameras, seed) for level in levels]

    def write(file: _File) -> int:
        rows = np.concatenate(file.chunks)
        part, viewing = levels[file.level].select(rows), viewings[file.level].select(rows)
        contents = Draft(part, viewing, order_in_chunks(part.means, file.chunks), seed).files(precision)
        return _write_folder(folder / file.folder, contents)

    total = _write_folder(folder, {LOD_META_FILE: meta.model_dump_json().encode()})
    with ThreadPoolExecutor(available_cores()) as threads:
        for done, size in enumerate(threads.map(write, files), start=1):
            total += size
            progress(done / len(files), "Writing the levels of detail")
    number = sum(1 for _ in chunks_of(chunks))
    return LevelsOfDetail(gaussians=counts, chunks=number, files=len(files), bytes=total)


@dataclass
class _File:
    """What is to be one file: the `number`-th of its level.

    Attributes:
        chunks: for each chunk in it, in the file's order, the indices of its Gaussians in the level.
    """

    level: int
    number: int
    chunks: list[Indices] = field(default_factory=list)

    @property
    def folder(self) -> str:
        return f"{self.level}_{self.number}"

    def __len__(self) -> int:
        return sum(len(chunk) for chunk in self.chunks)


def _file_away(tree: Tree, files: list[_File]) -> Branch | Leaf:
    """`tree` as the format has it, and its chunks put into `files`, neighbours together."""
    bound = Bounds(min=_rounded(tree.low), max=_rounded(tree.high))
    if isinstance(tree, Cut):
        one, other = (_file_away(half, files) for half in tree.halves)
        return Branch(bound=bound, children=(one, other))
    lods = {}
    for level, members in enumerate(tree.members):
        if len(members) == 0:  # a chunk so sparse that its coarser Gaussians lie in others
            continue
        file = _file_with_room(level, files)
        lods[level] = Rows(file=files.index(file), offset=len(file), count=len(members))
        file.chunks.append(members)
    return Leaf(bound=bound, lods=lods)


def _file_with_room(level: int, files: list[_File]) -> _File:
    of_level = [file for file in files if file.level == level]
    if not of_level or len(of_level[-1]) >= FILE:
        of_level.append(_File(level, len(of_level)))
        files.append(of_level[-1])
    return of_level[-1]


def order_in_chunks(means: NDArray[np.float32], chunks: Sequence[Indices]) -> Indices:
    """The order of a file's centres `means` (N, 3): its `chunks` one after the other, each cell by cell.

    The cells are the file's, as its high bytes are: with brighton's levels (4 files) the images of these take
    1.09 bytes a Gaussian, with demo60's (7) 0.67; in Morton order 1.44 and 1.07, by cells of each chunk's own
    1.57 and 1.24.
    """
    chunk = np.repeat(np.arange(len(chunks)), [len(members) for members in chunks])
    order = scan_order(means)
    return order[np.argsort(chunk[order], kind="stable")]


def _rounded(corner: Doubles) -> Triple:
    """To a tenth of a millimetre at least, as splat-transform's seven digits."""
    x, y, z = (float(f"{value:.7g}") for value in corner)
    return x, y, z


def _write_folder(folder: Path, contents: Mapping[str, bytes]) -> int:
    """Returns the bytes written."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return sum(len(data) for data in contents.values())
