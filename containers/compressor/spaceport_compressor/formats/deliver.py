"""Writes the model in the formats asked for, beside `model.sog`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from functools import cache
from pathlib import Path

from spaceport.formats import FILES, Format
from spaceport.quality import Origin
from spaceport_compressor.formats.fit import DoesNotFitError
from spaceport_compressor.formats.gltf import write_gltf
from spaceport_compressor.formats.spz import write_spz
from spaceport_compressor.formats.tiles3d import write_tileset
from spaceport_compressor.formats.y_up import y_up
from spaceport_render.gaussians import Gaussians
from spaceport_render.ply import write_ply

logger = logging.getLogger(__name__)


def write_formats(
    folder: Path, levels: Sequence[Gaussians], formats: Collection[Format], origin: Origin | None
) -> dict[str, int]:
    """Write a model into `folder`, in each of `formats` that can hold it; the log tells of others.

    Args:
        levels: the model, and where it is large its coarser levels of detail: each of at least one Gaussian,
            in our z-up axes, and finite. Of the formats only tiles have use for the coarser ones.
        origin: where the axes' zero is on the globe; None: unknown, and there are no tiles.

    Returns:
        The size in bytes of each format, all its files together, by the name of the one to open.
    """

    gaussians = levels[0]

    @cache  # a copy of the whole model: made once, and only for those that want it
    def upright() -> Gaussians:
        return y_up(gaussians)

    writers: dict[Format, Callable[[Path], None]] = {
        Format.PLY: lambda path: write_ply(path, gaussians),
        Format.SPZ: lambda path: write_spz(path, upright()),
        Format.GLTF: lambda path: write_gltf(path, upright()),
        Format.TILES: lambda path: write_tileset(path, levels, origin),
    }
    sizes: dict[str, int] = {}
    for chosen in formats:
        path = folder / FILES[chosen]
        try:
            writers[chosen](path)
        except DoesNotFitError as error:
            logger.warning("not delivered as %s: %s", chosen.value, error)
        else:
            files = [path] if path.parent == folder else path.parent.iterdir()
            sizes[FILES[chosen]] = sum(file.stat().st_size for file in files)
    return sizes
