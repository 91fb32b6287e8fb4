"""The guarded child process: photos as given in, a geo-registered model and its undistorted photos out.

Run as `python -m spaceport_sfm.reconstruction PLAN.json`; leaves `plan.outcome_file`, or the text of its
failure in `plan.message_file`. Nothing else decodes photos or imports pycolmap: a crash ends this process
only.
"""

from __future__ import annotations

import faulthandler
import fcntl
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import NoneType
from typing import TypeVar

import pycolmap
from pydantic import BaseModel, ConfigDict

from spaceport.archive import MIN_PHOTOS
from spaceport.job_program import run_program
from spaceport.progress import Progress
from spaceport.quality import Advice, Lens
from spaceport.stages import SFM
from spaceport_render.seed_file import SEED_FILE
from spaceport_render.threads import available_cores
from spaceport_sfm.advice.capture_advice import Flight, capture_advice
from spaceport_sfm.advice.coverage import Coverage, coverage
from spaceport_sfm.advice.unplaced import too_few_registered
from spaceport_sfm.disk import full_disk_told
from spaceport_sfm.guard import end_with_parent, out_of_memory
from spaceport_sfm.intake.photo_intake import Intake, require_enough, take_in
from spaceport_sfm.mapping.cameras import enter_focal_priors
from spaceport_sfm.mapping.features import create_database, extract_features
from spaceport_sfm.mapping.mapper import map_scene
from spaceport_sfm.mapping.matching import match, matched_features
from spaceport_sfm.mapping.refinement import refine
from spaceport_sfm.pace import Pace
from spaceport_sfm.pairing.pair import Pair
from spaceport_sfm.pairing.pairs import more_pairs, plan_pairs
from spaceport_sfm.phases import Ledger, Phase, fresh
from spaceport_sfm.photo import Photo
from spaceport_sfm.placement.gcp_list import GroundControl, read_gcp_list
from spaceport_sfm.placement.placing import Placement, place
from spaceport_sfm.placement.scene_files import write_scene
from spaceport_sfm.plan import ReconstructionOutcome, ReconstructionPlan
from spaceport_sfm.seeding.dense_seeds import write_seeds
from spaceport_sfm.steps import FEATURES, PLACEMENT, SEEDS, StepProgress, step_of
from spaceport_sfm.undistortion import undistort
from spaceport_sfm.workload import (
    Workload,
    expected_efforts,
    expected_efforts_after_matching,
    expected_efforts_of_more,
)

MIN_REGISTERED_SHARE = 0.5  # a model of less shows a corner of what was photographed: that is no success
# Fewer hold no camera in its place. Photos from one spot make such models: they fit, but without depth.
MIN_POINTS_PER_PHOTO = 10

Result = TypeVar("Result")

logger = logging.getLogger("spaceport_sfm.reconstruction")  # run as __main__


class Mapped(BaseModel):
    """What mapping found.

    Attributes:
        model: name of the folder that holds the model; empty where not even two photos fit together.
        registered: names of the photos that have a pose, sorted.
        others: names of the photos of each model that could not be joined with this one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = ""
    registered: list[str] = []
    others: list[list[str]] = []


class Refined(BaseModel):
    """What the last adjustment found out about each camera, and how many points it kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    points: int
    lenses: list[Lens]


