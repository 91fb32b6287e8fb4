"""Camera poses and points from matches: the largest model that holds together, and what was left beside it.

GPS is kept out of it. Positions as priors of the adjustments (COLMAP's `use_prior_position`, robust loss)
made nothing better and mapping up to 1.7 times as long: the camera's shape error on a demo flight of 20
(GPS σ = 1.5 m) is 3.9 mm with them and 4.0 mm without, brighton's focal length 1,156 px either way. What is
millimetres by itself can only be bent by metres of noise, and one position in the ocean would do harm. GPS
chooses the pairs (`pairs_spatial`) and lays the finished model on Earth (`placement`).

`Mapper.AUTO` is incremental, for it was faster wherever both were measured, with the same camera error after
refinement. CPU-seconds, incremental against global mapping: brighton 4.6 and 7.4, the demo flight of 20
photos 12 and 33, made-up flights of 60 photos 8 and 28, of 200 photos 45 and 132.

Models that share photos are not merged: pycolmap can't. But a model can be grown (`grow_from`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pycolmap

from spaceport.archive import MIN_PHOTOS
from spaceport.tuning import Mapper
from spaceport_sfm.mapping.refinement import RESIDUALS_FOR_THREADS
from spaceport_sfm.photo import Photo

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MappedScene:
    """The largest model, and the names of the photos that fit each other but not this model.

    One tuple for each of the other models, larger first, without what it shares with the largest one.
    """

    model: pycolmap.Reconstruction
    others: tuple[tuple[str, ...], ...]

    @property
    def registered(self) -> list[str]:
        """Names of the photos that have a pose, sorted."""
        return registered_names(self.model)


def map_scene(
    database: Path,
    folder: Path,
    workspace: Path,
    *,
    photos: Sequence[Photo],
    mapper: Mapper,
    seed: int,
    progress: Callable[[int], None],
    grow_from: pycolmap.Reconstruction | None = None,
) -> MappedScene | None:
    """Map what `database` matched; None where not even `MIN_PHOTOS` photos fit together.

    Args:
        folder: the photos, for the points' colours.
        workspace: an existing folder for the mapper's own files.
        photos: those to place.
        mapper: global mapping tells no progress, ends on no signal but a kill, and can't grow a model: then
            mapping is incremental.
        progress: gets the number of registered photos of the model being grown.
        grow_from: a model of the same database to go on with: only the photos that it lacks are tried.
            There are no others then.
    """
    if mapper is Mapper.GLOBAL and grow_from is None:
        models = pycolmap.global_mapping(database, folder, workspace, _global_options(photos, seed))
    else:
        models = _map_incrementally(
            database,
            folder,
            workspace,
            _incremental_options(photos, seed),
            progress=progress,
            grow_from=grow_from,
        )
    if not models:
        return None
    # Of two models of one size the one found first: the order must not depend on a hash.
    largest, *others = (
        model for _, model in sorted(models.items(), key=lambda item: (-item[1].num_reg_images(), item[0]))
    )
    placed = set(registered_names(largest))
    apart = (tuple(name for name in registered_names(model) if name not in placed) for model in others)
    scene = MappedScene(largest, tuple(filter(None, apart)))
    for names in scene.others:
        logger.warning("another model, of %d photos, does not connect: %s", len(names), ", ".join(names))
    return scene


def registered_names(model: pycolmap.Reconstruction) -> list[str]:
    """Names of the photos that have a pose in `model`, sorted."""
    return sorted(image.name for image in model.images.values() if image.has_pose)


def _map_incrementally(
    database: Path,
    folder: Path,
    workspace: Path,
    options: pycolmap.IncrementalPipelineOptions,
    *,
    progress: Callable[[int], None],
    grow_from: pycolmap.Reconstruction | None,
) -> dict[int, pycolmap.Reconstruction]:
    count = 0
    before = workspace / "before"
    if grow_from is not None:
        count = grow_from.num_reg_images()
        before.mkdir()
        grow_from.write(before)

    def begin() -> None:
        nonlocal count
        count = 2
        progress(count)

    def grow() -> None:
        nonlocal count
        count += 1
        progress(count)

    models: dict[int, pycolmap.Reconstruction] = pycolmap.incremental_mapping(
        database,
        folder,
        workspace,
        options,
        input_path=before if grow_from is not None else "",
        initial_image_pair_callback=begin,
        next_image_callback=grow,
    )
    return models


def _incremental_options(photos: Sequence[Photo], seed: int) -> pycolmap.IncrementalPipelineOptions:
    """COLMAP's defaults with relaxed bundle adjustments: the last one, in `refinement`, is thorough.

    Against the defaults mapping takes half the CPU-seconds, with the same camera error on the demo flight
    (3.2 mm) and the same points and pixels on brighton.

    On one core: with more, about one run in a hundred grew another model from the same matches.
    """
    options = pycolmap.IncrementalPipelineOptions()
    options.random_seed = options.mapper.random_seed = seed
    options.num_threads = options.mapper.num_threads = 1
    options.image_names = [photo.name for photo in photos]
    options.ba_min_num_residuals_for_cpu_multi_threading = RESIDUALS_FOR_THREADS
    options.min_model_size = MIN_PHOTOS
    # For a photo that sees too few points, COLMAP would try poses from matches alone, an eigenproblem of
    # 64 unknowns for each of 10,000 samples: over two minutes a photo, seen with eight photos of 480 pixels.
    # It rarely helps: of 14 weak sets (every second or third photo of brighton and demo flights at 320 to 800
    # pixels) 13 stay as they are, and one, of nine photos, places five instead of three.
    options.structure_less_registration_fallback = False
    # Defaults 1.1 and 6: on a demo flight of 200 these take 9 % less than 1.4 and 6, to the same 3.1 mm.
    options.ba_global_frames_ratio = options.ba_global_points_ratio = 1.7
    options.mapper.ba_local_num_images = 4
    options.ba_global_max_refinements = 2
    options.ba_local_max_refinements = 1
    options.ba_global_function_tolerance = 1e-6
    options.ba_local_function_tolerance = 1e-4  # 1e-5: 10 % slower, not a millimetre better
    # The superlinear part: where the photos show more points than their poses need, leave some out.
    options.mapper.ba_global_ignore_redundant_points3D = True
    return options


def _global_options(photos: Sequence[Photo], seed: int) -> pycolmap.GlobalPipelineOptions:
    """COLMAP's defaults (GLOMAP), on one core: with more, two runs on brighton gave two models.

    Source: Pan, Baráth, Pollefeys, Schönberger, "Global Structure-from-Motion Revisited", ECCV 2024.
    """
    options = pycolmap.GlobalPipelineOptions()
    options.image_names = [photo.name for photo in photos]
    options.min_model_size = MIN_PHOTOS
    mapper = options.mapper
    for seeded in (options, mapper, mapper.rotation_averaging, mapper.global_positioning):
        seeded.random_seed = seed
    options.num_threads = mapper.num_threads = 1
    mapper.bundle_adjustment.ceres.solver_options.num_threads = 1
    mapper.global_positioning.use_gpu = False
    mapper.bundle_adjustment.ceres.use_gpu = False
    return options
