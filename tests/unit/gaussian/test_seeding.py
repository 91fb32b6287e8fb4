from dataclasses import replace

import numpy as np

from spaceport_gaussian.seeding.gaps import GapSeeding, project
from spaceport_gaussian.seeding.plane_sweep import PlaneSweep
from spaceport_gaussian.seeding.surround import Surround

SWEEP = PlaneSweep(size=96, radius=4)


def test_the_sweep_finds_the_ground(survey):
    # Given nine photos from 20 m above flat, patterned ground
    views = SWEEP.prepare(survey.views)
    pixels = np.column_stack([np.tile(np.arange(20, 80, 6), 5), np.repeat(np.arange(15, 50, 7), 10)]).astype(
        float
    )

    # When depths are asked for between 15 and 25 m
    depths, is_sure = SWEEP.depths(views, 4, pixels, near=16.0, far=24.0)

    # Then most are found, and those are right
    assert is_sure.mean() > 0.7
    assert np.median(np.abs(depths[is_sure] - 20)) < 1.0


def test_even_surfaces_give_no_depth(survey):
    blank = [type(view)(view.camera, np.full_like(view.pixels, 90)) for view in survey.views]

    _, is_sure = SWEEP.depths(SWEEP.prepare(blank), 4, np.array([[40.0, 30.0]]), near=16.0, far=24.0)

    assert not is_sure.any()


def test_gaps_are_filled_with_the_photos_colours_at_the_grounds_height(survey):
    # Given a survey with no points in its western half
    points = survey.points[survey.points[:, 0] > 0]

    # When gaps are seeded
    seeding = GapSeeding(cells=16, sweep=SWEEP)
    seeds, colors = seeding.seed(survey.views, points)

    # Then the west is covered, at the ground's height
    west = seeds[seeds[:, 0] < -2]
    assert len(west) > 30
    assert np.median(np.abs(west[:, 2])) < 1.5
    assert colors.shape == seeds.shape
    # and every cell of every photo has a point or a seed
    for view in survey.views:
        pixels, _ = project(view.camera.resized(16, 11), np.concatenate([points, seeds]).astype(float))
        cells = {tuple(cell) for cell in np.floor(pixels).astype(int)}
        assert len(cells) >= 0.95 * 16 * 11


def test_the_ground_goes_on_beyond_the_photos_as_it_is_at_their_edge(survey):
    # Given known ground, red in the west and green in the east, rising to the east
    across, along = np.meshgrid(np.linspace(-15, 15, 80), np.linspace(-11, 11, 60))
    points = np.column_stack([across.ravel(), along.ravel(), 0.1 * across.ravel()]).astype(np.float32)
    colors = np.where(points[:, :1] < 0, [[200, 0, 0]], [[0, 200, 0]]).astype(np.uint8)

    # When it is continued
    surround = Surround(rings=3)
    seeds, shades = surround.seed([view.camera for view in survey.views], points, colors)

    # Then no seed lies on known ground
    beyond = np.maximum(np.abs(seeds[:, 0]) - 15, np.abs(seeds[:, 1]) - 11)
    assert beyond.min() > 0
    # and they reach about as far as the rings are broad: 3 x (1 + 2 + 4) / 32 of a footprint of 24 m
    assert 12 < beyond.max() < 20
    # and each side goes on in its own colour, at its own height
    west, east = seeds[:, 0] < -15, seeds[:, 0] > 15
    assert shades[west, 0].min() > 190
    assert shades[east, 1].min() > 190
    assert np.median(seeds[west, 2]) < -1.2 < 1.2 < np.median(seeds[east, 2])


def test_a_far_stray_point_gets_no_ring_of_its_own(survey):
    cameras = [view.camera for view in survey.views]
    points = np.concatenate([survey.points, [[900.0, 0.0, 0.0]]]).astype(np.float32)
    colors = np.full((len(points), 3), 90, np.uint8)

    seeds, _ = Surround().seed(cameras, points, colors)

    assert len(seeds) > 100
    assert np.abs(seeds[:, :2]).max() < 100


def test_a_camera_that_looks_over_the_horizon_does_not_surround_the_earth(survey):
    # Given one camera of the survey turned up until it looks sideways
    cameras = [view.camera for view in survey.views]
    pose = cameras[0].world_to_camera.copy()
    pose[:3, :3] = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]) @ np.eye(3)
    pose[:3, 3] = -pose[:3, :3] @ cameras[0].position
    colors = np.full((len(survey.points), 3), 90, np.uint8)

    seeds, _ = Surround().seed(
        [replace(cameras[0], world_to_camera=pose), *cameras[1:]], survey.points, colors
    )

    assert np.abs(seeds[:, :2]).max() < 150


def test_seeding_twice_gives_the_same_seeds(survey):
    first, second = (GapSeeding(cells=16, sweep=SWEEP).seed(survey.views, survey.points) for _ in range(2))

    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_too_few_points_seed_nothing(survey):
    seeds, colors = GapSeeding(cells=16).seed(survey.views, survey.points[:3])

    assert len(seeds) == len(colors) == 0

    cameras = [view.camera for view in survey.views]
    seeds, colors = Surround().seed(cameras, survey.points[:3], survey.colors[:3])

    assert len(seeds) == len(colors) == 0