class Placed(BaseModel):
    """Measures of the model in its final frame, and how it came there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    points: int
    mean_track: float
    reprojection_px: float
    placement: Placement
    coverage: Coverage


def reconstruct(plan: ReconstructionPlan, pace: Pace) -> ReconstructionOutcome:
    """Photos, features, matches, poses, place on Earth, undistorted photos.

    Raises:
        UserError: for photos or ground control that can't be used, and `too_few_registered`.
    """
    run = ReconstructionRun(plan, pace)
    intake = run.take_in()
    require_enough(intake)
    photos = intake.photos
    control = read_gcp_list(intake.ground_control, photos) if intake.ground_control is not None else None
    pairs = plan_pairs(photos, plan.tuning.sfm_pairs).pairs
    workload = Workload.of(photos, len(pairs), available_cores())
    pace.expect(expected_efforts(workload, seeds=plan.tuning.dense_seeds))
    run.find_features(photos)
    run.match(Phase.MATCHING, pairs)
    pace.expect(expected_efforts_after_matching(matched_features(plan.database)))
    mapped = run.map_scene(photos)
    left_over = {photo.name for photo in photos}.difference(mapped.registered)
    if further := more_pairs(photos, pairs, left_over):
        pace.expect(expected_efforts_of_more(replace(workload, pairs=len(further))))
        run.match(Phase.MATCHING_MORE, further)
        mapped = run.map_more(photos, mapped)
    if len(mapped.registered) < max(MIN_PHOTOS, MIN_REGISTERED_SHARE * len(photos)):
        raise too_few_registered(photos, mapped.registered, intake.warned)
    refined = run.refine(photos, mapped)
    if refined.points < MIN_POINTS_PER_PHOTO * len(mapped.registered):
        raise too_few_registered(photos, [], intake.warned)
    placed = run.place(photos, control)
    run.undistort()
    seeds = run.find_seeds() if plan.tuning.dense_seeds else 0
    return ReconstructionOutcome(
        intake=intake,
        registered=mapped.registered,
        other_models=[len(names) for names in mapped.others],
        lenses=refined.lenses,
        points=placed.points,
        mean_track=placed.mean_track,
        reprojection_px=placed.reprojection_px,
        georef=placed.placement.georef,
        advice=_advice(intake, mapped, refined, placed),
        dense_seeds=seeds,
    )


class ReconstructionRun:
    """The phases of the child process, each entered in the ledger of `plan.work` when it has ended.

    They hand each other files, never objects, and start from the same random numbers: so a run that was
    interrupted and resumed computes with the very same bytes as one that was not.
    """

    def __init__(self, plan: ReconstructionPlan, progress: StepProgress) -> None:
        self._plan = plan
        self._progress = progress
        self._ledger = Ledger(plan.work)

    def take_in(self) -> Intake:
        """The photos checked and normalised into `plan.photo_folder`."""
        plan = self._plan

        def work() -> Intake:
            return take_in(
                plan.source,
                fresh(plan.photo_folder),
                plan.tuning.sfm_max_size,
                drop_blurred=plan.tuning.drop_blurred,
                threads=available_cores(),
                progress=self._progress,
            )

        intake = self._run(Phase.PHOTOS, Intake, work, leaves=[plan.photo_folder])
        for photo in intake.refused:
            logger.warning("refused: %s %s", photo.name, photo.reason)
        for warned in intake.warned:
            logger.warning("%s %s", warned.name, warned.reason)
        return intake

    def find_features(self, photos: Sequence[Photo]) -> None:
        """Features of all photos into the database; one that is there already gets those it lacks."""
        plan, count = self._plan, len(photos)

        def work() -> None:
            create_database(plan.database, plan.photo_folder, photos)
            enter_focal_priors(plan.database, photos)
            extract_features(
                plan.database,
                plan.photo_folder,
                photos,
                available_cores(),
                lambda done: FEATURES.tell(self._progress, done / count, photos=count),
            )

        self._run(Phase.FEATURES, NoneType, work, leaves=[plan.database])

    def match(self, phase: Phase, pairs: Sequence[Pair]) -> None:
        """Matches of `pairs` into the database; those that are there already are kept."""
        plan = self._plan

        def work() -> None:
            logger.info("%s: %d pairs", phase.value, len(pairs))
            match(
                plan.database,
                plan.work / f"{phase.value}_pairs.txt",
                pairs,
                plan.tuning.seed,
                lambda done: step_of(phase).tell(self._progress, done / len(pairs)),
            )

        self._run(phase, NoneType, work)

    def map_scene(self, photos: Sequence[Photo]) -> Mapped:
        """The largest model that the matches give."""
        return self._run(Phase.MAPPING, Mapped, lambda: self._map(Phase.MAPPING, photos))

    def map_more(self, photos: Sequence[Photo], before: Mapped) -> Mapped:
        """The model from `before`, grown by what the further matches let in."""

        def work() -> Mapped:
            if not before.registered:
                return self._map(Phase.MAPPING_MORE, photos)
            grown = self._map(
                Phase.MAPPING_MORE, photos, pycolmap.Reconstruction(self._plan.work / before.model)
            )
            apart = [[name for name in names if name not in grown.registered] for names in before.others]
            return grown.model_copy(update={"others": [names for names in apart if names]})

        return self._run(Phase.MAPPING_MORE, Mapped, work)

    def refine(self, photos: Sequence[Photo], mapped: Mapped) -> Refined:
        """The mapper's model, adjusted as a whole and cleaned."""
        plan = self._plan

        def work() -> Refined:
            model = pycolmap.Reconstruction(plan.work / mapped.model)
            lenses = refine(model, photos)
            model.write(fresh(plan.refined))
            return Refined(points=model.num_points3D(), lenses=lenses)

        return self._run(Phase.REFINEMENT, Refined, work, leaves=[plan.refined])

    def place(self, photos: Sequence[Photo], control: GroundControl | None) -> Placed:
        """The refined model in its final frame, as it is delivered."""
        plan = self._plan

        def work() -> Placed:
            model = pycolmap.Reconstruction(plan.refined)
            placement = place(model, photos, control, plan.tuning.seed)
            write_scene(model, photos, placement.georef, fresh(plan.sparse), as_text=plan.tuning.sparse_text)
            posed = sum(image.has_pose for image in model.images.values())
            PLACEMENT.tell(self._progress, 1.0, registered=posed, points=model.num_points3D())
            return Placed(
                points=model.num_points3D(),
                mean_track=model.compute_mean_track_length(),
                reprojection_px=model.compute_mean_reprojection_error(),
                placement=placement,
                coverage=coverage(model),
            )

        return self._run(Phase.PLACEMENT, Placed, work, leaves=[plan.sparse])

    def undistort(self) -> None:
        """The training input: photos without lens distortion, and the model that fits them."""
        plan = self._plan

        def work() -> None:
            undistort(plan.sparse, plan.photo_folder, fresh(plan.dense))

        self._run(Phase.UNDISTORTION, NoneType, work, leaves=[plan.dense])

    def find_seeds(self) -> int:
        """How many points stereo found where SfM has none; they are left beside the training input."""
        dense = self._plan.dense

        def work() -> int:
            return write_seeds(dense, lambda done: SEEDS.tell(self._progress, done))

        return self._run(Phase.SEEDS, int, work, leaves=[dense / SEED_FILE])

    def _map(
        self, phase: Phase, photos: Sequence[Photo], grow_from: pycolmap.Reconstruction | None = None
    ) -> Mapped:
        plan, count = self._plan, len(photos)
        scene = map_scene(
            plan.database,
            plan.photo_folder,
            fresh(plan.work / "mapper"),
            photos=photos,
            mapper=plan.tuning.sfm_mapper,
            seed=plan.tuning.seed,
            progress=lambda registered: step_of(phase).tell(
                self._progress, registered / count, registered=registered
            ),
            grow_from=grow_from,
        )
        if scene is None:
            return Mapped()
        scene.model.write(fresh(plan.work / phase.value))
        return Mapped(
            model=phase.value, registered=scene.registered, others=[list(names) for names in scene.others]
        )

    def _run(
        self, phase: Phase, kind: type[Result], work: Callable[[], Result], leaves: Sequence[Path] = ()
    ) -> Result:
        def seeded() -> Result:
            pycolmap.set_random_seed(self._plan.tuning.seed)
            step_of(phase).tell(self._progress, 0.0)
            return work()

        return self._ledger.run(phase, kind, seeded, leaves)


