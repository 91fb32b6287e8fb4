"""The stage as a story: unpack, check, reconstruct, report."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import spaceport
import spaceport_sfm
from spaceport.errors import UserError
from spaceport.job_program import EXIT_USER_ERROR
from spaceport.progress import Progress
from spaceport.quality import SFM_REPORT, SfmReport
from spaceport.tuning import Tuning
from spaceport_sfm.extraction import extract
from spaceport_sfm.guard import run_guarded
from spaceport_sfm.phases import Ledger, Phase, RunTimes, Stopwatch, fingerprint, fresh
from spaceport_sfm.photos import PreparedPhotos, prepare_photos, require_enough
from spaceport_sfm.plan import ReconstructionOutcome, ReconstructionPlan
from spaceport_sfm.report import report
from spaceport_sfm.steps import END_MESSAGE

# Far above what work takes (2 s a photo on 2 cores), far below a day: only a hang gets there.
TIMEOUT_S = 600.0
TIMEOUT_S_PER_PHOTO = 30.0

logger = logging.getLogger(__name__)


def build_scene(
    archive: Path, tuning: Tuning, progress: Progress, *, photo_folder: Path, output: Path, work: Path
) -> SfmReport:
    """Make the scene of the photos in `archive`.

    Args:
        photo_folder: where the normalised photos go.
        output: where `sparse/`, `dense/` and `sfm.json` go.
        work: a folder of our own with room for the unpacked zip. What a run on it has done already is not
            done again if the photos, `tuning` and our versions are the same, see `phases`.

    Raises:
        UserError: for a zip or photos that can't be used, too few photos that fit together, and the end
            of the engine by a crash or a time-out.
    """
    stopwatch = Stopwatch()
    ledger = Ledger.open(work, fingerprint(archive, settings=[tuning.model_dump_json(), *_versions()]))
    earlier = ledger.times()
    prepared = ledger.run(
        Phase.PHOTOS,
        PreparedPhotos,
        lambda: _take_in(archive, tuning, progress, photo_folder=photo_folder, work=work),
        leaves=[photo_folder],
    )
    for photo in prepared.refused:
        logger.warning("refused: %s %s", photo.name, photo.reason)
    require_enough(prepared.good, prepared.refused)
    plan = ReconstructionPlan(
        photos=list(prepared.good),
        photo_folder=photo_folder,
        work=work,
        output=output,
        max_size=tuning.sfm_max_size,
        seed=tuning.seed,
    )
    outcome = _reconstruct_guarded(plan)
    registered = set(outcome.registered)
    unregistered = [photo.source for photo in prepared.good if photo.name not in registered]
    _tell_leftovers(unregistered, outcome)
    times = RunTimes.of(stopwatch, earlier, ledger)
    given = len(prepared.good) + len(prepared.refused)
    finished = report(given, prepared.refused, unregistered, outcome, times)
    (output / SFM_REPORT).write_text(finished.model_dump_json(indent=2))
    progress(1.0, END_MESSAGE, registered=len(outcome.registered), points=outcome.points)
    return finished


def _take_in(
    archive: Path, tuning: Tuning, progress: Progress, *, photo_folder: Path, work: Path
) -> PreparedPhotos:
    with TemporaryDirectory(prefix="unpacked-", dir=work) as unpacked:
        extraction = extract(archive, Path(unpacked), progress)
        prepared = prepare_photos(
            extraction.photos, fresh(photo_folder), tuning.sfm_max_size, _cores(), progress
        )
    return replace(prepared, refused=(*extraction.refused, *prepared.refused))


def _reconstruct_guarded(plan: ReconstructionPlan) -> ReconstructionOutcome:
    plan_file = plan.work / "plan.json"
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


def _versions() -> Iterator[str]:
    """What else results depend on: our own source, and the libraries that compute them."""
    for package in (spaceport, spaceport_sfm):
        yield fingerprint(*sorted(Path(package.__path__[0]).glob("*.py")))
    for library in ("pycolmap", "numpy", "scipy", "pillow"):
        yield f"{library} {version(library)}"
