"""Camera poses and points: incremental mapping, the largest model, a last bundle adjustment, clean points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap

from spaceport_sfm.photos import MIN_PHOTOS

# Initial points of a splat: seen by three photos at least, within two pixels.
MIN_TRACK = 3
MAX_ERROR_PX = 2.0
# Ceres adds up in the order its threads finish, so larger problems than this (it has a default of 50,000
# residuals) would differ from run to run. Mapping is single-core in any case.
RESIDUALS_FOR_THREADS = 2**31 - 1


@dataclass(frozen=True)
class MappedScene:
    """The largest model, and how many photos each of the other, disjoint models holds."""

    model: pycolmap.Reconstruction
    other_models: tuple[int, ...]

    @property
    def registered(self) -> list[str]:
        """Names of the photos that have a pose, sorted."""
        return sorted(image.name for image in self.model.images.values() if image.has_pose)


def map_scene(
    database: Path, folder: Path, workspace: Path, seed: int, progress: Callable[[int], None]
) -> MappedScene | None:
    """Incremental mapping of what `database` matched; None where not even two photos fit together.

    Args:
        folder: the photos, for the points' colours.
        workspace: a folder for the mapper's own files.
        progress: gets the number of registered photos of the model being grown.
    """
    workspace.mkdir(parents=True, exist_ok=True)
    count = 0

    def begin() -> None:
        nonlocal count
        count = 2
        progress(count)

    def grow() -> None:
        nonlocal count
        count += 1
        progress(count)

    models = pycolmap.incremental_mapping(
        database,
        folder,
        workspace,
        _options(seed),
        initial_image_pair_callback=begin,
        next_image_callback=grow,
    )
    if not models:
        return None
    # Of two models of one size the one found first: the order must not depend on a hash.
    by_size = sorted(models.items(), key=lambda item: (-item[1].num_reg_images(), item[0]))
    sizes = [model.num_reg_images() for _, model in by_size]
    return MappedScene(by_size[0][1], tuple(sizes[1:]))


def refine(model: pycolmap.Reconstruction) -> None:
    """A last global bundle adjustment in place, then only the points worth starting a splat from."""
    options = pycolmap.BundleAdjustmentOptions()
    options.print_summary = False
    options.ceres.min_num_residuals_for_cpu_multi_threading = RESIDUALS_FOR_THREADS
    pycolmap.bundle_adjustment(model, options)
    model.update_point_3d_errors()
    weak = [
        point_id
        for point_id, point in model.points3D.items()
        if point.track.length() < MIN_TRACK or point.error > MAX_ERROR_PX or not np.isfinite(point.xyz).all()
    ]
    for point_id in weak:
        model.delete_point3D(point_id)


def _options(seed: int) -> pycolmap.IncrementalPipelineOptions:
    """COLMAP's defaults with a relaxed bundle adjustment: half the time, the same accuracy (measured)."""
    options = pycolmap.IncrementalPipelineOptions()
    options.random_seed = seed
    options.ba_min_num_residuals_for_cpu_multi_threading = RESIDUALS_FOR_THREADS
    options.min_model_size = MIN_PHOTOS
    options.ba_global_frames_ratio = options.ba_global_points_ratio = 1.4  # default 1.1: adjusts too often
    options.ba_global_max_refinements = 2
    options.ba_local_max_refinements = 1
    options.ba_global_function_tolerance = 1e-6
    options.ba_local_function_tolerance = 1e-5
    return options