def _advice(intake: Intake, mapped: Mapped, refined: Refined, placed: Placed) -> list[Advice]:
    flight = Flight(
        photos=intake.photos,
        warned=intake.warned,
        registered=mapped.registered,
        others=mapped.others,
        mean_track=placed.mean_track,
        coverage=placed.coverage,
        lenses=refined.lenses,
    )
    return [*capture_advice(flight), *placed.placement.advice]


def main(plan_file: Path) -> int:
    """Do what `plan_file` says; return the exit code."""
    faulthandler.enable()  # so that a crash leaves a traceback in the job's log
    end_with_parent()
    plan = ReconstructionPlan.model_validate_json(plan_file.read_text())
    # The child of a run that was killed may still be dying: it must not write to the folder that we work on.
    # Held to our own end.
    fcntl.flock(os.open(plan.work, os.O_RDONLY), fcntl.LOCK_EX)

    doing = Ledger(plan.work).doing

    def program(progress: Progress) -> None:
        try:
            pace = Pace(progress)
            with full_disk_told(doing, plan.work), pace.ticking():
                outcome = reconstruct(plan, pace)
        except MemoryError as error:
            raise out_of_memory(doing()) from error
        plan.outcome_file.write_text(outcome.model_dump_json())

    return run_program(SFM, plan.message_file, program)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
