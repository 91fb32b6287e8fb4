"""The flight that the viewer plays: calm, along what was flown, to and fro without a jolt."""

import numpy as np
import pytest

from spaceport_compressor.viewer.camera import WORLD_TO_VIEWER
from spaceport_compressor.viewer.fly_through import LONGEST, RAMP, SHORTEST, fly_through
from spaceport_render.camera import Camera
from spaceport_render.flight_path import SPEED

HEIGHT = 40.0
DOWN = np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]])  # rows right, down, forward


def camera_at(east, north) -> Camera:
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = DOWN
    world_to_camera[:3, 3] = -DOWN @ np.array([east, north, HEIGHT])
    return Camera(f"{east} {north}", 400, 300, 320.0, 320.0, 200.0, 150.0, world_to_camera)


def ground(height=lambda east, north: 0 * east) -> np.ndarray:
    east, north = np.meshgrid(np.arange(-150, 151, 4.0), np.arange(-150, 151, 4.0))
    return np.column_stack([east.ravel(), north.ravel(), height(east, north).ravel()])


LINE = [camera_at(0.0, 8.0 * step - 80) for step in range(21)]
LONG_LINE = [camera_at(0.0, 10.0 * step - 500) for step in range(101)]
SPOT = [camera_at(0.0, 0.0)] * 3


def world(places):
    return places @ WORLD_TO_VIEWER


@pytest.mark.parametrize("cameras", [LINE, LONG_LINE, SPOT], ids=["line", "long line", "on the spot"])
def test_it_is_calm_and_rests_at_both_ends(cameras):
    flight = fly_through(cameras, ground(), fov=64.0)

    seconds = flight.times[-1] / 30
    assert SHORTEST + RAMP <= seconds <= LONGEST + RAMP
    steps = np.linalg.norm(np.diff(flight.positions, axis=0), axis=1)
    speeds = steps / np.diff(flight.times / 30)
    assert speeds.max() <= 1.01 * SPEED * HEIGHT
    # In the middle it is steady, at the ends it hardly moves: there the viewer turns it round
    assert np.ptp(speeds[8:-8]) < 0.1 * speeds.max()
    assert max(speeds[0], speeds[-1]) < 0.1 * speeds.max()


def test_it_follows_the_flight_and_looks_ahead_and_down():
    flight = fly_through(LINE, ground(), fov=64.0)

    places, targets = world(flight.positions), world(flight.targets)
    assert np.abs(places[:, 0]).max() < 1.0
    assert np.ptp(places[:, 1]) > 100
    assert places[:, 2] == pytest.approx(np.full(len(places), HEIGHT), abs=0.5)
    ways = targets - places
    assert ways[:, 2].max() < -0.9 * HEIGHT
    assert (ways[:, 1] * (places[-1] - places[0])[1] > 0).all()


def test_it_stays_above_a_hill():
    def hill(east, north):
        return 38 * np.exp(-((east / 15) ** 2) - ((north - 30) / 15) ** 2)

    places = world(fly_through(LINE, ground(hill), fov=64.0).positions)

    assert (places[:, 2] - hill(places[:, 0], places[:, 1])).min() > 4


def test_the_track_is_one_that_the_viewer_takes():
    flight = fly_through(LINE, ground(), fov=64.0)
    track = flight.track()

    assert track["loopMode"] == "pingpong"
    assert track["duration"] == flight.times[-1] / track["frameRate"]
    times, values = track["keyframes"]["times"], track["keyframes"]["values"]
    assert len(values["position"]) == len(values["target"]) == 3 * len(times)
    assert values["fov"] == [64.0] * len(times)
