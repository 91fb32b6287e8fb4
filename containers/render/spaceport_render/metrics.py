"""How near a render is to the photo. All images are (H, W, 3) floats in 0..1."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

Image = NDArray[np.floating]

# Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity".
_WINDOW_RADIUS = 5
_WINDOW_SIGMA = 1.5
_C1 = 0.01**2
_C2 = 0.03**2


def psnr(render: Image, photo: Image) -> float:
    """Peak signal-to-noise ratio, dB; infinite for equal images."""
    _require_same_shape(render, photo)
    squared = np.mean((np.asarray(render, np.float64) - photo) ** 2)
    return math.inf if squared == 0 else -10 * math.log10(squared)


def ssim(render: Image, photo: Image) -> float:
    """Structural similarity, mean over pixels and channels; 1 for equal images.

    The standard 11 × 11 Gaussian window with σ = 1.5, without sample correction, over the windows that
    lie inside the image: what torchmetrics, and so gsplat's evaluation, gives.

    Raises:
        ValueError: when the images differ in shape or are smaller than the window.
    """
    _require_same_shape(render, photo)
    if min(render.shape[:2]) <= 2 * _WINDOW_RADIUS:
        raise ValueError(f"SSIM needs images of 11 × 11 pixels or more, not {render.shape}")
    a, b = np.asarray(render, np.float64), np.asarray(photo, np.float64)
    mean_a, mean_b = _blurred(a), _blurred(b)
    var_a = _blurred(a * a) - mean_a**2
    var_b = _blurred(b * b) - mean_b**2
    covariance = _blurred(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    structure = (2 * covariance + _C2) / (var_a + var_b + _C2)
    return float(np.mean(luminance * structure))


def detail(render: Image, photo: Image) -> float:
    """Mean gradient magnitude of the render over that of the photo: below 1 is blurred, above is noisy.

    PSNR and SSIM forgive blur where a model is unsure; this does not.
    """
    _require_same_shape(render, photo)
    # A photo of one colour has no detail to compare with; one 8-bit step in a megapixel is above this.
    return _mean_gradient(render) / max(_mean_gradient(photo), 1e-9)


def _mean_gradient(image: Image) -> float:
    grey = np.asarray(image, np.float64).mean(axis=2)
    across = np.diff(grey, axis=1)[:-1]
    down = np.diff(grey, axis=0)[:, :-1]
    return float(np.mean(np.hypot(across, down)))


def _blurred(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """`image` under the window, at the pixels whose window lies inside."""
    offsets = np.arange(-_WINDOW_RADIUS, _WINDOW_RADIUS + 1)
    window = np.exp(-0.5 * (offsets / _WINDOW_SIGMA) ** 2)
    window /= window.sum()
    inside = slice(_WINDOW_RADIUS, -_WINDOW_RADIUS)
    return correlate1d(correlate1d(image, window, axis=0), window, axis=1)[inside, inside]


def _require_same_shape(render: Image, photo: Image) -> None:
    if render.shape != photo.shape or render.ndim != 3:
        raise ValueError(f"render and photo must be (H, W, 3) alike, not {render.shape} and {photo.shape}")
