"""The last adjustment of a model: focal lengths weighed against what EXIF says of them, and clean points.

Photos that all look straight down hardly tell the focal length: a longer lens from higher up sees the
same, but for the relief. Self-calibration then takes whatever fits best, and what it fits are the lens'
remaining distortion, the rolling shutter and the like: brighton's 18 photos give 1,156 ± 311 px where EXIF
gives 924 ± 46, and heights come out 25 % too tall. Photos that look sideways too tell it far better than
EXIF: the demo flight's 1,110 px are found to 0.1 % where EXIF is 4 % off. So both are weighed by how far each
can be wrong.
"""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pycolmap

from spaceport.quality import Lens
from spaceport_sfm.mapping.cameras import camera_name, known_focal_px
from spaceport_sfm.photo import Photo

# EXIF has whole millimetres of 35-mm equivalent (2 % of 24 mm), relates them to the frame's width or to its
# diagonal (4 % apart on a 4:3 sensor), and seldom tells a crop.
PRIOR_RELATIVE_SIGMA = 0.05
# What a real camera does beyond the lens model (rolling shutter, residual distortion, a principal point off
# the middle) bends a photo as a whole, and doesn't average out over its points as noise does. Brighton fits
# better at its self-calibrated focal length than at the one EXIF tells by 0.084 px RMS: such effects are that
# large. Relative to the longer side (0.1 px of 1,600), as they scale with the picture.
COHERENT_ERROR = 0.1 / 1600
# Beyond this, a prior contradicts the photos, so one of the two is no normal error: EXIF of a lens that was
# changed, of a digital zoom, of an edited copy. The photos themselves can't be forged that way.
CONTRADICTION_SIGMAS = 3.0
# A shift of the focal length by less is below 1 cm of height in 100 m: not worth another adjustment.
NEGLIGIBLE_SHIFT = 1e-4

# Initial points of a splat: seen by three photos at least, within two pixels.
MIN_TRACK = 3
MAX_ERROR_PX = 2.0
# Rays closer to parallel leave the depth open; COLMAP's mapper has the same limit, but adjusts afterwards.
MIN_RAY_ANGLE_DEG = 1.5
# Times the photos' median distance from the middle of the scene: 3 km around a flight of 100 m. What is there
# is a cloud, the horizon or a wrong match, and its place no better than its direction.
FAR = 30.0
# Stops where a step gains less than this part of the cost: 5 steps instead of 25, at the same millimetre.
FUNCTION_TOLERANCE = 1e-8
PROBE = 0.02  # of the focal length: far enough to cost something, near enough for a parabola
# Ceres adds up in the order its threads finish, so more than one makes every run differ: three adjustments of
# brighton on two threads gave three models. One thread gives the same bytes on any number of cores.
RESIDUALS_FOR_THREADS = 2**31 - 1

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Estimate:
    """A normally distributed quantity: mean and standard deviation, which is infinite where all is open."""

    value: float
    sigma: float


def weigh(measured: Estimate, prior: Estimate | None) -> Estimate:
    """What to believe after measuring, given `prior`: the mean of both, each weighed by 1 / sigma²."""
    if prior is None:
        return measured
    if math.isinf(measured.sigma):
        return prior
    if abs(measured.value - prior.value) > CONTRADICTION_SIGMAS * math.hypot(measured.sigma, prior.sigma):
        return measured
    trust = prior.sigma**2 / (prior.sigma**2 + measured.sigma**2)
    value = prior.value + trust * (measured.value - prior.value)
    return Estimate(value, math.sqrt(trust) * measured.sigma)


def refine(model: pycolmap.Reconstruction, photos: Sequence[Photo]) -> list[Lens]:
    """Adjust `model` in place, then keep the points worth starting a splat from; what the lenses are.

    The camera with the most photos is weighed against its prior first. The others are then measured against
    that one, for they see the same scene: else two priors would pull it in two directions.
    """
    shots = _photos_by_camera_id(model, photos)
    _drop_weak_observations(model)
    by_use = sorted(shots, key=lambda camera: (-len(shots[camera]), camera))
    believed: dict[int, Estimate] = {}
    for cameras in filter(None, (by_use[:1], by_use[1:])):
        adjustment = _adjust(model, constant=believed.keys())
        measured = {camera: _measured_focal(model, camera, adjustment) for camera in cameras}
        weighed = {camera: weigh(measured[camera], _prior(shots[camera])) for camera in cameras}
        believed |= weighed
        if any(_shift(measured[camera], weighed[camera]) > NEGLIGIBLE_SHIFT for camera in cameras):
            for camera in cameras:
                _set_focal(model.cameras[camera], weighed[camera].value)
            _adjust(model, free_focals=False)
    _drop_weak_points(model)
    return [_lens(model.cameras[camera], shots[camera], believed[camera]) for camera in sorted(shots)]


def _photos_by_camera_id(model: pycolmap.Reconstruction, photos: Sequence[Photo]) -> dict[int, list[Photo]]:
    """The registered photos of each camera of `model`."""
    cameras = {image.name: image.camera_id for image in model.images.values() if image.has_pose}
    shots: dict[int, list[Photo]] = {}
    for photo in photos:
        if photo.name in cameras:
            shots.setdefault(cameras[photo.name], []).append(photo)
    return shots


def _prior(shots: Sequence[Photo]) -> Estimate | None:
    focal = known_focal_px(shots)
    return None if focal is None else Estimate(focal, PRIOR_RELATIVE_SIGMA * focal)


def _shift(measured: Estimate, believed: Estimate) -> float:
    return abs(believed.value / measured.value - 1)


def _set_focal(camera: pycolmap.Camera, focal: float) -> None:
    """Both focal lengths to a mean of `focal`; their ratio stays as the photos tell it."""
    params = np.array(camera.params)
    params[:2] *= focal / camera.mean_focal_length()
    camera.params = params


