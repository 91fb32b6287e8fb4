"""How far camera poses are from the true ones, as `bench/sfm.py` tells it: pure measures on arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spaceport_sfm.placement.similarity import umeyama

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PoseErrors:
    """The errors of a reconstruction of N cameras in a metric local frame.

    Attributes:
        shape_m: root mean square distance of the centres after the similarity that fits them best.
        rotation_deg: root mean square angle between the cameras and the true ones after the turn of that same
            similarity, fitted to centres alone; `worst_rotation_deg`: the largest.
        tilt_deg: the turn of that similarity: how far the frame's axes are from east, north, up.
        scale: its scale less 1: how much too small the delivered metres are.
        absolute_m: root mean square distance of the centres as delivered.
    """

    shape_m: float
    rotation_deg: float
    worst_rotation_deg: float
    tilt_deg: float
    scale: float
    absolute_m: float


def pose_errors(
    centres: Floats, rotations: Floats, true_centres: Floats, true_rotations: Floats
) -> PoseErrors:
    """Compare poses with the true ones, camera by camera in the same order.

    Args:
        centres, true_centres: (N, 3) metres east, north, up of one origin.
        rotations, true_rotations: (N, 3, 3) world to camera, x right, y down, z forward.
    """
    fit = umeyama(centres, true_centres)
    turned = angles_deg(rotations @ fit.rotation.T, true_rotations)
    return PoseErrors(
        shape_m=_rms_length(fit.apply(centres) - true_centres),
        rotation_deg=float(np.sqrt((turned**2).mean())),
        worst_rotation_deg=float(turned.max()),
        tilt_deg=float(angles_deg(fit.rotation[None], np.eye(3)[None])[0]),
        scale=fit.scale - 1.0,
        absolute_m=_rms_length(centres - true_centres),
    )


def angles_deg(first: Floats, second: Floats) -> Floats:
    """The angle of the rotation between each of `first` and `second`, both (N, 3, 3); (N,) degrees."""
    # ‖A − B‖ = 2√2 sin(angle / 2), because the cosine says nothing of small angles.
    distance = np.linalg.norm(first - second, axis=(1, 2))
    angles: Floats = np.degrees(2 * np.arcsin(np.clip(distance / (2 * math.sqrt(2)), 0, 1)))
    return angles


def expected_absolute_m(sigma: float, cameras: int) -> float:
    """What GPS noise alone leaves of error: root mean square over the cameras, metres.

    A least-squares fit of 7 parameters to 3N numbers of noise `sigma` (metres, each axis) moves the fitted
    ones by 7 sigma² in sum of squares.
    """
    return sigma * math.sqrt(7 / cameras)


def _rms_length(offsets: Floats) -> float:
    return float(np.sqrt((offsets**2).sum(axis=1).mean()))
