"""The stage as a story: see what is done already, reconstruct in a guarded child process, report."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import IO

import spaceport
import spaceport_sfm
from spaceport.errors import UserError
from spaceport.job_program import EXIT_USER_ERROR
from spaceport.progress import Progress
from spaceport.quality import SFM_REPORT, SfmReport
from spaceport.stop_signal import StopSignal
from spaceport.time_left import SECONDS_LEFT
from spaceport_sfm.disk import disk_full, full_disk_told, is_full
from spaceport_sfm.guard import Limits, run_guarded
from spaceport_sfm.intake.photo_intake import Intake
from spaceport_sfm.phases import Ledger, Phase, RunTimes, Stopwatch, fingerprint
from spaceport_sfm.plan import ReconstructionOutcome, ReconstructionPlan
from spaceport_sfm.report import report
from spaceport_sfm.steps import END_MESSAGE

# Far above what work takes (2 s a photo on 2 cores), far below a day: only a loop without end gets there.
INTAKE_TIMEOUT_S = 3600.0
TIMEOUT_S = 600.0
TIMEOUT_S_PER_PHOTO = 30.0
# What the engine does when it can't write: libjpeg calls exit(), which crashes or waits for ever.
UNSPECIFIC = {"sfm_crashed", "sfm_hung"}

logger = logging.getLogger(__name__)


def build_scene(
    plan: ReconstructionPlan,
    progress: Progress,
    stop: StopSignal,
    *,
    output: Callable[[str], None] | None = None,
    log: IO[str] | None = None,
) -> SfmReport:
    """Make the scene of the photos in `plan.source`.

    What a run on `plan.work` has done already is not done again if photos, tuning and our versions are the
    same, see `phases`.

    Args:
        output, log: for what the engine prints, see `run_guarded`.

    Raises:
        UserError: for photos that can't be used, too few photos that fit together, a full disk, and the end
            of the engine by a crash or one of its limits.
        Interrupted: by `stop`.
    """
    with full_disk_told(Ledger(plan.work).doing, plan.work):
        return _build(plan, progress, stop, output, log)


def _build(
    plan: ReconstructionPlan,
    progress: Progress,
    stop: StopSignal,
    output: Callable[[str], None] | None,
    log: IO[str] | None,
) -> SfmReport:
    stopwatch = Stopwatch()
    inputs = fingerprint(
        plan.source,
        settings=[plan.tuning.model_dump_json(), *_versions()],
        step=stop.leave_if_requested,
    )
    if (plan.output / SFM_REPORT).exists() and not Ledger.is_of(plan.work, inputs):
        raise UserError(
            "results_of_others",
            f"{plan.output} holds the results of other photos, settings or versions.",
            "Choose a new folder for the results, or remove these.",
        )
    ledger = Ledger.open(plan.work, inputs)
    earlier = ledger.times()
    outcome = _reconstruct_guarded(plan, ledger, stop, output, log)
    registered = set(outcome.registered)
    unregistered = [photo.source for photo in outcome.intake.photos if photo.name not in registered]
    _tell_leftovers(unregistered, outcome)
    times = RunTimes.of(stopwatch, earlier, ledger)
    finished = report(unregistered, outcome, times)
    (plan.output / SFM_REPORT).write_text(finished.model_dump_json(indent=2))
    numbers = {"registered": len(outcome.registered), "points": outcome.points, SECONDS_LEFT: 0}
    progress(1.0, END_MESSAGE, **numbers)
    return finished


def _reconstruct_guarded(
    plan: ReconstructionPlan,
    ledger: Ledger,
    stop: StopSignal,
    output: Callable[[str], None] | None,
    log: IO[str] | None,
) -> ReconstructionOutcome:
    plan_file = plan.work / "plan.json"
    plan_file.write_text(plan.model_dump_json())
    plan.message_file.unlink(missing_ok=True)  # of an earlier run
    try:
        code = run_guarded(
            [sys.executable, "-m", "spaceport_sfm.reconstruction", str(plan_file)],
            Limits(seconds=lambda: _time_limit(ledger)),
            ledger.doing,
            leave_if_requested=stop.leave_if_requested,
            output=output,
            log=log,
        )
    except UserError as error:
        if error.code in UNSPECIFIC and is_full(plan.work):
            raise disk_full(ledger.doing(), plan.work) from error
        raise
    if code == EXIT_USER_ERROR and (told := _message(plan)):
        raise told
    if code != 0 and is_full(plan.work):
        raise disk_full(ledger.doing(), plan.work)
    if code != 0:
        raise RuntimeError(f"the reconstruction process ended with exit code {code}; its log is above")
    return ReconstructionOutcome.model_validate_json(plan.outcome_file.read_text())


def _message(plan: ReconstructionPlan) -> UserError | None:
    """Why the child failed; None where it could not write that down either."""
    text = plan.message_file.read_text() if plan.message_file.is_file() else ""
    return UserError(**json.loads(text)) if text else None


def _time_limit(ledger: Ledger) -> float:
    intake = ledger.result(Phase.PHOTOS, Intake)
    return INTAKE_TIMEOUT_S if intake is None else TIMEOUT_S + TIMEOUT_S_PER_PHOTO * len(intake.photos)


def _tell_leftovers(unregistered: Sequence[str], outcome: ReconstructionOutcome) -> None:
    if unregistered:
        logger.warning("%d photos could not be placed: %s", len(unregistered), ", ".join(unregistered))
    if outcome.other_models:
        sizes = ", ".join(map(str, outcome.other_models))
        logger.warning("photos that don't connect with the others make models of their own: %s photos", sizes)


def _versions() -> Iterator[str]:
    """What else results depend on: our own source, and the libraries that compute them."""
    for package in (spaceport, spaceport_sfm):
        yield fingerprint(*sorted(Path(package.__path__[0]).rglob("*.py")))
    for library in (
        "pycolmap",
        "opencv-python-headless",
        "numpy",
        "scipy",
        "pillow",
        "pi-heif",
        "rawpy",
        "simplejpeg",
        "pyproj",
    ):
        yield f"{library} {version(library)}"
