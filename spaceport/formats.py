"""What a model is delivered as besides `model.sog`, and the names of the files beside that one."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Format(StrEnum):
    """A format by the name that callers give it; the row's outputs have the same names."""

    PLY = "ply"  # as 3DGS training writes it: every editor reads it
    SPZ = "spz"  # small, for engines and phones
    GLTF = "gltf"  # a .glb with KHR_gaussian_splatting
    TILES = "tiles"  # 3D Tiles, placed on the globe


# The file to open. One in a folder is the index of all that lies there, which comes with it.
FILES: Mapping[Format, str] = {
    Format.PLY: "model.ply",
    Format.SPZ: "model.spz",
    Format.GLTF: "model.glb",
    Format.TILES: "tiles/tileset.json",
}
LEVELS_OF_DETAIL = "lod/lod-meta.json"  # the same of a large model as streamed SOG
