"""Ground control points as annotations: where they are, what is said of them, and whence they are seen."""

import numpy as np
import pytest

from spaceport.quality import ControlPointNumbers
from spaceport_compressor.viewer.annotations import annotation
from spaceport_compressor.viewer.camera import WORLD_TO_VIEWER
from spaceport_render.camera import Camera

POINT = ControlPointNumbers(
    name="GCP 1", role="used", lat=46.84, lon=-91.99, alt=151.25, place=(10, 20, 1), off=(0.03, -0.04, -0.021)
)


def camera_looking_at(place, position) -> Camera:
    forward = np.subtract(place, position) / np.linalg.norm(np.subtract(place, position))
    right = np.cross(forward, [0.1, 1.0, 0.0])
    right /= np.linalg.norm(right)
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = [right, np.cross(forward, right), forward]
    world_to_camera[:3, 3] = -world_to_camera[:3, :3] @ position
    return Camera(str(position), 400, 300, 320.0, 320.0, 200.0, 150.0, world_to_camera)


ABOVE = camera_looking_at(POINT.place, (10, 21, 61))
OBLIQUE = camera_looking_at(POINT.place, (50, 20, 51))
ELSEWHERE = camera_looking_at((400, 400, 0), (50, 60, 51))


@pytest.mark.parametrize("cameras", [(ABOVE, OBLIQUE, ELSEWHERE), (ELSEWHERE, OBLIQUE)])
def test_a_point_is_seen_from_the_way_to_the_photo_that_shows_it_obliquely(cameras):
    shown = annotation(POINT, cameras, fov=64.0)

    view = shown["camera"]["initial"]
    assert shown["position"] == list(view["target"]) == pytest.approx([10, 1, -20])
    assert np.array(view["position"]) @ WORLD_TO_VIEWER == pytest.approx((30, 20, 26))  # half of the way
    assert view["fov"] == 64.0


def test_a_point_that_no_photo_shows_is_seen_from_one_all_the_same():
    view = annotation(POINT, (ELSEWHERE,), fov=64.0)["camera"]["initial"]
    assert np.array(view["position"]) @ WORLD_TO_VIEWER == pytest.approx((30, 40, 26))


def test_a_point_at_the_only_cameras_place_is_looked_down_on():
    there = camera_looking_at((10, 20, 0), POINT.place)

    view = annotation(POINT, (there,), fov=64.0)["camera"]["initial"]

    assert np.array(view["position"]) @ WORLD_TO_VIEWER == pytest.approx((10, 20, 1.5))


def test_residuals_role_and_coordinates_are_told():
    text = annotation(POINT, (ABOVE,), fov=64.0)["text"]
    assert text == (
        "Off by 5.0 cm across and 2.1 cm in height. The model is laid on Earth by this point, among others. "
        "Measured at 46.8400000° N, 91.9900000° W, height 151.25 m."
    )


def test_a_check_point_without_a_height_tells_none():
    check = POINT.model_copy(update={"role": "check", "alt": None, "off": (3.0, 4.0, 0.0), "lat": -1.5})
    text = annotation(check, (ABOVE,), fov=64.0)["text"]
    assert text.startswith("Off by 5.00 m across. A check point")
    assert "1.5000000° S" in text
    assert text.endswith("height not measured.")


def test_a_long_name_is_cut_where_the_viewer_ends():
    title = annotation(POINT.model_copy(update={"name": "x" * 200}), (ABOVE,), fov=64.0)["title"]
    assert len(title) == 60
    assert title.endswith("…")
