"""The guarded child process: normalised photos in, a geo-registered model and its undistorted photos out.

Run as `python -m spaceport_sfm.reconstruction PLAN.json`; leaves `plan.outcome_file`, or the text of its
failure in `plan.message_file`. Nothing else imports pycolmap: a crash of it ends this process only.
"""

from __future__ import annotations

import faulthandler
import logging
import sys
from pathlib import Path

import numpy as np
import pycolmap

from spaceport.errors import UserError
from spaceport.job_program import run_program
from spaceport.progress import Progress
from spaceport.stages import SFM
from spaceport_sfm.features import create_database, extract_features, match
from spaceport_sfm.georegistration import GeoReference, georeference, located
from spaceport_sfm.guard import end_with_parent
from spaceport_sfm.mapping import MappedScene, map_scene, refine
from spaceport_sfm.pairs import plan_pairs
from spaceport_sfm.photos import MIN_PHOTOS
from spaceport_sfm.plan import ReconstructionOutcome, ReconstructionPlan
from spaceport_sfm.steps import FEATURES, MAPPING, MATCHING, UNDISTORTION
from spaceport_sfm.undistortion import undistort
from spaceport_sfm.upright import upright_frame

MIN_REGISTERED_SHARE = 0.5  # a model of less shows a corner of what was photographed: that is no success

logger = logging.getLogger("spaceport_sfm.reconstruction")  # run as __main__


def reconstruct(plan: ReconstructionPlan, progress: Progress) -> ReconstructionOutcome:
    """Features, matches, poses, place on Earth, undistorted photos.

    Raises:
        UserError: `too_few_registered`.
    """
    pycolmap.set_random_seed(plan.seed)
    database = plan.workspace / "database.db"
    _find_features(plan, database, progress)
    scene = _match_and_map(plan, database, progress)
    refine(scene.model)
    georef = _place(scene.model, plan)
    MAPPING.tell(progress, 1.0, registered=len(scene.registered), points=scene.model.num_points3D())

    UNDISTORTION.tell(progress, 0.0)
    sparse = plan.output / "sparse"
    sparse.mkdir(parents=True, exist_ok=True)
    scene.model.write(sparse)
    undistort(sparse, plan.photo_folder, plan.output / "dense")
    (sparse / "georef.json").write_text(georef.model_dump_json(indent=2) if georef else "null")
    return ReconstructionOutcome(
        registered=scene.registered,
        other_models=list(scene.other_models),
        points=scene.model.num_points3D(),
        mean_track=scene.model.compute_mean_track_length(),
        reprojection_px=scene.model.compute_mean_reprojection_error(),
        georef=georef,
    )


def _find_features(plan: ReconstructionPlan, database: Path, progress: Progress) -> None:
    count = len(plan.photos)
    FEATURES.tell(progress, 0.0, photos=count)
    create_database(database, plan.photo_folder, plan.photos)
    extract_features(
        database,
        plan.photo_folder,
        plan.photos,
        plan.max_size,
        lambda done: FEATURES.tell(progress, done / count, photos=count),
    )


def _match_and_map(plan: ReconstructionPlan, database: Path, progress: Progress) -> MappedScene:
    """Map what the chosen pairs give; once more with more pairs where photos are left over."""
    count = len(plan.photos)
    pair_plan = plan_pairs(plan.photos)
    best: MappedScene | None = None
    for attempt, pairs in enumerate(filter(None, (pair_plan.pairs, pair_plan.wider))):
        logger.info("%s matching, try %d: %d pairs", pair_plan.strategy, attempt + 1, len(pairs))

        def matched(done: int, total: int = len(pairs)) -> None:
            MATCHING.tell(progress, done / total)

        match(
            database,
            plan.workspace / f"pairs{attempt}.txt",
            pairs,
            plan.seed,
            matched,
        )
        scene = map_scene(
            database,
            plan.photo_folder,
            plan.workspace / f"models{attempt}",
            plan.seed,
            lambda registered: MAPPING.tell(progress, 0.9 * registered / count, registered=registered),
        )
        if scene and (best is None or len(scene.registered) > len(best.registered)):
            best = scene
        if best and len(best.registered) == count:
            break
    registered = len(best.registered) if best else 0
    if best is None or registered < max(MIN_PHOTOS, MIN_REGISTERED_SHARE * count):
        raise UserError(
            "too_few_registered",
            f"Only {registered} of {count} photos could be placed: the others don't show enough of the same "
            "sharp detail.",
            "Fly with more overlap (80 % ahead, 70 % to the sides), leave out blurred ones and other places.",
        )
    return best


def _place(model: pycolmap.Reconstruction, plan: ReconstructionPlan) -> GeoReference | None:
    """Take `model` into its local frame, metres east-north-up by GPS, else upright by its cameras."""
    posed = sorted((image for image in model.images.values() if image.has_pose), key=lambda image: image.name)
    centres = {image.name: np.asarray(image.projection_center()) for image in posed}
    points = np.array([point.xyz for point in model.points3D.values()]).reshape(-1, 3)
    positions = located(plan.photos)
    georef = georeference(centres, positions, points, plan.seed)
    if georef:
        similarity = georef.similarity
    else:
        logger.warning("GPS does not tell where and how large the scene is: no place, no metres")
        rotations = np.array([image.cam_from_world().rotation.matrix() for image in posed])
        similarity = upright_frame(rotations, np.array(list(centres.values())), points)
    model.transform(
        pycolmap.Sim3d(similarity.scale, pycolmap.Rotation3d(similarity.rotation), similarity.translation)
    )
    return georef


def main(plan_file: Path) -> int:
    """Do what `plan_file` says; return the exit code."""
    faulthandler.enable()  # so that a crash leaves a traceback in the job's log
    end_with_parent()
    plan = ReconstructionPlan.model_validate_json(plan_file.read_text())

    def program(progress: Progress) -> None:
        outcome = reconstruct(plan, progress)
        plan.outcome_file.write_text(outcome.model_dump_json())

    return run_program(SFM, plan.message_file, program)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
