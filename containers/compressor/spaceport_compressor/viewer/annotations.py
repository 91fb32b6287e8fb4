"""Ground control points as the viewer's annotations: where each is, and how far off the model has it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spaceport.quality import ControlPointNumbers
from spaceport_compressor.viewer.camera import WORLD_TO_VIEWER, view_of
from spaceport_render.camera import Camera

Floats = NDArray[np.float64]

# Of the way to the photo: twice as large as the photo has it, which is about what the model can show.
NEARER = 0.5
OBLIQUE = math.radians(45)  # from straight down: shows what stands around a mark, and the mark
LONGEST_NAME = 60  # the viewer's own limit for what it writes
ROLES = {
    "used": "The model is laid on Earth by this point, among others.",
    "check": "A check point: the model was measured against it, not fitted to it.",
    "rejected": "Not used: it contradicts the other points.",
}


def annotation(point: ControlPointNumbers, cameras: Sequence[Camera], fov: float) -> dict[str, object]:
    """An entry of `annotations` of the viewer's settings, version 2; it shows all as text, not as HTML.

    Args:
        cameras: the flight's, at least one; the view is on the way to one that saw the point.
        fov: degrees, of the camera that the viewer opens with.
    """
    place = np.array(point.place)
    view = view_of(place + NEARER * _towards_photo(place, cameras), place, fov)
    name = point.name
    return {
        "position": (WORLD_TO_VIEWER @ place).tolist(),
        "title": name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…",
        "text": f"{_residual(point)} {ROLES[point.role]} {_coordinates(point)}",
        "camera": {"initial": view.model_dump()},
    }


def _towards_photo(place: Floats, cameras: Sequence[Camera]) -> Floats:
    """(3,) from `place` to that camera above it that saw it most nearly at OBLIQUE, else to any such.

    A metre up where the only camera is the place: a view needs some distance.
    """
    apart = [camera for camera in cameras if not np.allclose(camera.position, place)]
    if not apart:
        return np.array([0.0, 0.0, 1.0])
    above = [camera for camera in apart if camera.position[2] > place[2]] or apart
    seeing = [camera for camera in above if camera.sees(place[None])[0]] or above

    def off_oblique(camera: Camera) -> float:
        way = camera.position - place
        return abs(math.atan2(math.hypot(way[0], way[1]), way[2]) - OBLIQUE)

    return min(seeing, key=off_oblique).position - place


def _residual(point: ControlPointNumbers) -> str:
    east, north, up = point.off
    across = f"{_length(math.hypot(east, north))} across"
    return f"Off by {across}." if point.alt is None else f"Off by {across} and {_length(abs(up))} in height."


def _length(metres: float) -> str:
    return f"{100 * metres:.1f} cm" if metres < 1 else f"{metres:.2f} m"


def _coordinates(point: ControlPointNumbers) -> str:
    # 1e-7 degrees are a centimetre
    north = f"{abs(point.lat):.7f}° {'N' if point.lat >= 0 else 'S'}"
    east = f"{abs(point.lon):.7f}° {'E' if point.lon >= 0 else 'W'}"
    height = "height not measured" if point.alt is None else f"height {point.alt:.2f} m"
    return f"Measured at {north}, {east}, {height}."
