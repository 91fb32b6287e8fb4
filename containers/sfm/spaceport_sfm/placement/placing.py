"""The model into its final frame: by ground control, else by GPS, else upright by its cameras' level."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pycolmap
from pydantic import BaseModel, ConfigDict

from spaceport.quality import Advice
from spaceport_sfm.photo import Photo
from spaceport_sfm.placement.advice import (
    Size,
    told_of_control,
    told_of_gps,
    told_of_no_place,
    told_of_unusable_control,
)
from spaceport_sfm.placement.consensus import MIN_POSITIONS
from spaceport_sfm.placement.gcp_list import GroundControl
from spaceport_sfm.placement.georeference import EXIF_HEIGHTS, GeoReference, frame_fields, rebased
from spaceport_sfm.placement.georegistration import GpsRegistration, register_by_gps
from spaceport_sfm.placement.gps import Floats, Position
from spaceport_sfm.placement.ground_control import (
    ControlRegistration,
    Ray,
    UnusableControlError,
    register_by_control,
)
from spaceport_sfm.placement.similarity import Gravity, Similarity
from spaceport_sfm.placement.upright import gravity, upright_frame

# Lower, and the ground's own relief is as large as the height that the barometer tells.
MIN_BAROMETER_M = 5.0

logger = logging.getLogger(__name__)


class Placement(BaseModel):
    """How the model was laid on Earth: None where nothing tells, and what the pilot should know of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    georef: GeoReference | None
    advice: list[Advice]


@dataclass(frozen=True)
class Model:
    """What placing needs of a reconstruction, in its own frame.

    Attributes:
        names: of the registered photos, sorted; rows of `rotations` and `centres`.
        rotations: (N, 3, 3) world to camera.
        centres: (N, 3).
        points: (M, 3).
        gravity: up by the cameras.
    """

    names: tuple[str, ...]
    rotations: Floats
    centres: Floats
    points: Floats
    gravity: Gravity

    @classmethod
    def of(cls, model: pycolmap.Reconstruction, photos: Sequence[Photo]) -> Model:
        posed = sorted((image for image in model.images.values() if image.has_pose), key=lambda i: i.name)
        gimbals = {photo.name: photo.gimbal for photo in photos}
        names = tuple(image.name for image in posed)
        rotations = np.array([image.cam_from_world().rotation.matrix() for image in posed])
        centres = np.array([image.projection_center() for image in posed])
        points = np.array([point.xyz for _, point in sorted(model.points3D.items())]).reshape(-1, 3)
        up = gravity(rotations, centres, points, [gimbals.get(name) for name in names])
        return cls(names, rotations, centres, points, up)

    def extent(self, similarity: Similarity) -> float:
        """Metres from the local frame's zero that hold the cameras and nearly all points."""
        points = np.linalg.norm(similarity.apply(self.points), axis=1)
        cameras = np.linalg.norm(similarity.apply(self.centres), axis=1)
        return float(max(cameras.max(), np.percentile(points, 99) if len(points) else 0.0))


def place(
    model: pycolmap.Reconstruction, photos: Sequence[Photo], control: GroundControl | None, seed: int
) -> Placement:
    """Take `model` into its local frame in place: metres east, north, up, its zero in the scene's middle.

    Args:
        seed: of the sampling.
    """
    given = Model.of(model, photos)
    sources = {photo.name: photo.source for photo in photos}
    advice: list[Advice] = []
    georef: GeoReference | None = None
    gps = register_by_gps(dict(zip(given.names, given.centres, strict=True)), photos, given.gravity, seed)
    if control is not None:
        try:
            found = register_by_control(control, _sight(model, sources), given.gravity, gps, seed)
        except UnusableControlError as error:
            advice.append(told_of_unusable_control(error))
        else:
            georef = _by_control(given, gps, control, found)
            advice += told_of_control(control, found)
    if georef is None and gps is not None:
        georef = _by_gps(given, gps)
        advice += told_of_gps(gps, sources)
    if georef is None:
        similarity, told = _without_place(model, given, photos)
        advice.append(told)
    else:
        similarity = georef.similarity
    model.transform(
        pycolmap.Sim3d(similarity.scale, pycolmap.Rotation3d(similarity.rotation), similarity.translation)
    )
    for item in advice:
        logger.warning("%s: %s", item.code, item.message)
    return Placement(georef=georef, advice=advice)


