"""Another way to tell the same Gaussians: nothing seen may change."""

import numpy as np
from scipy.spatial.transform import Rotation

from spaceport_compressor.sog.axes import nearest_axes


def covariances(quats, log_scales):
    turn = Rotation.from_quat(quats, scalar_first=True).as_matrix()
    return np.einsum("nij,nj,nkj->nik", turn, np.exp(2 * log_scales.astype(float)), turn)


def test_the_gaussians_stay_the_same(make_gaussians):
    model = make_gaussians(2000)
    quats, log_scales = nearest_axes(model.quats, model.log_scales)
    before = covariances(model.quats, model.log_scales)
    assert np.allclose(covariances(quats, log_scales), before, rtol=1e-4, atol=1e-5 * before.max())


def test_no_rotation_is_left_that_a_cube_could_do_without(make_gaussians):
    model = make_gaussians(2000)
    quats, _ = nearest_axes(model.quats, model.log_scales)
    # No orientation is farther than 62.8° from a cube's (Mackenzie 1958)
    assert np.degrees(2 * np.arccos(np.abs(quats[:, 0]).min())) < 62.9


def test_a_quarter_turn_becomes_an_exchange_of_sizes():
    quarter_about_z = Rotation.from_euler("z", 90, degrees=True).as_quat(scalar_first=True)
    quats, log_scales = nearest_axes(np.float32([quarter_about_z]), np.float32([[1, 2, 3]]))
    assert np.allclose(np.abs(quats[0]), [1, 0, 0, 0], atol=1e-6)
    assert log_scales.tolist() == [[2, 1, 3]]
