"""`python -m spaceport_sfm PHOTOS OUT`: the stage without any cloud, for a person or a script."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from spaceport.errors import UserError
from spaceport.program_command import (
    LOG,
    StatusLine,
    add_settings,
    contents_of_results_folder,
    log_to,
    only_run_on,
    out_not_empty,
    tell_end,
    tuning_of,
)
from spaceport.progress import ProgressWriter, parse_line
from spaceport.quality import SFM_REPORT, SfmReport
from spaceport.stages import SFM
from spaceport.stop_signal import StopSignal
from spaceport.tuning import Tuning
from spaceport_sfm.phases import is_work_folder
from spaceport_sfm.plan import ReconstructionPlan
from spaceport_sfm.program import build_scene
from spaceport_sfm.summary import summary

EPILOG = """\
OUT gets extracted/ (the photos as they were used), colmap/sparse (the model, with its place on Earth),
colmap/dense (photos without lens distortion) and colmap/sfm.json (what was measured). OUT/work holds what is
done so far: the same command goes on where a run was stopped or killed. It is removed at the end. On a
terminal OUT/log.txt gets the log, else standard error, and standard output gets progress as JSON lines.

exit codes: 0 done, 1 something that you can mend, 2 wrong usage, 70 a fault of ours, 130 and 143 stopped
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    stop = StopSignal()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    parser = _parser()
    given = parser.parse_args(arguments)
    with ExitStack() as files:  # the log among them, which our own faults go to as well

        def run() -> str:
            tuning = tuning_of(given.set)
            return summary(_run(given.photos, given.out, tuning, stop, files, keep=given.keep), given.out)

        return tell_end("sfm", run, given.out)


def _run(
    photos: Path, out: Path, tuning: Tuning, stop: StopSignal, files: ExitStack, *, keep: bool
) -> SfmReport:
    photos, out = photos.absolute(), out.absolute()
    _check_folders(photos, out)
    files.enter_context(only_run_on(out))
    plan = ReconstructionPlan(
        source=photos,
        tuning=tuning,
        photo_folder=out / "extracted",
        output=out / "colmap",
        work=out / "work",
    )
    if sys.stdout.isatty():
        log = files.enter_context((out / LOG).open("a"))
        log_to(log)
        with StatusLine(sys.stdout) as status:
            report = build_scene(plan, status, stop, output=lambda line: _show(line, status, log), log=log)
    else:
        log_to(sys.stderr)
        report = build_scene(plan, ProgressWriter(SFM, sys.stdout), stop)
    if not keep:
        shutil.rmtree(plan.work)
    return report


def _show(line: str, status: StatusLine, log: IO[str]) -> None:
    told = parse_line(line)
    if told is None:
        log.write(line)
    else:
        status(told.progress, told.message, **told.metrics)


def _check_folders(photos: Path, out: Path) -> None:
    """Raises UserError where the run would read or remove something that it must not."""
    if not os.access(photos, os.R_OK):
        raise UserError("photos_missing", f"{photos} can't be read.", "Name a zip or a folder of photos.")
    inside, outside = sorted((photos.resolve(), out.resolve()), key=lambda path: -len(path.parts))
    if inside.is_relative_to(outside):
        raise UserError(
            "folders_overlap",
            f"{inside} lies in {outside}: results would be taken for photos, or photos for results.",
            "Choose a folder for the results beside the photos.",
        )
    if contents_of_results_folder(out) and not is_work_folder(out / "work"):
        raise out_not_empty(out, finished=(out / "colmap" / SFM_REPORT).is_file())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m spaceport_sfm",
        description="Tell from photos of one scene where each was taken, and what it shows where.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("photos", type=Path, metavar="PHOTOS", help="a zip or a folder of photos")
    parser.add_argument("out", type=Path, metavar="OUT", help="a new folder for the results")
    add_settings(parser, SFM)
    parser.add_argument(
        "--keep", action="store_true", help="keep OUT/work, the database and models on the way"
    )
    return parser
