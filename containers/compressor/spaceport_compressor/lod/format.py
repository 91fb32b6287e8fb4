"""Streamed SOG 1 as its `lod-meta.json` tells it: a model in parts, each at several levels of detail.

PlayCanvas publishes the format ("The Streamed SOG Format", developer.playcanvas.com/user-manual/
gaussian-splatting/formats/streamed-sog); what it leaves open is as `@playcanvas/splat-transform` 3.7 writes
and reads it, and as the engine of `@playcanvas/supersplat-viewer` 1.36 uses it:

- A file is a folder with the parts of a SOG (`meta.json` and its images, never zipped), of one level alone.
  Its name is free; `<level>_<number>/meta.json` is usual. Level 0 is the finest.
- The tree's leaves are what the viewer draws at one level or another. A leaf tells, for each level, which
  rows of which file are its Gaussians. Several leaves share a file; rows in no leaf are never drawn. Inner
  nodes are read for their leaves alone, and the root for its bounds.
- Bounds hold the Gaussians' one-sigma boxes of all levels, in the files' own axes.
- The viewer starts with the coarsest level of every leaf. Then it buys finer ones, nearest leaves first (the
  engine's `GSPLAT_LODMODE_DISTANCE`), until its budget is spent: 2 to 4 million Gaussians on a computer, 1 to
  2 on a phone. So `errors`, a table of each leaf's loss at each level, would be ignored: there is none here.
- A reader holds `counts` against the sums over the leaves, and refuses the file where they differ.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from spaceport.formats import LEVELS_OF_DETAIL
from spaceport_compressor.sog.format import AssetMeta

LOD_META_FILE = LEVELS_OF_DETAIL.rpartition("/")[2]

Triple = tuple[float, float, float]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Bounds(_Part):
    """A box, in the model's frame, metres."""

    min: Triple
    max: Triple


class Rows(_Part):
    """Rows `offset` to `offset + count` of the file with the index `file`."""

    file: int
    offset: int
    count: int


class Leaf(_Part):
    """A part of space; `lods` says where it is, by level."""

    bound: Bounds
    lods: dict[int, Rows]


class Branch(_Part):
    bound: Bounds
    children: tuple[Branch | Leaf, Branch | Leaf]


class LodMeta(_Part):
    """`lod-meta.json`.

    Attributes:
        count, counts: Gaussians of all levels together, and of each.
        filenames: of the files' `meta.json`, relative to this one.
    """

    version: Literal[1] = 1
    asset: AssetMeta
    count: int
    counts: list[int]
    lodLevels: int  # noqa: N815 - the format's name
    filenames: list[str]
    tree: Branch | Leaf
