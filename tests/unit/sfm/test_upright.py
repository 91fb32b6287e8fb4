"""Which way is up without GPS."""

from __future__ import annotations

import numpy as np
import pytest

from spaceport_sfm.photo import Gimbal
from spaceport_sfm.placement.upright import gravity, upright_frame

TILTED = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]
TILTED = TILTED * np.sign(np.linalg.det(TILTED))


def looking(heading_deg: float, pitch_deg: float) -> np.ndarray:
    """World-to-camera rotation of a level camera in a z-up world; pitch -90 looks straight down."""
    heading, pitch = np.radians([heading_deg, pitch_deg])
    forward = np.array([np.sin(heading) * np.cos(pitch), np.cos(heading) * np.cos(pitch), np.sin(pitch)])
    right = np.array([np.cos(heading), -np.sin(heading), 0.0])
    return np.stack([right, np.cross(forward, right), forward])


def scene(headings: list[float], pitch: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rotations, centres 50 m up and points of bumpy ground, all in a frame tilted at random."""
    random = np.random.default_rng(0)
    rotations = np.array([looking(heading, pitch) @ TILTED.T for heading in headings])
    centres = (
        np.stack(
            [
                random.uniform(0, 80, len(headings)),
                random.uniform(0, 80, len(headings)),
                np.full(len(headings), 50.0),
            ],
            axis=1,
        )
        @ TILTED.T
    )
    ground = (
        np.stack(
            [random.uniform(-50, 130, 500), random.uniform(-50, 130, 500), random.normal(0, 2, 500)], axis=1
        )
        @ TILTED.T
    )
    return rotations, centres, ground


@pytest.mark.parametrize(
    ("headings", "pitch"),
    [
        (list(range(0, 360, 20)), -30),
        (list(range(0, 360, 20)), -90),
        ([0] * 9 + [180] * 9, -90),
        ([40] * 18, -90),
        ([40] * 18, -45),
    ],
    ids=["orbit", "nadir, turning", "nadir, lawnmower", "nadir, one heading", "oblique, one heading"],
)
def test_z_is_up_and_cameras_are_above_the_ground(headings, pitch):
    # Given level cameras above bumpy ground, in a frame that stands anyhow
    rotations, centres, points = scene(headings, pitch)

    # When the frame is set upright
    up = gravity(rotations, centres, points, [None] * len(rotations)).up
    frame = upright_frame(rotations, centres, points, up)

    # Then what was up is z, at the same scale, about the middle of the points, without a reflection
    assert frame.rotation @ TILTED[:, 2] == pytest.approx([0, 0, 1], abs=0.03)
    assert frame.scale == 1.0
    assert np.linalg.det(frame.rotation) == pytest.approx(1.0)
    assert frame.apply(centres)[:, 2].min() > np.percentile(frame.apply(points)[:, 2], 99)
    assert np.median(frame.apply(points), axis=0) == pytest.approx([0, 0, 0], abs=3.0)


def rolled(heading: float, pitch: float, roll: float) -> np.ndarray:
    """`looking`, with the camera turned clockwise about its viewing direction."""
    c, s = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    return np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]]) @ looking(heading, pitch)


def test_gimbals_tell_up_where_the_pictures_would_mislead():
    # Given cameras that are all rolled by 20°, as the pictures alone can't tell, one with a broken gimbal
    rotations = np.array([rolled(heading, -40, 20) @ TILTED.T for heading in range(0, 360, 30)])
    _, centres, points = scene([0] * 12, -40)
    gimbals: list[Gimbal | None] = [Gimbal(yaw=h, pitch=-40, roll=20) for h in range(0, 360, 30)]
    gimbals[3] = Gimbal(yaw=0, pitch=60, roll=0)

    found = gravity(rotations, centres, points, gimbals)

    assert found.up @ TILTED[:, 2] == pytest.approx(1.0, abs=1e-3)
    assert np.degrees(found.sigma) == pytest.approx(1.0)


def test_gimbals_that_contradict_each_other_are_not_believed():
    rotations, centres, points = scene(list(range(0, 360, 30)), -40)
    random = np.random.default_rng(1)
    gimbals = [Gimbal(yaw=0, pitch=random.uniform(-90, 30), roll=random.uniform(-40, 40)) for _ in rotations]

    found = gravity(rotations, centres, points, gimbals)

    assert found.up @ TILTED[:, 2] == pytest.approx(1.0, abs=1e-3)
    assert np.degrees(found.sigma) == pytest.approx(2.0)
