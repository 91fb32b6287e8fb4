"""Similarities between two frames: closed-form fits, refinement by least squares, and their error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

UP = np.array([0.0, 0.0, 1.0])
MAX_STEPS = 50  # Gauss-Newton needs 3-6 from a good start and 20 from one that is 120° off
SMALL_STEP = 1e-12  # of the angle and the logarithm of the scale: float64 tells no less


@dataclass(frozen=True)
class Similarity:
    """x ↦ scale · rotation · x + translation; rotation (3, 3), translation (3,), both float64."""

    scale: float
    rotation: Floats
    translation: Floats

    def apply(self, points: Floats) -> Floats:
        """`points` (N, 3), mapped."""
        return self.scale * points @ self.rotation.T + self.translation

    def moved(self, offset: Floats) -> Similarity:
        """This one, followed by a shift of `offset` (3,)."""
        return Similarity(self.scale, self.rotation, self.translation + offset)


@dataclass(frozen=True)
class Gravity:
    """Where up is in the source frame, as a unit vector (3,), and how well that is known, radians."""

    up: Floats
    sigma: float


@dataclass(frozen=True)
class Uncertainty:
    """Standard deviations of a fitted similarity; infinite where the measurements say nothing.

    Attributes:
        scale: relative.
        tilt: of the direction of up, the larger of two axes, radians.
        heading: about the vertical, radians.
    """

    scale: float
    tilt: float
    heading: float


def umeyama(source: Floats, target: Floats) -> Similarity:
    """The similarity that takes `source` to `target`, both (N, 3), with the least squared error.

    Positions all at one altitude are fine: the reflection that a plane leaves open is ruled out.
    Source: Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    IEEE PAMI 13(4), 1991, equations 34-43.
    """
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    centred = source - source_mean
    covariance = (target - target_mean).T @ centred / len(source)
    u, singular, vt = np.linalg.svd(covariance)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt)) or 1.0])
    rotation = u @ np.diag(signs) @ vt
    variance = (centred**2).sum(axis=1).mean()
    scale = float((singular * signs).sum() / variance) if variance > 0 else 1.0
    return Similarity(scale, rotation, target_mean - scale * rotation @ source_mean)


def from_two_and_up(source: Floats, target: Floats, up: Floats) -> Similarity | None:
    """The similarity that two positions, both (2, 3), and `up` (3,) in the source frame make; None if none.

    The line between the positions is kept exactly, `up` as nearly as that allows.
    Source: the TRIAD method, Black, "A passive system for determining the attitude of a satellite", 1964.
    """
    along_source, along_target = source[1] - source[0], target[1] - target[0]
    frames = [_frame(along_source, up), _frame(along_target, UP)]
    if frames[0] is None or frames[1] is None:
        return None
    rotation = frames[1] @ frames[0].T
    scale = float(np.linalg.norm(along_target) / np.linalg.norm(along_source))
    return Similarity(scale, rotation, target.mean(axis=0) - scale * rotation @ source.mean(axis=0))


def _frame(along: Floats, up: Floats) -> Floats | None:
    """Columns: unit vectors along, across and the remaining one; None where they aren't two directions."""
    across = np.cross(up, along)
    length, width = np.linalg.norm(along), np.linalg.norm(across)
    if width <= 1e-3 * length or length == 0:  # a climb within 0.06° of the vertical has no heading
        return None
    first, second = along / length, across / width
    return np.stack([first, second, np.cross(first, second)], axis=1)


def refine(
    start: Similarity, source: Floats, target: Floats, sigmas: Floats, gravity: Gravity | None
) -> Similarity:
    """`start` adjusted to the weighted least squares of all that was measured (Gauss-Newton).

    Args:
        source, target: (N, 3).
        sigmas: (N, 3) standard deviations of the targets' coordinates; infinite leaves one out.
        gravity: joins as a measurement of its own: it fixes the roll that a single line leaves open.
    """
    fit = start
    for _ in range(MAX_STEPS):
        residuals, jacobian = _system(fit, source, target, sigmas, gravity)
        step = np.linalg.lstsq(jacobian, -residuals, rcond=None)[0]
        turn = Rotation.from_rotvec(step[:3]).as_matrix()
        scale = fit.scale * float(np.exp(np.clip(step[3], -1.0, 1.0)))
        middle = source.mean(axis=0)
        place = fit.apply(middle[None])[0] + step[4:]
        rotation = turn @ fit.rotation
        fit = Similarity(scale, rotation, place - scale * rotation @ middle)
        if np.abs(step[:4]).max() < SMALL_STEP:
            break
    u, _, vt = np.linalg.svd(fit.rotation)  # rounding of many products
    return Similarity(fit.scale, u @ vt, fit.translation)


def uncertainty(fit: Similarity, source: Floats, sigmas: Floats, gravity: Gravity | None) -> Uncertainty:
    """How well measurements of these `sigmas` fix `fit`, from the curvature of their least squares."""
    _, jacobian = _system(fit, source, fit.apply(source), sigmas, gravity)
    # Unknowns are angles and a logarithm on one side, metres on the other: comparable once scaled.
    size = np.linalg.norm(jacobian, axis=0)
    size[size == 0] = 1.0
    values, vectors = np.linalg.eigh((jacobian / size).T @ (jacobian / size))
    open_directions = values < 1e-10  # float64 rounds at 1e-16, coordinates at 1e-12 of their size
    covariance = (vectors / np.where(open_directions, 1.0, values)) @ vectors.T / np.outer(size, size)
    touched = (np.abs(vectors[:, open_directions]) > 1e-4).any(axis=1)
    deviations = np.where(touched, np.inf, np.sqrt(np.maximum(np.diag(covariance), 0.0)))
    return Uncertainty(
        scale=float(deviations[3]), tilt=float(deviations[:2].max()), heading=float(deviations[2])
    )


def _system(
    fit: Similarity, source: Floats, target: Floats, sigmas: Floats, gravity: Gravity | None
) -> tuple[Floats, Floats]:
    """Weighted residuals (M,) and their derivatives (M, 7) by turn (3), log scale and shift (3).

    Turn and scale are about the middle of the source, which keeps them nearly independent of the shift.
    """
    arms = fit.scale * (source - source.mean(axis=0)) @ fit.rotation.T
    weights = 1.0 / sigmas
    residuals = (fit.apply(source) - target) * weights
    jacobian = np.zeros((len(source), 3, 7))
    jacobian[:, :, :3] = -_cross_matrices(arms)
    jacobian[:, :, 3] = arms
    jacobian[:, :, 4:] = np.eye(3)
    jacobian *= weights[:, :, None]
    rows, values = jacobian.reshape(-1, 7), residuals.reshape(-1)
    if gravity is None:
        return values, rows
    up = fit.rotation @ gravity.up
    turned = np.zeros((3, 7))
    turned[:, :3] = -_cross_matrices(up[None])[0]
    return (
        np.concatenate([values, (up - UP) / gravity.sigma]),
        np.concatenate([rows, turned / gravity.sigma]),
    )


def _cross_matrices(vectors: Floats) -> Floats:
    """(N, 3, 3) matrices that multiply as the cross product with `vectors` (N, 3) does."""
    x, y, z = vectors.T
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
