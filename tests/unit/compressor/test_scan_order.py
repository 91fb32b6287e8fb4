"""The order in which a file has its Gaussians."""

import numpy as np

from spaceport_compressor.sog.images import encode_picture, lay_out
from spaceport_compressor.sog.morton import morton_order
from spaceport_compressor.sog.pack_means import pack_means
from spaceport_compressor.sog.scan_order import scan_order


def test_each_gaussian_is_there_once(make_gaussians):
    means = make_gaussians(3000).means
    assert np.array_equal(np.sort(scan_order(means)), np.arange(3000))


def test_high_bytes_rise_along_x_then_y_then_z(make_gaussians):
    means = make_gaussians(3000).means
    _, (_, high) = pack_means(means[scan_order(means)])
    keys = high[:, :3].astype(int) @ [65_536, 256, 1]
    assert (np.diff(keys) >= 0).all()


def test_they_take_fewer_bytes_than_along_a_curve(make_gaussians):
    means = make_gaussians(30_000).means
    sizes = [
        len(encode_picture(lay_out(pack_means(means[order])[1][1])))
        for order in (scan_order(means), morton_order(means))
    ]
    assert sizes[0] < 0.75 * sizes[1]


def test_one_place_is_no_trouble():
    assert scan_order(np.ones((5, 3), np.float32)).tolist() == [0, 1, 2, 3, 4]
