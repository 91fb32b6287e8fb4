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

# ruff: noqa: PLR0917 - a kernel takes its arrays one by one

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from spaceport_compressor.sog.axes import nearest_axes
from spaceport_compressor.sog.lookouts import lookouts
from spaceport_compressor.sog.pieces import pieces
from spaceport_render.camera import Camera
from spaceport_render.gaussians import Floats, Gaussians
from spaceport_render.kernel import kernel
from spaceport_render.numba_rasterizer import (
    SplatGradients,
    Splats,
    Viewpoint,
    as_kernels_take,
    differentiate,
    draw,
)
from spaceport_render.spherical_harmonics import harmonics_towards
from spaceport_render.threads import run_over

F = np.float32

CONSTANT = 0.28209479177387814  # √(1/4π), the harmonic of degree 0
# Longer side of the pictures that tell it, pixels: a quarter of the time of 1024 for the same choices.
PICTURE = 512
# A picture is gone through in one piece for so many Gaussians: what lies between them and the gradients takes
# 0.3 GB for each million that it shows.
AT_ONCE = 1_000_000
# The share that directions which no photo saw have in the metric, so that nothing is left to chance there.
UNSEEN_SHARE = 0.1
# Of the harmonics' mean square: below it, what varies from photo to photo is rounding (1e-7, of either sign).
LEAST_VARYING = 1e-5
BLOCK = 4096  # rows whose products are added up by one core


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
    quats, log_scales = nearest_axes(gaussians.quats, gaussians.log_scales)
    splats = Splats.of(replace(gaussians, quats=quats, log_scales=log_scales))
    rng = np.random.default_rng(seed)
    found = Sensitivity(*(np.zeros((count, *shape), np.float32) for shape in ((), (4,), (3,), (), ())))
    squares = np.zeros((coefficients, coefficients))
    values = 0
    for small in chain.from_iterable(_bands(_small(camera), count) for camera in cameras):
        drawn, gradients = _pulled(splats, small, gaussians, rng)
        shows = _add_up(found, splats, gradients, drawn)
        del gradients  # half as much memory as the model's harmonics
        values += 3 * small.width * small.height
        if coefficients:
            squares += _add_directions(sums, splats, small, drawn, shows)
    totals = found.colors.astype(np.float64)
    per_value = {field.name: getattr(found, field.name) / np.float32(values) for field in fields(found)}
    # In place: a model of 3M Gaussians has 0.2 GB of them.
    sums /= np.where(totals > 0, totals, 1).astype(np.float32)[:, None]
    return Viewing(Sensitivity(**per_value), sums, _metric(squares, sums, totals))


def _small(camera: Camera) -> Camera:
    share = min(1.0, PICTURE / max(camera.width, camera.height))
    return camera.resized(max(1, round(camera.width * share)), max(1, round(camera.height * share)))


