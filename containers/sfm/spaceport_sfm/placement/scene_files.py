"""The placed model as it is delivered: COLMAP's files, and what maps and viewers take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pycolmap

from spaceport_sfm.photo import Photo
from spaceport_sfm.placement.camera_map import write_camera_map
from spaceport_sfm.placement.georeference import GeoReference
from spaceport_sfm.placement.point_cloud import write_points

GEOREF_FILE = "georef.json"
POINTS_FILE = "points.ply"
CAMERA_MAP_FILE = "cameras.geojson"


def write_scene(
    model: pycolmap.Reconstruction,
    photos: Sequence[Photo],
    georef: GeoReference | None,
    folder: Path,
    *,
    as_text: bool,
) -> None:
    """Write `model`, where it lies on Earth (`null` where nothing tells), its points and its cameras.

    Args:
        photos: all good ones, registered or not.
        as_text: COLMAP's text files too.
    """
    model.write(folder)
    if as_text:
        model.write_text(folder)
    (folder / GEOREF_FILE).write_text(georef.model_dump_json(indent=2) if georef else "null")
    write_points(model, folder / POINTS_FILE, _frame(georef))
    write_camera_map(model, photos, georef, folder / CAMERA_MAP_FILE)


def _frame(georef: GeoReference | None) -> str:
    if georef is None:
        return "upright, without a place on Earth"
    origin = georef.origin
    return f"metres east, north, up of latitude {origin.lat}, longitude {origin.lon}, height {origin.alt}"
