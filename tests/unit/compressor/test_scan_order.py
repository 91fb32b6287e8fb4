"""The order in which a file has its Gaussians."""

import numpy as np

from spaceport_compressor.sog.images import encode_picture, lay_out
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


def test_high_bytes_take_less_than_a_byte_a_gaussian(make_gaussians):
    means = make_gaussians(30_000).means  # along a Z-order curve 1.27 bytes each, as they come 2.83
    _, (_, high) = pack_means(means[scan_order(means)])
    assert len(encode_picture(lay_out(high))) < len(means)


def test_one_place_is_no_trouble():
    assert scan_order(np.ones((5, 3), np.float32)).tolist() == [0, 1, 2, 3, 4]