def _sight(
    model: pycolmap.Reconstruction, sources: Mapping[str, str]
) -> Callable[[str, tuple[float, float]], Ray | None]:
    posed = {image.name: image for image in model.images.values() if image.has_pose}

    def sight(name: str, pixel: tuple[float, float]) -> Ray | None:
        image = posed.get(name)
        if image is None:
            return None
        camera = model.cameras[image.camera_id]
        on_plane = camera.cam_from_img(np.array(pixel))
        if on_plane is None:
            return None
        direction = np.array([*on_plane, 1.0]) @ image.cam_from_world().rotation.matrix()
        return Ray(
            sources[name],
            image.projection_center(),
            direction / np.linalg.norm(direction),
            camera.mean_focal_length(),
        )

    return sight


def _by_gps(given: Model, gps: GpsRegistration) -> GeoReference:
    level, up = gps.rms(gps.fit.similarity)
    return GeoReference(
        **_frame(given, gps.fit.similarity, gps.origin),
        vertical_reference=EXIF_HEIGHTS,
        source="gps",
        rms_horizontal_m=level,
        rms_vertical_m=up,
        positions_used=int(gps.fit.level.sum()),
        positions_rejected=gps.positions_rejected,
        altitudes_rejected=gps.altitudes_rejected,
    )


def _by_control(
    given: Model, gps: GpsRegistration | None, control: GroundControl, found: ControlRegistration
) -> GeoReference:
    numbers = found.numbers
    level, up = gps.rms(found.similarity) if gps else (numbers.rms_horizontal_m, numbers.rms_vertical_m)
    heights = control.heights
    if found.shift is not None:
        heights += f" The photos' GPS altitudes lie {found.shift[2]:+.1f} m from them."
    georef = GeoReference(
        **_frame(given, found.similarity, found.origin),
        vertical_reference=heights,
        source="ground_control",
        rms_horizontal_m=level,
        rms_vertical_m=up,
        positions_used=int(gps.fit.level.sum()) if gps else 0,
        positions_rejected=gps.positions_rejected if gps else [],
        altitudes_rejected=gps.altitudes_rejected if gps else [],
        control=numbers,
    )
    points = [point.numbers(georef.similarity, georef.place) for point in found.found]
    return georef.model_copy(update={"control": numbers.model_copy(update={"points": points})})


def _frame(given: Model, found: Similarity, origin: Position) -> dict[str, Any]:
    """The fields of `GeoReference` about the local frame: that of `found`, moved to the scene's middle."""
    scene = given.points if len(given.points) else given.centres
    similarity, middle = rebased(found, origin, np.median(found.apply(scene), axis=0))
    return {
        **frame_fields(middle, given.extent(similarity)),
        "scale": similarity.scale,
        "rotation": similarity.rotation.tolist(),
        "translation": similarity.translation.tolist(),
    }


def _without_place(
    model: pycolmap.Reconstruction, given: Model, photos: Sequence[Photo]
) -> tuple[Similarity, Advice]:
    """Upright by the cameras; in rough metres where a barometer tells, else one unit of viewing distance."""
    upright = upright_frame(given.rotations, given.centres, given.points, given.gravity.up)
    height = _barometer_height(upright, given, photos)
    if height:
        size = Size.BAROMETER
    else:
        height = 1.0 / _viewing_distance(model) if len(given.points) else 1.0
        size = Size.VIEWING_DISTANCE
    similarity = Similarity(height * upright.scale, upright.rotation, height * upright.translation)
    located = sum(photo.position is not None and photo.name in given.names for photo in photos)
    return similarity, told_of_no_place(located, size)


def _barometer_height(upright: Similarity, given: Model, photos: Sequence[Photo]) -> float | None:
    """Metres for a unit of `upright`, by how high the cameras flew above take-off; None where unknown."""
    heights = {photo.name: photo.relative_altitude for photo in photos if photo.relative_altitude is not None}
    rows = [row for row, name in enumerate(given.names) if name in heights]
    if len(rows) < MIN_POSITIONS or not len(given.points):
        return None
    told = float(np.median([heights[given.names[row]] for row in rows]))
    ground = float(np.median(upright.apply(given.points)[:, 2]))
    seen = float(np.median(upright.apply(given.centres[rows])[:, 2])) - ground
    return told / seen if told >= MIN_BAROMETER_M and seen > 0 else None


def _viewing_distance(model: pycolmap.Reconstruction) -> float:
    """The median distance from a camera to a point that it sees."""
    centres = {key: image.projection_center() for key, image in model.images.items() if image.has_pose}
    return float(
        np.median(
            [
                np.linalg.norm(point.xyz - centres[element.image_id])
                for point in model.points3D.values()
                for element in point.track.elements
            ]
        )
    )