def _bands(camera: Camera, count: int) -> list[Camera]:
    """`camera`'s picture cut across, into as many as a model of `count` Gaussians asks for.

    The squares of the pulls in one band and in another add up as those of all pixels do.
    """
    bands = max(1, min(camera.height, -(-count // AT_ONCE)))
    edges = [camera.height * band // bands for band in range(bands + 1)]
    return [replace(camera, height=end - first, cy=camera.cy - first) for first, end in pairwise(edges)]


def _pulled(
    splats: Splats, camera: Camera, model: Gaussians, rng: np.random.Generator
) -> tuple[NDArray[np.int64], SplatGradients]:
    """The Gaussians drawn, by index, and the gradients under a random pull at every value of the picture.

    Args:
        splats: of `model`, with their axes told as the file tells them.
    """
    viewpoint = Viewpoint.of(camera.world_to_camera, camera.intrinsics, camera.width, camera.height)
    black = np.zeros(3, np.float32)
    drawing = draw(splats, viewpoint, model.sh_degree, black, antialiased=model.antialiased)
    pull = rng.integers(0, 2, drawing.image.shape, dtype=np.int8).astype(np.float32) * 2 - 1
    # The gradients by the harmonics are the base colour's times their values: not worked out for nothing.
    plain = replace(splats, sh_rest=np.zeros((len(splats.means), 0, 3), np.float32))
    by_alpha, mode = np.zeros_like(drawing.alpha), model.antialiased
    gradients = differentiate(drawing, plain, viewpoint, 0, black, pull, by_alpha, antialiased=mode)
    return drawing.drawn, gradients


def _add_up(
    found: Sensitivity, splats: Splats, gradients: SplatGradients, drawn: NDArray[np.int64]
) -> Floats:
    """Adds the squared gradients of one picture to `found`; returns how much each of `drawn` shows, (V,)."""
    shows = np.empty(len(drawn), np.float32)
    run_over(
        len(drawn),
        _add_squares,
        drawn,
        splats.quats,
        splats.scales,
        gradients.means,
        gradients.quats,
        gradients.scales,
        gradients.opacities,
        gradients.sh_dc,
        found.means,
        found.quats,
        found.log_scales,
        found.opacities,
        found.colors,
        shows,
    )
    return shows


@kernel()
def _add_squares(
    first, end, drawn, quats, scales, by_means, by_quats, by_scales, by_opacities, by_colors,
    to_means, to_quats, to_log_scales, to_opacities, to_colors, shows,
):  # fmt: skip
    """`_add_up` for `drawn` from `first` to `end`."""
    for n in range(first, end):
        i = drawn[n]
        # A step towards the camera moves nothing, but brings another Gaussian to the front, which no gradient
        # tells: the axes' mean for each of them is right to 1 dB, where each axis' own is 10 dB too low.
        to_means[i] += (by_means[i, 0] ** 2 + by_means[i, 1] ** 2 + by_means[i, 2] ** 2) / F(3)
        square, largest = F(0), 0
        for k in range(4):
            square += quats[i, k] ** 2
            if abs(quats[i, k]) > abs(quats[i, largest]):
                largest = k
        # By the unit quaternion's components the gradient is that by the given one's, times its length.
        made_up = by_quats[i, largest] / quats[i, largest]
        for k in range(4):
            to_quats[i, k] += (by_quats[i, k] - quats[i, k] * made_up) ** 2 * square
        for k in range(3):
            to_log_scales[i, k] += (by_scales[i, k] * scales[i, k]) ** 2
        to_opacities[i] += by_opacities[i] ** 2
        shows[n] = (by_colors[i, 0, 0] ** 2 + by_colors[i, 0, 1] ** 2 + by_colors[i, 0, 2] ** 2) / F(3)
        to_colors[i] += shows[n]


def _add_directions(
    sums: Floats, splats: Splats, camera: Camera, drawn: NDArray[np.int64], shows: Floats
) -> NDArray[np.float64]:
    """Adds the harmonics in the directions from one camera to `sums` (N, C), by how much they show.

    Returns their products with one another, (C, C), added up in the same way.
    """
    coefficients = sums.shape[1]
    degree = math.isqrt(coefficients + 1) - 1
    squares = np.zeros((coefficients, coefficients))
    position = as_kernels_take(camera.position)
    for piece in pieces(len(drawn)):
        rows = drawn[piece]
        values = np.empty((len(rows), coefficients), np.float32)
        run_over(len(rows), harmonics_towards, rows, splats.means, position, degree, values)
        # Blocks, as floating-point sums depend on how they are cut, and the cores cut as many are there.
        parts = np.zeros((-(-len(rows) // BLOCK), *squares.shape))
        run_over(len(parts), _add_products, rows, values, shows[piece], sums, parts)
        squares += parts.sum(axis=0)
    return squares


@kernel()
def _add_products(first, end, rows, values, shows, sums, parts):
    """Blocks `first` to `end` of BLOCK `rows` each, whose products go into their own one of `parts`."""
    coefficients = values.shape[1]
    for block in range(first, end):
        part = parts[block]
        for n in range(block * BLOCK, min((block + 1) * BLOCK, len(rows))):
            for k in range(coefficients):
                shown = shows[n] * values[n, k]
                sums[rows[n], k] += shown
                for other in range(coefficients):
                    part[k, other] += shown * values[n, other]


def _metric(squares: NDArray[np.float64], means: Floats, totals: NDArray[np.float64]) -> NDArray[np.float64]:
    coefficients = len(squares)
    varying = squares.copy()
    for piece in pieces(len(means)):
        varying -= means[piece].T.astype(np.float64) @ (means[piece] * totals[piece, None])
    scale = np.trace(varying) / max(coefficients, 1)
    if scale <= LEAST_VARYING * np.trace(squares) / max(coefficients, 1):  # each seen from one side only
        return np.eye(coefficients)
    return (varying + UNSEEN_SHARE * scale * np.eye(coefficients)) / (totals.sum() * CONSTANT**2)


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
