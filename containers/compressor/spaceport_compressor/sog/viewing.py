"""What the flight's pictures show of each Gaussian: how much each of its numbers matters, and from where.

A file needs to be exact only where it shows. How much a picture changes with a number is known from the
rasterizer's way back: let every pixel pull at random up or down by one, and the squared gradient by the
number is, on average, the sum of its squared effects on all pixels (Hutchinson's estimator). One such pull
for each of the flight's cameras tells it for all numbers of the model at once. Measured, random errors of
known size changed the pictures as foretold to 0.3 dB.

The harmonics of a Gaussian that was only seen from above are free in all other directions, and over the few
directions of one that is far below they hardly differ from a constant. So the palette's errors are measured
over the directions seen, and what is constant over them goes into the base colour, which is stored anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from spaceport_compressor.sog.axes import nearest_axes
from spaceport_compressor.sog.lookouts import lookouts
from spaceport_compressor.sog.pieces import pieces
from spaceport_render.camera import Camera
from spaceport_render.gaussians import Floats, Gaussians
from spaceport_render.numba_rasterizer import (
    SplatGradients,
    Splats,
    Viewpoint,
    as_kernels_take,
    differentiate,
    draw,
)

CONSTANT = 0.28209479177387814  # √(1/4π), the harmonic of degree 0
# Longer side of the pictures that tell it, pixels: a quarter of the time of 1024 for the same choices.
PICTURE = 512
# The share that directions which no photo saw have in the metric, so that nothing is left to chance there.
UNSEEN_SHARE = 0.1
# Of the harmonics' mean square: below it, what varies from photo to photo is rounding (1e-7, of either sign).
LEAST_VARYING = 1e-5


@dataclass(frozen=True)
class Sensitivity:
    """By how much the mean squared error of the flight's pictures (colours 0..1) rises with a squared error.

    Attributes:
        means: (N,) of a centre along any one axis, per m².
        quats: (N, 4) of each component of the unit quaternion, the largest one making up for it.
        log_scales: (N, 3); like `quats` of the axes that `nearest_axes` chooses.
        opacities: (N,).
        colors: (N,) of one channel of the base colour's coefficient.
    """

    means: Floats
    quats: Floats
    log_scales: Floats
    opacities: Floats
    colors: Floats


@dataclass(frozen=True)
class Viewing:
    """What the flight's pictures show.

    Attributes:
        sensitivity: None where there are no cameras to tell.
        means: (N, C) each of the C harmonics above the constant one, its mean over the directions that each
            Gaussian was seen from, by how much it shows there; zero where it does not show.
        metric: (C, C) positive definite: coefficients off by δ are as bad as a base colour whose squared
            error is δᵀ · metric · δ, when the base makes good what a constant can.
    """

    sensitivity: Sensitivity | None
    means: Floats
    metric: NDArray[np.float64]

    def select(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> Viewing:
        """What is known of the Gaussians at `chosen`: indices in the wanted order, or a mask."""
        sensitivity = self.sensitivity
        if sensitivity is not None:
            rows = {field.name: getattr(sensitivity, field.name)[chosen] for field in fields(sensitivity)}
            sensitivity = replace(sensitivity, **rows)
        return replace(self, sensitivity=sensitivity, means=self.means[chosen])


def viewing_of(gaussians: Gaussians, cameras: Sequence[Camera], seed: int = 0) -> Viewing:
    """How a flight's `cameras` see `gaussians`, and whoever flies beside them; as `viewing_from`."""
    return viewing_from(gaussians, lookouts(cameras), seed)


def viewing_from(gaussians: Gaussians, cameras: Sequence[Camera], seed: int = 0) -> Viewing:
    """How each of `cameras` sees `gaussians`; costs about three small renders a camera.

    Without cameras every direction counts alike.

    Args:
        seed: of the random pulls.
    """
    count, coefficients = len(gaussians), gaussians.sh.shape[1] - 1
    sums = np.zeros((count, coefficients), np.float32)
    if not cameras:
        return Viewing(None, sums, np.eye(coefficients))
    splats = _splats_of(gaussians)
    rng = np.random.default_rng(seed)
    found = Sensitivity(*(np.zeros((count, *shape), np.float32) for shape in ((), (4,), (3,), (), ())))
    squares = np.zeros((coefficients, coefficients))
    values = 0
    for camera in cameras:
        small = _small(camera)
        drawn, gradients = _pulled(splats, small, gaussians.sh_degree, rng)
        shows = _add_up(found, splats, gradients, drawn)
        values += 3 * small.width * small.height
        if coefficients:
            _add_directions(sums, squares, gaussians, small, drawn, shows)
    # Mean of squares less square of means: what varies from photo to photo.
    totals = found.colors.astype(np.float64)
    means = sums / np.where(found.colors > 0, found.colors, 1)[:, None]
    per_value = {field.name: getattr(found, field.name) / values for field in fields(found)}
    return Viewing(Sensitivity(**per_value), means, _metric(squares, means, totals))


def _splats_of(gaussians: Gaussians) -> Splats:
    quats, log_scales = nearest_axes(gaussians.quats, gaussians.log_scales)
    return Splats(
        means=as_kernels_take(gaussians.means),
        quats=as_kernels_take(quats),
        scales=as_kernels_take(np.exp(log_scales)),
        opacities=as_kernels_take(gaussians.opacities),
        sh_dc=as_kernels_take(gaussians.sh[:, :1]),
        sh_rest=as_kernels_take(gaussians.sh[:, 1:]),
    )


