"""The flight of the video, over flights of all kinds: calm, near what was flown, above ground."""

import math

import numpy as np
import pytest

from spaceport_render.camera import Camera
from spaceport_render.flight_path import (
    CLEARANCE,
    SPEED,
    STRAY,
    Lens,
    flight,
    parts,
    plan_course,
    viewing_distance,
)

RATE, SECONDS = 24, 5.0
TIMES = np.arange(round(RATE * SECONDS)) / RATE
HEIGHT = 40.0
DOWN = (0.0, 0.0, -1.0)


def camera_at(place, forward=DOWN, top=(0.0, 1.0, 0.0)) -> Camera:
    forward = np.array(forward) / np.linalg.norm(forward)
    right = np.cross(forward, top if abs(forward[2]) > 0.99 else (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    world_to_camera[:3, 3] = -world_to_camera[:3, :3] @ np.array(place)
    return Camera("", 400, 300, 320.0, 320.0, 200.0, 150.0, world_to_camera)


def ground(height=lambda east, north: 0 * east) -> np.ndarray:
    east, north = np.meshgrid(np.arange(-300, 301, 4.0), np.arange(-300, 301, 4.0))
    return np.column_stack([east.ravel(), north.ravel(), height(east.ravel(), north.ravel())])


def grid(turning=True) -> list[Camera]:
    """Six lines of ten photos, to and fro; a drone that turns has its photos upside down on every second."""
    cameras = []
    for line in range(6):
        sign = 1 if line % 2 == 0 else -1
        top = (0.0, float(sign), 0.0) if turning else (0.0, 1.0, 0.0)
        cameras += [camera_at((14.0 * line, sign * (8.0 * step - 36), HEIGHT), top=top) for step in range(10)]
    return cameras


def ring() -> list[Camera]:
    angles = np.linspace(0, 2 * math.pi, 24, endpoint=False)
    places = [np.array([60 * math.cos(angle), 60 * math.sin(angle), HEIGHT]) for angle in angles]
    return [camera_at(place, -place) for place in places]


def bent_corridor() -> list[Camera]:
    """Along a U: its middle is far from where any photo was taken."""
    angles = np.linspace(0, math.pi, 80)
    return [camera_at((250 * math.cos(angle), 250 * math.sin(angle), HEIGHT)) for angle in angles]


def two_batteries() -> list[Camera]:
    return [*grid(), *[camera_at((900.0 + 8 * step, 700.0, HEIGHT)) for step in range(12)]]


def crosshatch() -> list[Camera]:
    """Oblique lines that look one way on the way there and the other on the way back."""
    there = [camera_at((8.0 * step, 0.0, HEIGHT), (1, 0, -1)) for step in range(12)]
    back = [camera_at((88 - 8.0 * step, 15.0, HEIGHT), (-1, 0, -1)) for step in range(12)]
    return [*there, *back]


def shuffled() -> list[Camera]:
    return [grid()[index] for index in np.random.default_rng(0).permutation(60)]


FLIGHTS = {
    "grid": grid(),
    "grid without turns": grid(turning=False),
    "ring": ring(),
    "bent corridor": bent_corridor(),
    "two batteries": two_batteries(),
    "crosshatch": crosshatch(),
    "shuffled": shuffled(),
    "two photos": grid()[:2],
    "on the spot": [camera_at((0.0, 0.0, HEIGHT))] * 3,
    "on the spot, ahead": [camera_at((0.0, 0.0, HEIGHT), (1, 0, -0.5))] * 3,
}


def fly(cameras, points=None) -> list[Camera]:
    return flight(cameras, ground() if points is None else points, Lens.inside(cameras, 640, 360), TIMES)


def forwards(cameras) -> np.ndarray:
    return np.array([camera.world_to_camera[2, :3] for camera in cameras])


def positions(cameras) -> np.ndarray:
    return np.array([camera.position for camera in cameras])


@pytest.mark.parametrize("cameras", FLIGHTS.values(), ids=FLIGHTS.keys())
def test_every_flight_becomes_a_calm_one_near_where_it_was_flown(cameras):
    film = fly(cameras)

    assert len(film) == len(TIMES)
    steps = np.linalg.norm(np.diff(positions(film), axis=0), axis=1)
    distance = viewing_distance(cameras, ground())
    # It moves, steadily, and never faster than is calm
    assert steps.min() > 0
    assert steps.max() < 1.2 * SPEED * distance / RATE
    assert steps.max() < 1.5 * steps.min()
    # It never pans faster than 22° a second
    turns = np.degrees(np.arccos(np.clip(np.sum(forwards(film)[1:] * forwards(film)[:-1], axis=1), -1, 1)))
    assert turns.max() * RATE < 22
    # It stays near some photo
    ways = np.linalg.norm(positions(film)[:, None] - positions(cameras)[None], axis=2).min(axis=1)
    assert ways.max() <= STRAY * distance


@pytest.mark.parametrize("cameras", FLIGHTS.values(), ids=FLIGHTS.keys())
def test_the_horizon_is_level_and_the_lens_that_of_the_flight(cameras):
    for camera in fly(cameras):
        rotation = camera.world_to_camera[:3, :3]
        assert np.allclose(rotation @ rotation.T, np.eye(3))
        assert np.linalg.det(rotation) == pytest.approx(1)
        assert rotation[0, 2] == pytest.approx(0)  # right is level
        assert rotation[1, 2] < 0  # down is down
        assert camera.width / camera.fx <= 400 / 320 + 1e-9
        assert camera.height / camera.fy <= 300 / 320 + 1e-9


def test_a_grid_is_crossed_in_one_direction_that_the_camera_looks_ahead_in():
    film = fly(grid())

    ahead = positions(film)[-1] - positions(film)[0]
    ahead /= np.linalg.norm(ahead)
    assert np.allclose(forwards(film), forwards(film)[0])
    assert forwards(film)[0] @ ahead == pytest.approx(math.sin(math.radians(20)), abs=0.01)


def test_an_oblique_flight_keeps_its_direction():
    film = fly(ring())

    towards_middle = -positions(film) / np.linalg.norm(positions(film), axis=1, keepdims=True)
    assert (np.sum(forwards(film) * towards_middle, axis=1) > math.cos(math.radians(8))).all()


def test_a_scene_whose_z_is_not_up_is_filmed_all_the_same():
    # Given cameras that look along z, as in COLMAP's own frames
    cameras = [camera_at((8.0 * step, 0.0, -HEIGHT), (0, 0, 1)) for step in range(12)]

    film = fly(cameras)

    assert np.isfinite([camera.world_to_camera for camera in film]).all()
    assert np.allclose(forwards(film), (0, 0, 1))


def test_sides_of_a_scene_are_not_blended():
    # Given a flight that looks east on the way there and west on the way back
    flown = list(parts(crosshatch(), 50.0))

    assert [len(part) for part in flown] == [12, 12]
    assert all(np.allclose(forwards(part), forwards(part)[0]) for part in flown)


def test_the_flight_stays_above_a_hill_that_the_drone_flew_around():
    # Given a grid around a hill that is higher than the drone flies beside it
    def hill(east, north):
        return 60 * np.exp(-(((east - 35) / 12) ** 2) - (north / 12) ** 2)

    cameras = [camera for camera in grid() if np.hypot(camera.position[0] - 35, camera.position[1]) > 30]

    film = fly(cameras, ground(hill))

    clearance = [place[2] - hill(place[0], place[1]) for place in positions(film)]
    assert min(clearance) > 0.9 * CLEARANCE * HEIGHT


def test_shuffled_photos_are_flown_over_as_if_they_were_in_order():
    # Given the photos of a grid whose names don't tell the order
    course = plan_course(shuffled(), ground(), seconds=30.0)

    # Then the whole grid is flown over, not the two photos that happen to follow each other
    places, _ = course.at(np.linspace(0, 1, 50))
    assert np.ptp(places[:, 0]) > 40


def test_once_round_the_scene_is_shown_before_straight_across_it():
    # Given a grid of sixty photos straight down, and a ring of 24 that look at its middle
    film = fly([*grid(), *ring()])

    # Then the film looks at the middle from the ring
    assert (np.abs(np.linalg.norm(positions(film)[:, :2], axis=1) - 60) < 10).all()
    assert (forwards(film)[:, 2] > -0.8).all()


def test_a_flight_over_the_shore_looks_back_at_the_land():
    # Given photos on a line from the land out over water, where SfM finds nothing
    land = ground()[ground()[:, 1] < 0]
    cameras = [camera_at((0.0, 10.0 * step - 60, HEIGHT)) for step in range(12)]

    for order in (cameras, cameras[::-1]):
        film = fly(order, land)

        # Then the film comes in from the sea, whichever way the drone flew
        assert forwards(film)[0][1] < 0
        assert positions(film)[-1][1] < positions(film)[0][1]
