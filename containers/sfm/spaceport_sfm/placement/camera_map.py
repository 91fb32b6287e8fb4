"""`cameras.geojson`: where the photos were taken and where they look, for any map (RFC 7946)."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap

from spaceport_sfm.photo import Photo
from spaceport_sfm.placement.georeference import GeoReference
from spaceport_sfm.placement.gps import Floats, Position, from_enu, to_enu

DEGREE_DECIMALS = 8  # a millimetre
METRE_DECIMALS = 3
ANGLE_DECIMALS = 1


@dataclass(frozen=True)
class View:
    """Where a photo was taken from and looks.

    Attributes:
        heading: clockwise from north, degrees in [0, 360); of a photo looking straight down, where its
            upper edge points.
        pitch: above the horizon, degrees.
    """

    place: Position
    heading: float
    pitch: float

    @classmethod
    def of(cls, image: pycolmap.Image, georef: GeoReference) -> View:
        right, _, forward = image.cam_from_world().rotation.matrix()
        # By the picture's right edge, which is level however steeply it looks.
        heading = np.degrees(np.arctan2(-right[1], right[0])) % 360
        pitch = np.degrees(np.arcsin(np.clip(forward[2], -1.0, 1.0)))
        return cls(from_enu(image.projection_center(), georef.place), float(heading), float(pitch))


def write_camera_map(
    model: pycolmap.Reconstruction, photos: Sequence[Photo], georef: GeoReference | None, file: Path
) -> None:
    """Write a point for every photo, in the order they were taken, and a line through the registered ones.

    Registered photos are where the model has them, the others where their GPS does; a photo that neither
    tells of has no geometry. Without `georef` all are where their GPS says. Coordinates are longitude,
    latitude and, where known, height; what heights are above is in `vertical_reference`.
    """
    views = _views(model, georef) if georef else {}
    registered = {image.name for image in model.images.values() if image.has_pose}
    flight = sorted(photos, key=lambda photo: (photo.taken, photo.name))
    features = [_feature(photo, views.get(photo.name), photo.name in registered, georef) for photo in flight]
    seen = [photo for photo in flight if georef is None or photo.name in views]
    path = [place for photo in seen if (place := _place(photo, views.get(photo.name)))]
    if len(path) > 1:
        features.append(
            {
                "type": "Feature",
                "geometry": flight_line(path),
                "properties": {"kind": "flight", "photos": len(path)},
            }
        )
    collection = {
        "type": "FeatureCollection",
        "vertical_reference": georef.vertical_reference if georef else None,
        "features": features,
    }
    file.write_text(json.dumps(collection, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def flight_line(path: Sequence[Position]) -> dict[str, Any]:
    """`path`, two places or more, as a line; cut where it crosses the 180th meridian (RFC 7946, 3.1.9)."""
    lines: list[list[list[float]]] = [[_coordinates(path[0])]]
    for before, after in itertools.pairwise(path):
        if abs(after.lon - before.lon) > 180:
            side = 180.0 if before.lon > 0 else -180.0
            ahead = after.lon + 2 * side
            # Both may lie on the meridian, written as 180 and as -180
            share = (side - before.lon) / (ahead - before.lon) if ahead != before.lon else 0.0
            cut = before.lat + share * (after.lat - before.lat)
            lines[-1].append([side, round(cut, DEGREE_DECIMALS)])
            lines.append([[-side, round(cut, DEGREE_DECIMALS)]])
        lines[-1].append(_coordinates(after))
    if len(lines) == 1:
        return {"type": "LineString", "coordinates": lines[0]}
    return {"type": "MultiLineString", "coordinates": lines}


def _views(model: pycolmap.Reconstruction, georef: GeoReference) -> Mapping[str, View]:
    return {image.name: View.of(image, georef) for image in model.images.values() if image.has_pose}


def _place(photo: Photo, view: View | None) -> Position | None:
    return view.place if view else photo.position


def _feature(
    photo: Photo, view: View | None, registered: bool, georef: GeoReference | None
) -> dict[str, Any]:
    place = _place(photo, view)
    off = _gps_residual(photo, view)
    rejected = georef is not None and photo.name in georef.positions_rejected
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": _coordinates(place)} if place else None,
        "properties": {
            "kind": "photo",
            "name": photo.name,
            "source": photo.source,
            "taken": photo.taken or None,
            "registered": registered,
            "placed_by": "model" if view else "gps" if place else None,
            "heading_deg": round(view.heading, ANGLE_DECIMALS) % 360 if view else None,
            "pitch_deg": round(view.pitch, ANGLE_DECIMALS) if view else None,
            "gps_off_horizontal_m": None if off is None else round(float(np.hypot(*off[:2])), METRE_DECIMALS),
            "gps_off_vertical_m": None
            if off is None or photo.position is None or photo.position.alt is None
            else round(float(off[2]), METRE_DECIMALS),
            "gps_rejected": rejected,
        },
    }


def _gps_residual(photo: Photo, view: View | None) -> Floats | None:
    """(3,) metres east, north and up from where the model has the photo to where its GPS does."""
    if view is None or photo.position is None:
        return None
    residual: Floats = to_enu([photo.position], view.place)[0]
    return residual


def _coordinates(place: Position) -> list[float]:
    coordinates = [round(place.lon, DEGREE_DECIMALS), round(place.lat, DEGREE_DECIMALS)]
    return coordinates if place.alt is None else [*coordinates, round(place.alt, METRE_DECIMALS)]
