"""The demo survey: all photos of a flight with their GPS tags, and the truth they were taken from."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from spaceport_demo.exif import Geodetic, enu_to_geodetic, make_exif
from spaceport_demo.flight import TAKE_OFF_HEIGHT, Shot, focal_pixels, ground_pixel, plan_flight
from spaceport_demo.ground import Ground, bake_ground
from spaceport_demo.landscape import Landscape, make_landscape
from spaceport_demo.photo import develop, encode_jpeg
from spaceport_demo.raycast import render_view
from spaceport_demo.xmp import GimbalAngles, gimbal_angles, make_xmp

ORIGIN = Geodetic(46.86214, 8.22875, 469.0)  # a lake in the middle of Switzerland
GPS_SIGMA = 1.5  # metres on each axis: a drone without RTK
GIMBAL_SIGMA = 0.7  # degrees on each angle: what a gimbal's inertial sensors and the compass are good for
BAROMETER_SIGMA = 0.5  # metres
TAKE_OFF = datetime(2025, 7, 5, 14, 20, 0, tzinfo=UTC)
SECONDS_BETWEEN_PHOTOS = 4


@dataclass(frozen=True)
class Survey:
    """What to fly.

    Attributes:
        seed: of the landscape and of all noise.
        photos: how many.
        width, height: of a photo, pixels.
    """

    seed: int = 20
    photos: int = 20
    width: int = 1600
    height: int = 1200

    def shots(self) -> list[Shot]:
        return plan_flight(self.photos, self.width, self.height, self.seed)

    def build_scene(self) -> tuple[Landscape, Ground]:
        """The landscape and its lit ground."""
        landscape = make_landscape(self.seed)
        return landscape, bake_ground(landscape, ground_pixel(self.width))


def take_photos(survey: Survey) -> Iterator[tuple[str, bytes]]:
    """(name, JPEG file) of each photo, in the order they are flown; the same bytes for the same survey."""
    landscape, ground = survey.build_scene()
    for index, shot in enumerate(survey.shots()):
        rng = np.random.default_rng([survey.seed, 4, index])
        gps = enu_to_geodetic(shot.position + rng.normal(0.0, GPS_SIGMA, 3), ORIGIN)
        view = render_view(landscape, ground, shot.seen_by(survey.width, survey.height))
        taken = TAKE_OFF + timedelta(seconds=SECONDS_BETWEEN_PHOTOS * index)
        exif = make_exif(gps, taken, survey.width, survey.height)
        xmp = _sensed(survey, index, shot, gps)
        yield shot.name, encode_jpeg(develop(view.radiance, rng), exif, xmp)


def _sensed(survey: Survey, index: int, shot: Shot, gps: Geodetic) -> bytes:
    """The XMP packet with what the drone's sensors make of `shot`."""
    rng = np.random.default_rng([survey.seed, 5, index])
    true = gimbal_angles(shot.rotation)
    yaw, pitch, roll = np.array([true.yaw, true.pitch, true.roll]) + rng.normal(0.0, GIMBAL_SIGMA, 3)
    # A gimbal's pitch ends at straight down: what is read beyond it is the same, told as that.
    gimbal = GimbalAngles(float(yaw), max(float(pitch), -90.0), float(roll))
    height = float(shot.position[2] - TAKE_OFF_HEIGHT + rng.normal(0.0, BAROMETER_SIGMA))
    return make_xmp(gimbal, height, gps.altitude)


def truth(survey: Survey) -> dict[str, object]:
    """The contents of `truth.json`: what a reconstruction should find."""
    return {
        "frame": "metres east, north, up of the origin; rotation world to camera, x right, y down, z forward",
        "origin": {"latitude": ORIGIN.latitude, "longitude": ORIGIN.longitude, "altitude": ORIGIN.altitude},
        "gps_sigma_m": GPS_SIGMA,
        "camera": {
            "width": survey.width,
            "height": survey.height,
            "fx": focal_pixels(survey.width),
            "fy": focal_pixels(survey.width),
            "cx": survey.width / 2,
            "cy": survey.height / 2,
            "first_pixel_centre": [0.5, 0.5],
        },
        "photos": [
            {"name": shot.name, "position": shot.position.tolist(), "rotation": shot.rotation.tolist()}
            for shot in survey.shots()
        ],
    }


def pack(photos: Iterator[tuple[str, bytes]]) -> bytes:
    """A zip of the photos; stored, because a JPEG does not shrink, and dated by the flight, not the clock."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in photos:
            archive.writestr(zipfile.ZipInfo(name, TAKE_OFF.timetuple()[:6]), content)
    return file.getvalue()
