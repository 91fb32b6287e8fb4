"""What the viewer says of a model's place and scale, and how sure that is."""

from __future__ import annotations

import numpy as np
import pytest

from spaceport.quality import (
    ControlNumbers,
    ControlPointNumbers,
    GeorefNumbers,
    Origin,
    Photos,
    SfmNumbers,
    SfmReport,
)
from spaceport_compressor.viewer.place import Place, place_of
from spaceport_render.camera import Camera

RNG = np.random.default_rng(4)
PHOTOS = Photos(given=4, refused=[], registered=4)
NUMBERS = SfmNumbers(seconds=1, cpu_seconds=1, reprojection_px=0.5, points=100, mean_track=3)
SIGMA = 1.5  # metres on each axis


def report(georef: GeorefNumbers | None) -> SfmReport:
    return SfmReport(photos=PHOTOS, sfm=NUMBERS, georef=georef)


def cameras_at(places: np.ndarray) -> list[Camera]:
    cameras = []
    for number, place in enumerate(places):
        world_to_camera = np.eye(4)
        world_to_camera[:3, 3] = -place
        cameras.append(Camera(f"{number}.jpg", 64, 48, 60.0, 60.0, 32.0, 24.0, world_to_camera))
    return cameras


def fitted(true: np.ndarray, sensed: np.ndarray) -> tuple[float, np.ndarray]:
    """The scale of the similarity that lays `true` on `sensed` (Umeyama 1991), and what is left, (N, 3)."""
    a, b = true - true.mean(0), sensed - sensed.mean(0)
    u, strength, v = np.linalg.svd(b.T @ a)
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ v))])
    scale = float((strength * np.diag(flip)).sum() / (a**2).sum())
    return scale, b - scale * a @ (u @ flip @ v).T


def test_the_scale_is_off_by_as_much_as_is_told():
    # Given flights whose GPS is off by itself at each photo, and registrations on it
    true = RNG.uniform([-40, -30, 50], [40, 30, 60], (20, 3))
    scales, told = [], []
    for _ in range(400):
        scale, left = fitted(true, true + RNG.normal(0, SIGMA, true.shape))
        horizontal, vertical = np.sqrt((left[:, :2] ** 2).sum(1).mean()), np.sqrt((left[:, 2] ** 2).mean())
        georef = GeorefNumbers(
            rms_horizontal_m=horizontal, rms_vertical_m=vertical, origin=Origin(lat=0, lon=0, alt=0)
        )
        place = place_of(report(georef), cameras_at(true))
        scales.append(scale)
        told.append(place.scale_error)
    # Then the scales differ from the truth as the page says they do
    assert np.std(np.array(scales) - 1) == pytest.approx(np.mean(told), rel=0.15)


def test_without_a_place_on_earth_there_is_none():
    assert place_of(None, cameras_at(np.eye(3))) is None
    assert place_of(report(None), cameras_at(np.eye(3))) is None


@pytest.mark.parametrize(("count", "is_known"), [(3, False), (6, True)])
def test_of_ground_control_it_takes_enough_points(count: int, is_known: bool):
    points = [
        ControlPointNumbers(
            name=str(i), role="used", lat=0, lon=0, alt=0.0,
            place=tuple(RNG.uniform(-30, 30, 3)), off=(0.01, -0.02, 0.03),
        )
        for i in range(count)
    ]  # fmt: skip
    control = ControlNumbers(
        used=[p.name for p in points], rms_horizontal_m=0.02, rms_vertical_m=0.03, points=points
    )
    georef = GeorefNumbers(
        rms_horizontal_m=0.02,
        rms_vertical_m=0.03,
        origin=Origin(lat=0, lon=0, alt=0),
        source="ground_control",
        control=control,
    )
    place = place_of(report(georef), cameras_at(np.eye(3)))
    assert place is not None
    assert (place.scale_error is not None) == is_known
    if is_known:
        assert place.scale_error < 0.002


def test_two_photos_tell_nothing_of_the_scale():
    georef = GeorefNumbers(rms_horizontal_m=1, rms_vertical_m=1, origin=Origin(lat=0, lon=0, alt=0))
    assert place_of(report(georef), cameras_at(np.eye(3)[:2])) == Place(None)
