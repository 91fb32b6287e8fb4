"""The model into its final frame: by ground control, else by GPS, else upright by its cameras' level."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pycolmap
from pydantic import BaseModel, ConfigDict

from spaceport.quality import Advice
from spaceport_sfm.consensus import MIN_POSITIONS
from spaceport_sfm.georeference import EXIF_HEIGHTS, GeoReference, frame_fields, rebased
from spaceport_sfm.georegistration import GpsRegistration, register_by_gps
from spaceport_sfm.gps import Floats
from spaceport_sfm.photo import Photo
from spaceport_sfm.similarity import Gravity, Similarity
from spaceport_sfm.upright import gravity, upright_frame

# Lower, and the ground's own relief is as large as the height that the barometer tells.
MIN_BAROMETER_M = 5.0
NAMED = 3  # photos that an advice names; georef.json has them all

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
    model: pycolmap.Reconstruction, photos: Sequence[Photo], ground_control: str | None, seed: int
) -> Placement:
    """Take `model` into its local frame in place: metres east, north, up, its zero in the scene's middle.

    Args:
        ground_control: the text of `gcp_list.txt`.
        seed: of the sampling.
    """
    given = Model.of(model, photos)
    centres = dict(zip(given.names, given.centres, strict=True))
    gps = register_by_gps(centres, photos, given.gravity, seed)
    if gps is None:
        similarity, advice = _without_place(model, given, photos)
        georef = None
    else:
        georef = _georeference(given, gps)
        similarity, advice = georef.similarity, _told_of_gps(gps, photos)
    model.transform(
        pycolmap.Sim3d(similarity.scale, pycolmap.Rotation3d(similarity.rotation), similarity.translation)
    )
    for item in advice:
        logger.warning("%s: %s", item.code, item.message)
    return Placement(georef=georef, advice=advice)


def _georeference(given: Model, gps: GpsRegistration) -> GeoReference:
    scene = given.points if len(given.points) else given.centres
    found = gps.fit.similarity
    level, up = gps.rms(found)
    similarity, origin = rebased(found, gps.origin, np.median(found.apply(scene), axis=0))
    return GeoReference(
        **frame_fields(origin, given.extent(similarity)),
        vertical_reference=EXIF_HEIGHTS,
        source="gps",
        scale=similarity.scale,
        rotation=similarity.rotation.tolist(),
        translation=similarity.translation.tolist(),
        rms_horizontal_m=level,
        rms_vertical_m=up,
        positions_used=int(gps.fit.level.sum()),
        positions_rejected=gps.positions_rejected,
        altitudes_rejected=gps.altitudes_rejected,
    )


def _told_of_gps(gps: GpsRegistration, photos: Sequence[Photo]) -> list[Advice]:
    sources = {photo.name: photo.source for photo in photos}
    told = []
    if gps.positions_rejected:
        told.append(
            Advice(
                code="gps_contradicts",
                message=f"The GPS of {_listed(gps.positions_rejected, sources)} contradicts the others' "
                "and was left out.",
                hint="Wait for a full GPS fix before the first photo, and leave out photos of other places.",
            )
        )
    if gps.altitudes_rejected:
        told.append(
            Advice(
                code="gps_altitudes_contradict",
                message=f"The GPS altitude of {_listed(gps.altitudes_rejected, sources)} contradicts the "
                "others': heights follow the larger group, or one of two as large.",
                hint="Fly a site in one go, or give ground control points: drones set their altitude anew "
                "with each battery.",
            )
        )
    if gps.fit.up_is_gravity:
        told.append(
            Advice(
                code="single_line",
                message="All photos lie on one line: which way is up across it comes from the cameras' own "
                "level, right to a degree or two.",
                hint="Fly a second line beside the first, or give ground control points.",
            )
        )
    if gps.fit.askew is not None:
        told.append(
            Advice(
                code="cameras_askew",
                message=f"Up by the cameras and up by GPS differ by {np.degrees(gps.fit.askew):.0f}°: GPS "
                "was believed.",
                hint="Calibrate the gimbal; with a hand-held camera, don't mind.",
            )
        )
    return told


def _listed(names: Sequence[str], sources: dict[str, str]) -> str:
    shown = ", ".join(sources[name] for name in names[:NAMED])
    return shown if len(names) <= NAMED else f"{shown} and {len(names) - NAMED} more photos"


def _without_place(
    model: pycolmap.Reconstruction, given: Model, photos: Sequence[Photo]
) -> tuple[Similarity, list[Advice]]:
    """Upright by the cameras; in rough metres where a barometer tells, else one unit of viewing distance."""
    upright = upright_frame(given.rotations, given.centres, given.points, given.gravity.up)
    positions = sum(photo.position is not None and photo.name in given.names for photo in photos)
    if positions:
        where = (
            f"The GPS of {positions} photos is too little to tell place, scale and direction"
            if positions >= MIN_POSITIONS
            else f"Only {positions} of the photos carry GPS, place and scale need {MIN_POSITIONS}"
        )
        code, hint = (
            "gps_too_little",
            "Fly lines at least 30 m long with GPS on, or give ground control points.",
        )
    else:
        where = "No photo carries GPS"
        code, hint = "no_gps", "Switch on the camera's GPS, or add ground control points in gcp_list.txt."
    height = _barometer_height(upright, given, photos)
    if height:
        size = "metres are by the barometer's height above take-off, right to some 20 % over level ground"
    else:
        height = 1.0 / _viewing_distance(model) if len(given.points) else 1.0
        size = "its size is unknown: one unit is the usual distance from a camera to what it sees"
    similarity = Similarity(height * upright.scale, upright.rotation, height * upright.translation)
    message = f"{where}: the model stands upright by its cameras' level, without place and north, and {size}."
    return similarity, [Advice(code=code, message=message, hint=hint)]


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
