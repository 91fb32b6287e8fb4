"""The stage as a story: unpack, check, reconstruct, report."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from spaceport.errors import UserError
from spaceport.job_program import EXIT_USER_ERROR
from spaceport.progress import Progress
from spaceport.quality import SFM_REPORT, SfmReport
from spaceport.tuning import Tuning
from spaceport_sfm.extraction import extract
from spaceport_sfm.guard import run_guarded
from spaceport_sfm.photos import prepare_photos, require_enough
from spaceport_sfm.plan import ReconstructionOutcome, ReconstructionPlan
from spaceport_sfm.report import Stopwatch, report
from spaceport_sfm.steps import END_MESSAGE

# Far above what work takes (2 s a photo on 2 cores), far below a day: only a hang gets there.
TIMEOUT_S = 600.0
TIMEOUT_S_PER_PHOTO = 30.0

logger = logging.getLogger(__name__)


def build_scene(
    archive: Path, tuning: Tuning, progress: Progress, *, photo_folder: Path, output: Path, scratch: Path
) -> SfmReport:
    """Make the scene of the photos in `archive`.

    Args:
        photo_folder: where the normalised photos go.
        output: where `sparse/`, `dense/` and `sfm.json` go.
        scratch: an existing folder with room for the unpacked zip; left as it was.

    Raises:
        UserError: for a zip or photos that can't be used, too few photos that fit together, and the end
            of the engine by a crash or a time-out.
    """
    stopwatch = Stopwatch()
    with TemporaryDirectory(prefix="sfm-", dir=scratch) as workspace:
        with TemporaryDirectory(prefix="unpacked-", dir=scratch) as unpacked:
            extraction = extract(archive, Path(unpacked), progress)
            prepared = prepare_photos(
                extraction.photos, photo_folder, tuning.sfm_max_size, _cores(), progress
            )
        refused = [*extraction.refused, *prepared.refused]
        for photo in refused:
            logger.warning("refused: %s %s", photo.name, photo.reason)
        require_enough(prepared.good, refused)
        plan = ReconstructionPlan(
            photos=list(prepared.good),
            photo_folder=photo_folder,
            workspace=Path(workspace),
            output=output,
            max_size=tuning.sfm_max_size,
            seed=tuning.seed,
        )
        outcome = _reconstruct_guarded(plan)
    registered = set(outcome.registered)
    unregistered = [photo.source for photo in prepared.good if photo.name not in registered]
    _tell_leftovers(unregistered, outcome)
    finished = report(len(prepared.good) + len(refused), refused, unregistered, outcome, stopwatch)
    (output / SFM_REPORT).write_text(finished.model_dump_json(indent=2))
    progress(1.0, END_MESSAGE, registered=len(outcome.registered), points=outcome.points)
    return finished


def _reconstruct_guarded(plan: ReconstructionPlan) -> ReconstructionOutcome:
    plan_file = plan.workspace / "plan.json"
    plan_file.write_text(plan.model_dump_json())
    command = [sys.executable, "-m", "spaceport_sfm.reconstruction", str(plan_file)]
    timeout = TIMEOUT_S + TIMEOUT_S_PER_PHOTO * len(plan.photos)
    code = run_guarded(command, timeout, "placing the photos")
    if code == EXIT_USER_ERROR and plan.message_file.is_file():
        raise UserError(**json.loads(plan.message_file.read_text()))
    if code != 0:
        raise RuntimeError(f"the reconstruction process ended with exit code {code}; its log is above")
    return ReconstructionOutcome.model_validate_json(plan.outcome_file.read_text())


def _tell_leftovers(unregistered: Sequence[str], outcome: ReconstructionOutcome) -> None:
    if unregistered:
        logger.warning("%d photos could not be placed: %s", len(unregistered), ", ".join(unregistered))
    if outcome.other_models:
        sizes = ", ".join(map(str, outcome.other_models))
        logger.warning("photos that don't connect with the others make models of their own: %s photos", sizes)


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
