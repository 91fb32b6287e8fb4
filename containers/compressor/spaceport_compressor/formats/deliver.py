"""Writes the model in the formats asked for, beside `model.sog`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from pathlib import Path

from spaceport.quality import Origin
from spaceport.tuning import Format
from spaceport_compressor.formats.fit import DoesNotFitError
from spaceport_compressor.formats.gltf import write_gltf
from spaceport_compressor.formats.spz import write_spz
from spaceport_compressor.formats.tiles3d import TILE, TILESET, write_tileset
from spaceport_compressor.formats.y_up import y_up
from spaceport_render.gaussians import Gaussians
from spaceport_render.ply import write_ply

PLY, SPZ, GLB, TILES = "model.ply", "model.spz", "model.glb", "tiles"
# The first is what others are reached by.
FILES = {
    Format.PLY: (PLY,),
    Format.SPZ: (SPZ,),
    Format.GLTF: (GLB,),
    Format.TILES: (f"{TILES}/{TILESET}", f"{TILES}/{TILE}"),
}

logger = logging.getLogger(__name__)


def write_formats(
    folder: Path, gaussians: Gaussians, formats: Collection[Format], origin: Origin | None
) -> dict[str, int]:
    """Write `gaussians` into `folder`, in each of `formats` that can hold them; the log tells of others.

    Args:
        gaussians: at least one, in our z-up axes, and finite.
        origin: where the axes' zero is on the globe; None: unknown, and there are no tiles.

    Returns:
        The size in bytes of each file, by its name below `folder`.
    """
    upright = y_up(gaussians)
    writers: dict[Format, Callable[[], object]] = {
        Format.PLY: lambda: write_ply(folder / PLY, gaussians),
        Format.SPZ: lambda: write_spz(folder / SPZ, upright),
        Format.GLTF: lambda: write_gltf(folder / GLB, upright),
    }
    if origin is not None:
        writers[Format.TILES] = lambda: write_tileset(folder / TILES, gaussians, upright, origin)
    elif Format.TILES in formats:
        logger.info("no 3D Tiles: the photos don't tell where on Earth the model is")
    sizes: dict[str, int] = {}
    for chosen, write in writers.items():
        if chosen not in formats:
            continue
        try:
            write()
        except DoesNotFitError as error:
            logger.warning("no %s file: %s", chosen.value, error)
            continue
        sizes |= {name: (folder / name).stat().st_size for name in FILES[chosen]}
    return sizes