@dataclass(frozen=True)
class _Adjustment:
    """A solved bundle adjustment: the solver's problem, its sum of squared errors in px², and their number.

    Each observation has two, one a coordinate.
    """

    adjuster: pycolmap.CeresBundleAdjuster
    squares: float
    residuals: int

    @property
    def noise_px(self) -> float:
        """RMS error of one coordinate."""
        return math.sqrt(self.squares / max(1, self.residuals))


def _adjust(
    model: pycolmap.Reconstruction, constant: Collection[int] = (), free_focals: bool = True
) -> _Adjustment:
    """Adjust all poses, points and lenses at once; cameras in `constant` stay as they are."""
    options = pycolmap.BundleAdjustmentOptions()
    options.print_summary = False
    options.refine_focal_length = free_focals
    options.ceres.min_num_residuals_for_cpu_multi_threading = RESIDUALS_FOR_THREADS
    options.ceres.solver_options.function_tolerance = FUNCTION_TOLERANCE
    config = pycolmap.BundleAdjustmentConfig()
    for image_id in sorted(model.reg_image_ids()):
        config.add_image(image_id)
    for camera in constant:
        config.set_constant_cam_intrinsics(camera)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    adjuster = pycolmap.create_default_ceres_bundle_adjuster(options, config, model)
    solved = adjuster.solve().ceres_summary
    return _Adjustment(adjuster, 2 * solved.final_cost, solved.num_residuals)


def _measured_focal(model: pycolmap.Reconstruction, camera_id: int, adjustment: _Adjustment) -> Estimate:
    """What the photos say of a camera's focal length, all else being free: poses, points, distortion.

    With C, the variance of the focal length for independent errors of 1 px: n observations of noise σ leave
    C σ². A coherent error s of each, in the direction that hurts most, shifts it by up to s √(n C), since
    moving it by Δ costs a sum of squares of Δ² / C.
    """
    camera = model.cameras[camera_id]
    variance = _focal_variance(model, camera_id, adjustment)
    observations = sum(
        image.num_points3D
        for image in model.images.values()
        if image.camera_id == camera_id and image.has_pose
    )
    coherent_px = COHERENT_ERROR * max(camera.width, camera.height)
    sigma = math.sqrt(variance * (adjustment.noise_px**2 + observations * coherent_px**2))
    return Estimate(camera.mean_focal_length(), sigma)


def _focal_variance(model: pycolmap.Reconstruction, camera_id: int, adjustment: _Adjustment) -> float:
    """Variance of a focal length for independent errors of 1 px; infinite where nothing tells it.

    By the inverse of the normal equations, or, where the solver finds them singular, by what moving it costs.
    """
    camera = model.cameras[camera_id]
    covariance = pycolmap.estimate_ba_covariance(pycolmap.BACovarianceOptions(), model, adjustment.adjuster)
    block = None if covariance is None else covariance.get_other_params_cov(camera.params)
    if block is not None:
        return float(block[:2, :2].mean())  # of the mean of both focal lengths
    moved = copy.deepcopy(model)
    step = PROBE * camera.mean_focal_length()
    _set_focal(moved.cameras[camera_id], camera.mean_focal_length() + step)
    cost = _adjust(moved, free_focals=False).squares - adjustment.squares
    return step**2 / cost if cost > 0 else math.inf


def _lens(camera: pycolmap.Camera, shots: Sequence[Photo], believed: Estimate) -> Lens:
    lens = Lens(
        camera=camera_name(shots[0]),
        photos=len(shots),
        focal_px=camera.mean_focal_length(),
        focal_prior_px=known_focal_px(shots),
        focal_sigma_px=believed.sigma if math.isfinite(believed.sigma) else None,
    )
    logger.info("%s", lens)
    return lens


def _drop_weak_observations(model: pycolmap.Reconstruction) -> None:
    """Delete what would pull the adjustment astray; before it, so that it need not be repeated.

    On brighton this leaves 7,445 points at 0.319 px where a filter after the adjustment alone leaves 7,461 at
    0.325; on the demo flight it takes the cameras' error from 3.7 to 3.1 mm.
    """
    manager = pycolmap.ObservationManager(model)
    manager.filter_observations_with_negative_depth()
    manager.filter_all_points3D(MAX_ERROR_PX, MIN_RAY_ANGLE_DEG)


def _drop_weak_points(model: pycolmap.Reconstruction) -> None:
    """Delete points seen too seldom, too inaccurately, under too narrow an angle, from behind or far away."""
    manager = pycolmap.ObservationManager(model)
    manager.filter_observations_with_negative_depth()
    manager.filter_points3D_with_small_triangulation_angle(MIN_RAY_ANGLE_DEG, set(model.points3D))
    model.update_point_3d_errors()
    far = _far_points(model)
    for point_id, point in list(model.points3D.items()):
        if point.track.length() < MIN_TRACK or point.error > MAX_ERROR_PX or point_id in far:
            model.delete_point3D(point_id)


def _far_points(model: pycolmap.Reconstruction) -> set[int]:
    """Points farther from the middle of all points than `FAR` times the usual distance of photo and point."""
    if not model.num_points3D():
        return set()
    ids = list(model.points3D)
    points = np.array([model.points3D[point_id].xyz for point_id in ids])
    centres = np.array([image.projection_center() for image in model.images.values() if image.has_pose])
    middle = np.median(points, axis=0)
    reach = FAR * float(np.median(np.linalg.norm(centres - middle, axis=1)))
    with np.errstate(invalid="ignore"):
        near = np.linalg.norm(points - middle, axis=1) <= reach  # false for what is not finite, too
    return {point_id for point_id, kept in zip(ids, near, strict=True) if not kept}
