"""A made-up survey and the model that SfM would make of it, for tests of what comes after."""

from __future__ import annotations

import dataclasses

import numpy as np
import pycolmap
from pyproj import Transformer

from spaceport_sfm.photo import Photo
from spaceport_sfm.placement.gps import Position, from_enu, to_enu
from spaceport_sfm.placement.placing import Placement

ORIGIN = Position(lat=46.84, lon=-91.99, alt=150.0)
UTM = Transformer.from_crs("EPSG:4979", "EPSG:32615", always_xy=True)
FOCAL, WIDTH, HEIGHT = 800.0, 1000, 750
TURN = np.linalg.qr(np.random.default_rng(7).normal(size=(3, 3)))[0]
TURN = TURN * np.sign(np.linalg.det(TURN))


@dataclasses.dataclass(frozen=True)
class Survey:
    """A made-up survey: metres east, north and up of ORIGIN, and the model as SfM would have it."""

    places: np.ndarray
    rotations: np.ndarray
    model: pycolmap.Reconstruction
    photos: list[Photo]

    def pixel(self, shot: int, point: np.ndarray) -> np.ndarray | None:
        """Where photo `shot` shows a point, normalised pixels; None outside."""
        x, y, z = self.rotations[shot] @ (point - self.places[shot])
        at = np.array([FOCAL * x / z + WIDTH / 2, FOCAL * y / z + HEIGHT / 2])
        return at if z > 0 and (at > 0).all() and (at < [WIDTH, HEIGHT]).all() else None

    def off(self, placement: Placement) -> np.ndarray:
        """(N, 3) metres from where each camera truly was to where georef.json has it."""
        assert placement.georef is not None
        images = sorted(self.model.images.values(), key=lambda image: image.name)
        there = [from_enu(image.projection_center(), placement.georef.place) for image in images]
        return to_enu(there, ORIGIN) - self.places


def looking_down(heading: float, roll: float = 0.0) -> np.ndarray:
    """World to camera, the picture's top towards `heading`, the view `roll` degrees off the vertical."""
    h, r = np.radians([heading, roll])
    right, forward = np.array([np.cos(h), -np.sin(h), 0.0]), np.array([0.0, 0.0, -1.0])
    right, forward = right * np.cos(r) + forward * np.sin(r), forward * np.cos(r) - right * np.sin(r)
    return np.stack([right, np.cross(forward, right), forward])


def lines(count: int = 18, across: int = 3) -> np.ndarray:
    index = np.arange(count)
    along = index // across * 20.0
    return np.stack([index % across * 25.0, along, 50.0 + 2.0 * np.sin(index)], axis=1)


def survey(places: np.ndarray, gps_sigma: float = 0.0, **fields: object) -> Survey:
    """Cameras that look down on bumpy ground; headings turn from line to line."""
    random = np.random.default_rng(0)
    rotations = np.array([looking_down(180.0 * (i % 2), random.normal(0, 0.5)) for i in range(len(places))])
    photos = [
        Photo(
            name=f"{index:04}_DJI.jpg",
            source=f"100MEDIA/DJI_{index:04}.JPG",
            width=WIDTH,
            height=HEIGHT,
            original_size=(4 * WIDTH, 4 * HEIGHT),
            taken=f"2025:05:01 10:00:{index:02}",
            position=from_enu(spot + random.normal(0, gps_sigma, 3), ORIGIN),
            **fields,
        )
        for index, spot in enumerate(places)
    ]
    made = Survey(places, rotations, pycolmap.Reconstruction(), photos)
    low, high = places[:, :2].min(axis=0) - 20, places[:, :2].max(axis=0) + 20
    ground = np.column_stack([random.uniform(low, high, (300, 2)), random.normal(0, 1.0, 300)])
    _fill(made, ground)
    made.model.transform(pycolmap.Sim3d(0.09, pycolmap.Rotation3d(TURN), np.array([3.0, -4.0, 2.0])))
    return made


def _fill(made: Survey, ground: np.ndarray) -> None:
    camera = pycolmap.Camera(
        model="PINHOLE", width=WIDTH, height=HEIGHT, params=[FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2], camera_id=1
    )
    made.model.add_camera_with_trivial_rig(camera)
    tracks: list[list[pycolmap.TrackElement]] = [[] for _ in ground]
    for shot, (spot, rotation) in enumerate(zip(made.places, made.rotations, strict=True)):
        seen = [(row, at) for row, point in enumerate(ground) if (at := made.pixel(shot, point)) is not None]
        for index, (row, _) in enumerate(seen):
            tracks[row].append(pycolmap.TrackElement(shot + 1, index))
        image = pycolmap.Image(
            name=made.photos[shot].name,
            camera_id=1,
            image_id=shot + 1,
            points2D=pycolmap.Point2DList([pycolmap.Point2D(at) for _, at in seen]),
        )
        pose = pycolmap.Rigid3d(pycolmap.Rotation3d(rotation), -rotation @ spot)
        made.model.add_image_with_trivial_frame(image, pose)
    for row, point in enumerate(ground):
        if len(tracks[row]) >= 2:
            made.model.add_point3D(point, pycolmap.Track(tracks[row]), np.array([10, 200, 30], np.uint8))


def changed(photos: list[Photo], **fields: object) -> list[Photo]:
    return [photo.model_copy(update=fields) for photo in photos]