def _small(camera: Camera) -> Camera:
    share = min(1.0, PICTURE / max(camera.width, camera.height))
    return camera.resized(max(1, round(camera.width * share)), max(1, round(camera.height * share)))


def _pulled(
    splats: Splats, camera: Camera, degree: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], SplatGradients]:
    """The Gaussians drawn, by index, and the gradients under a random pull at every value of the picture."""
    viewpoint = Viewpoint.of(camera.world_to_camera, camera.intrinsics, camera.width, camera.height)
    black = np.zeros(3, np.float32)
    drawing = draw(splats, viewpoint, degree, black)
    pull = rng.integers(0, 2, drawing.image.shape, dtype=np.int8).astype(np.float32) * 2 - 1
    # The gradients by the harmonics are the base colour's times their values: not worked out for nothing.
    plain = replace(splats, sh_rest=np.zeros((len(splats.means), 0, 3), np.float32))
    gradients = differentiate(drawing, plain, viewpoint, 0, black, pull, np.zeros_like(drawing.alpha))
    return drawing.drawn, gradients


def _add_up(
    found: Sensitivity, splats: Splats, gradients: SplatGradients, drawn: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Adds the squared gradients of one picture to `found`; returns how much each of `drawn` shows."""
    # A step towards the camera moves nothing, but brings another Gaussian to the front, which no gradient
    # tells: the axes' mean for each of them is right to 1 dB, where each axis' own is 10 dB too low.
    found.means[drawn] += (gradients.means[drawn] ** 2).mean(axis=1)
    length = np.linalg.norm(splats.quats[drawn], axis=1, keepdims=True)
    unit, along = splats.quats[drawn] / length, gradients.quats[drawn] * length
    rows, largest = np.arange(len(drawn)), np.abs(unit).argmax(axis=1)
    made_up = along[rows, largest] / unit[rows, largest]
    found.quats[drawn] += (along - unit * made_up[:, None]) ** 2
    found.log_scales[drawn] += (gradients.scales[drawn] * splats.scales[drawn]) ** 2
    found.opacities[drawn] += gradients.opacities[drawn] ** 2
    shows: NDArray[np.float64] = (gradients.sh_dc[drawn, 0].astype(np.float64) ** 2).mean(axis=1)
    found.colors[drawn] += shows
    return shows


def _add_directions(  # noqa: PLR0917 - sums of several views, and the view
    sums: Floats,
    squares: NDArray[np.float64],
    gaussians: Gaussians,
    camera: Camera,
    drawn: NDArray[np.int64],
    shows: NDArray[np.float64],
) -> None:
    """Adds one camera's directions to `sums` (N, C) and `squares` (C, C), by how much they show."""
    for piece in pieces(len(drawn)):
        rows, weights = drawn[piece], shows[piece, None]
        values = _harmonics_towards(gaussians.means[rows], camera, gaussians.sh_degree)
        sums[rows] += (values * weights).astype(np.float32)
        squares += values.T @ (values * weights)


def _metric(squares: NDArray[np.float64], means: Floats, totals: NDArray[np.float64]) -> NDArray[np.float64]:
    coefficients = len(squares)
    varying = squares.copy()
    for piece in pieces(len(means)):
        varying -= means[piece].T.astype(np.float64) @ (means[piece] * totals[piece, None])
    scale = np.trace(varying) / max(coefficients, 1)
    if scale <= LEAST_VARYING * np.trace(squares) / max(coefficients, 1):  # each seen from one side only
        return np.eye(coefficients)
    return (varying + UNSEEN_SHARE * scale * np.eye(coefficients)) / (totals.sum() * CONSTANT**2)


def _harmonics_towards(points: NDArray[np.floating], camera: Camera, degree: int) -> NDArray[np.float64]:
    directions = points - camera.position
    return harmonics(directions / np.linalg.norm(directions, axis=1, keepdims=True), degree)


def harmonics(directions: NDArray[np.float64], degree: int) -> NDArray[np.float64]:
    """The real harmonics of degree 1 to `degree` in unit `directions` (N, 3), in the order of 3DGS files.

    The polynomials are those of Sloan, "Efficient Spherical Harmonic Evaluation" (JCGT 2013).
    """
    x, y, z = directions.T
    xx, yy, zz = x * x, y * y, z * z
    bands = [
        [-0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x],
        [
            1.0925484305920792 * x * y,
            -1.0925484305920792 * y * z,
            0.31539156525252005 * (2 * zz - xx - yy),
            -1.0925484305920792 * x * z,
            0.5462742152960396 * (xx - yy),
        ],
        [
            -0.5900435899266435 * y * (3 * xx - yy),
            2.890611442640554 * x * y * z,
            -0.4570457994644658 * y * (4 * zz - xx - yy),
            0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy),
            -0.4570457994644658 * x * (4 * zz - xx - yy),
            1.445305721320277 * z * (xx - yy),
            -0.5900435899266435 * x * (xx - 3 * yy),
        ],
    ]
    return np.stack([value for band in bands[:degree] for value in band], axis=1)
