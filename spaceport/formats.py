"""The formats that a model is delivered in besides SOG, and each one's files, by their names beside it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Format(StrEnum):
    """A format by the name that callers give it; the row's outputs have the same names."""

    PLY = "ply"  # as 3DGS training writes it: every editor reads it
    SPZ = "spz"  # small, for engines and phones
    GLTF = "gltf"  # a .glb with KHR_gaussian_splatting
    TILES = "tiles"  # 3D Tiles, placed on the globe


# The first is the one to open; the others are reached from it.
FILES: Mapping[Format, tuple[str, ...]] = {
    Format.PLY: ("model.ply",),
    Format.SPZ: ("model.spz",),
    Format.GLTF: ("model.glb",),
    Format.TILES: ("tiles/tileset.json", "tiles/model.glb"),
}
