import numpy as np

from spaceport_compressor.sog.morton import morton_order


def test_every_point_comes_once():
    points = np.random.default_rng(0).normal(size=(1000, 3))
    assert sorted(morton_order(points)) == list(range(1000))


def test_the_eight_corners_follow_the_z_curve():
    # Given the corners of a cube, x fastest
    corners = np.array([(x, y, z) for z in (0, 1) for y in (0, 1) for x in (0, 1)], dtype=np.float32)
    # When they are shuffled and ordered
    shuffled = np.random.default_rng(1).permutation(8)
    order = morton_order(corners[shuffled])
    # Then they come back x first, then y, then z
    assert corners[shuffled][order].tolist() == corners.tolist()


def test_neighbours_in_the_order_are_neighbours_in_space():
    points = np.random.default_rng(2).uniform(size=(4000, 3))
    step = np.linalg.norm(np.diff(points[morton_order(points)], axis=0), axis=1).mean()
    shuffled_step = np.linalg.norm(np.diff(points, axis=0), axis=1).mean()
    assert step < shuffled_step / 5


def test_points_in_one_place_keep_their_order():
    assert morton_order(np.full((5, 3), 7.0)).tolist() == [0, 1, 2, 3, 4]
