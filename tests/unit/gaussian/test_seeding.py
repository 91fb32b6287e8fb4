import numpy as np

from spaceport_gaussian.seeding.gaps import GapSeeding, project
from spaceport_gaussian.seeding.plane_sweep import PlaneSweep

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
    seeding = GapSeeding(cells=16, margin=0.2, sweep=SWEEP)
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
    # and the survey is surrounded
    shown = np.abs(seeds[:, 0]).max()
    assert shown > 4 + 48 / 80 * 20


def test_seeding_twice_gives_the_same_seeds(survey):
    first, second = (GapSeeding(cells=16, sweep=SWEEP).seed(survey.views, survey.points) for _ in range(2))

    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_too_few_points_seed_nothing(survey):
    seeds, colors = GapSeeding(cells=16).seed(survey.views, survey.points[:3])

    assert len(seeds) == len(colors) == 0
