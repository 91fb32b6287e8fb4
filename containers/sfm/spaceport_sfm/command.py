"""`python -m spaceport_sfm PHOTOS OUT`: the stage without any cloud, for a person or a script."""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from spaceport.errors import UserError
from spaceport.job_program import EXIT_FAULT, EXIT_USER_ERROR
from spaceport.progress import ProgressWriter, parse_line
from spaceport.quality import SfmReport
from spaceport.stages import SFM
from spaceport.tuning import Tuning, TuningRequest, parse_request, resolve
from spaceport_sfm.phases import is_work_folder
from spaceport_sfm.plan import ReconstructionPlan
from spaceport_sfm.program import build_scene
from spaceport_sfm.stop_signal import Interrupted, StopSignal
from spaceport_sfm.summary import StatusLine, summary

LOG = "log.txt"
EPILOG = """\
OUT gets extracted/ (the photos as they were used), colmap/sparse (the model, with its place on Earth),
colmap/dense (photos without lens distortion) and colmap/sfm.json (what was measured). OUT/work holds what is
done so far: the same command goes on where a run was stopped or killed. It is removed at the end. On a
terminal OUT/log.txt gets the log, else standard error, and standard output gets progress as JSON lines.

exit codes: 0 done, 1 something that you can mend, 2 wrong usage, 70 a fault of ours, 130 and 143 stopped
"""

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    stop = StopSignal()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    parser = _parser()
    given = parser.parse_args(arguments)
    with ExitStack() as files:  # the log among them, which our own faults go to as well
        return _told(given, stop, files)


def _told(given: argparse.Namespace, stop: StopSignal, files: ExitStack) -> int:
    """Run; tell the person how it ended."""
    try:
        report = _run(given.photos, given.out, _tuning(given.set), stop, files, keep=given.keep)
    except UserError as error:
        print(f"{error.message}\n{error.hint}".rstrip(), file=sys.stderr)
        return EXIT_USER_ERROR
    except Interrupted as interrupted:
        print("Stopped. The same command goes on from here.", file=sys.stderr)
        return interrupted.exit_code
    except Exception:
        logger.exception("the sfm program failed")
        print(f"This is a fault of ours; the log above or in {given.out / LOG} tells more.", file=sys.stderr)
        return EXIT_FAULT
    print(summary(report, given.out), file=sys.stderr)
    return 0


def _run(
    photos: Path, out: Path, tuning: Tuning, stop: StopSignal, files: ExitStack, *, keep: bool
) -> SfmReport:
    photos, out = photos.absolute(), out.absolute()
    _check_folders(photos, out)
    files.enter_context(_only_run_on(out))
    plan = ReconstructionPlan(
        source=photos,
        tuning=tuning,
        photo_folder=out / "extracted",
        output=out / "colmap",
        work=out / "work",
    )
    if sys.stdout.isatty():
        log = files.enter_context((out / LOG).open("a"))
        _log_to(log)
        with StatusLine(sys.stdout) as status:
            report = build_scene(plan, status, stop, output=lambda line: _show(line, status, log), log=log)
    else:
        _log_to(sys.stderr)
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
    try:
        out.mkdir(parents=True, exist_ok=True)
        holds_something = any(entry.name != LOG for entry in out.iterdir())
    except OSError as error:
        raise _unwritable(out, error) from error
    if not os.access(out, os.W_OK | os.X_OK):
        raise _unwritable(out, PermissionError("no permission to write there"))
    if holds_something and not is_work_folder(out / "work"):
        finished = (out / "colmap" / "sfm.json").is_file()
        holds = "the results of a finished run" if finished else "files that are not of an unfinished run"
        raise UserError(
            "out_not_empty",
            f"{out} holds {holds}.",
            "Choose a new folder for the results, or remove these files.",
        )


def _unwritable(out: Path, error: OSError) -> UserError:
    reason = error.strerror or error
    return UserError("out_unwritable", f"{out} can't take the results: {reason}.", "Choose another folder.")


@contextmanager
def _only_run_on(out: Path) -> Iterator[None]:
    """Keeps other runs away from `out`; the kernel gives it free however this process ends."""
    folder = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise UserError(
            "out_busy", f"Another run is writing to {out}.", "Wait for its end, or choose another folder."
        ) from error
    finally:
        os.close(folder)


def _tuning(settings: Sequence[str]) -> Tuning:
    """The tuning that `settings`, each key=value, ask for. Raises UserError `bad_tuning`."""
    pairs = dict(setting.split("=", 1) for setting in settings)
    return resolve(parse_request(pairs))


def _setting(text: str) -> str:
    if "=" not in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form key=value")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m spaceport_sfm",
        description="Tell from photos of one scene where each was taken, and what it shows where.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("photos", type=Path, metavar="PHOTOS", help="a zip or a folder of photos")
    parser.add_argument("out", type=Path, metavar="OUT", help="a new folder for the results")
    parser.add_argument(
        "--set",
        type=_setting,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"a setting: {', '.join(TuningRequest.model_fields)}",
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep OUT/work, the database and models on the way"
    )
    return parser


def _log_to(stream: IO[str]) -> None:
    logging.basicConfig(level=logging.INFO, stream=stream, format="%(levelname)s %(name)s: %(message)s")
