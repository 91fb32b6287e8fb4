import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from spaceport_render.metrics import detail, psnr, ssim


@pytest.fixture
def photo() -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=(60, 80, 3))
    smooth = gaussian_filter(noise, (2, 2, 0))
    return (smooth - smooth.min()) / np.ptp(smooth)


def test_psnr_of_a_known_error(photo):
    assert psnr(photo + 0.1, photo) == pytest.approx(20)
    assert psnr(photo, photo) == math.inf


def test_ssim_is_the_definition_written_out_at_one_window(photo):
    # One 11 × 11 image has exactly one window: Wang et al. (2004), equation 13, by hand.
    a, b = photo[:11, :11], photo[20:31, 30:41]
    line = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    weights = np.outer(line, line)[..., None] / line.sum() ** 2
    mean_a, mean_b = (weights * a).sum((0, 1)), (weights * b).sum((0, 1))
    var_a = (weights * (a - mean_a) ** 2).sum((0, 1))
    var_b = (weights * (b - mean_b) ** 2).sum((0, 1))
    covariance = (weights * (a - mean_a) * (b - mean_b)).sum((0, 1))
    expected = ((2 * mean_a * mean_b + 1e-4) * (2 * covariance + 9e-4)) / (
        (mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4)
    )
    assert ssim(a, b) == pytest.approx(expected.mean(), rel=1e-9)
    assert ssim(photo, photo) == pytest.approx(1)


def test_detail_tells_blur_from_noise_where_psnr_cannot(photo):
    blurred = gaussian_filter(photo, (3, 3, 0))
    noisy = photo + np.random.default_rng(1).normal(scale=0.1, size=photo.shape)
    assert detail(photo, photo) == pytest.approx(1)
    assert detail(blurred, photo) < 0.7
    assert detail(noisy, photo) > 1.3
    assert math.isfinite(detail(photo, np.full_like(photo, 0.5)))


def test_images_that_do_not_fit_are_refused(photo):
    with pytest.raises(ValueError, match="alike"):
        psnr(photo, photo[:-1])
    with pytest.raises(ValueError, match="11 × 11"):
        ssim(photo[:10], photo[:10])
