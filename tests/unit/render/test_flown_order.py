"""The order in which photos were flown: by name, unless the names say nothing."""

from itertools import pairwise

import numpy as np
import pytest

from spaceport_render.camera import Camera
from spaceport_render.flown_order import flown_order, tour_length

AHEAD = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # rows right, down, forward: looking north
BACK = np.array([[-1.0, 0, 0], [0, 0, -1], [0, -1, 0]])


def camera_at(place, rotation=AHEAD) -> Camera:
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = rotation
    world_to_camera[:3, 3] = -rotation @ np.array(place)
    return Camera(str(place), 400, 300, 320.0, 320.0, 200.0, 150.0, world_to_camera)


def grid(lines=5, photos=8) -> list[Camera]:
    """To and fro, lines 14 m apart."""
    return [
        camera_at((14.0 * line, 8.0 * (step if line % 2 == 0 else photos - 1 - step), 40.0))
        for line in range(lines)
        for step in range(photos)
    ]


def shuffled(cameras) -> list[Camera]:
    return [cameras[index] for index in np.random.default_rng(1).permutation(len(cameras))]


def way(cameras) -> float:
    return tour_length(np.array([camera.position for camera in cameras]))


@pytest.mark.parametrize("cameras", [grid(), [*grid(), *grid(3)], grid(1, 3)], ids=["grid", "twice", "three"])
def test_the_order_by_name_is_kept_where_it_is_a_flight(cameras):
    assert flown_order(cameras) is cameras


def test_shuffled_photos_are_put_into_a_short_tour_of_them_all():
    ordered = flown_order(shuffled(grid()))

    assert {camera.name for camera in ordered} == {camera.name for camera in grid()}
    assert way(ordered) <= 1.1 * way(grid())


def test_photos_that_look_different_ways_are_not_neighbours():
    # Given two lines over the same ground, one looking north, one south, shuffled into each other
    both = [
        camera_at((4.0 * step, 0.5 * side, 40.0), (AHEAD, BACK)[side])
        for step in range(30)
        for side in (0, 1)
    ]

    ordered = flown_order(shuffled(both))

    # Then one is flown after the other
    turns = [a.world_to_camera[2, 1] != b.world_to_camera[2, 1] for a, b in pairwise(ordered)]
    assert sum(turns) <= 2


def test_photos_from_one_place_keep_their_order():
    cameras = [camera_at((0.0, 0.0, 40.0))] * 5
    assert flown_order(cameras) is cameras
