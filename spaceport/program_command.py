"""What the commands of the job programs share: `python -m PROGRAM IN OUT`, for a person without a cloud."""

from __future__ import annotations

import argparse
import fcntl
import importlib
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import IO, Self, TextIO

from spaceport.errors import UserError
from spaceport.full_disk import full_disk_told
from spaceport.job_program import EXIT_FAULT, EXIT_USER_ERROR
from spaceport.progress import Progress, ProgressWriter
from spaceport.stage_settings import settings_of
from spaceport.stages import Stage
from spaceport.stop_signal import Interrupted, StopSignal
from spaceport.time_left import SECONDS_LEFT, about_left
from spaceport.tuning import Tuning, parse_request, resolve

LOG = "log.txt"
STOPPED = "Stopped. The same command goes on from here."

logger = logging.getLogger(__name__)


def tell_end(program: str, run: Callable[[], str], out: Path) -> int:
    """Call `run` and tell the person how it ended, on standard error; return the exit code.

    Args:
        program: its name, for the log.
        run: returns the summary of a run that came to its end.
        out: where the log may be.
    """
    no_room = full_disk_told(
        f"The disk of {out} is full.", "Make room there; then give the same command again."
    )
    try:
        with no_room:
            summary = run()
    except UserError as error:
        print(f"{error.message}\n{error.hint}".rstrip(), file=sys.stderr)
        return EXIT_USER_ERROR
    except Interrupted as interrupted:
        print(STOPPED, file=sys.stderr)
        return interrupted.exit_code
    except Exception:
        logger.exception("the %s program failed", program)
        print(f"This is a fault of ours; the log above or in {out / LOG} tells more.", file=sys.stderr)
        return EXIT_FAULT
    print(summary, file=sys.stderr)
    return 0


def stopped_by_signals(told: str) -> StopSignal:
    """Let SIGTERM and Ctrl-C end this process at once, saying `told`, but where something is at stake."""

    def leave(exit_code: int) -> None:
        os.write(2, f"\n{told}\n".encode())  # Python's own streams may be in the midst of something
        os._exit(exit_code)

    stop = StopSignal(leave)
    # pycolmap, which reads scenes, takes these signals for a crash once imported; so it is imported first.
    importlib.import_module("pycolmap")
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return stop


class StatusLine:
    """A progress callback that keeps one line of a terminal up to date."""

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal
        self._left = 0.0  # seconds, 0 while unknown

    def __call__(self, fraction: float, message: str = "", **metrics: float) -> None:
        self._left = metrics.get(SECONDS_LEFT, self._left)
        width = shutil.get_terminal_size().columns - 1
        told = " · ".join(part for part in (message, about_left(self._left)) if part)
        line = f"{fraction:4.0%} {told}"[:width]
        self._terminal.write(f"\r{line:<{width}}")
        self._terminal.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._terminal.write("\n")
        self._terminal.flush()


def progress_of(stage: Stage, out: Path, files: ExitStack) -> AbstractContextManager[Progress]:
    """What progress goes to: a person at a terminal, or a program that reads JSON lines.

    Args:
        out: the results' folder, which keeps the log where a terminal must not show it.
        files: closes the log.
    """
    if not sys.stdout.isatty():
        log_to(sys.stderr)
        return nullcontext(ProgressWriter(stage, sys.stdout))
    log_to(files.enter_context((out / LOG).open("a")))
    return StatusLine(sys.stdout)


def contents_of_results_folder(out: Path) -> list[Path]:
    """What `out`, made if it is not there, holds besides the log.

    Raises:
        UserError: `out_unwritable`.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        contents = [entry for entry in out.iterdir() if entry.name != LOG]
    except OSError as error:
        raise _unwritable(out, error) from error
    if not os.access(out, os.W_OK | os.X_OK):
        raise _unwritable(out, PermissionError("no permission to write there"))
    return contents


def check_beside(scene: Path, out: Path) -> None:
    """Raises UserError `folders_overlap` where `out` lies in `scene`, which results are made of."""
    if out.resolve().is_relative_to(scene.resolve()):
        raise UserError(
            "folders_overlap",
            f"{out} lies in {scene}: results would lie among what they are made of.",
            "Choose a folder for the results beside the scene.",
        )


def out_not_empty(out: Path, *, finished: bool) -> UserError:
    """Tells that `out` holds results (`finished`) or other files, where a run must not write."""
    holds = "the results of a finished run" if finished else "files that are not of an unfinished run"
    return UserError(
        "out_not_empty",
        f"{out} holds {holds}.",
        "Choose a new folder for the results, or remove these files.",
    )


def _unwritable(out: Path, error: OSError) -> UserError:
    reason = error.strerror or error
    return UserError("out_unwritable", f"{out} can't take the results: {reason}.", "Choose another folder.")


@contextmanager
def only_run_on(out: Path) -> Iterator[None]:
    """Keeps other runs away from `out`; the kernel gives it free however this process ends.

    Raises:
        UserError: `out_busy`.
    """
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


def add_settings(parser: argparse.ArgumentParser, stage: Stage) -> None:
    """Let the command of `stage` take `--set KEY=VALUE`, as often as wanted.

    It takes those of the other stages, too: all three can be given the same.
    """
    parser.add_argument(
        "--set",
        type=_setting,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"a setting: {', '.join(settings_of(stage))}",
    )


def tuning_of(settings: Sequence[str]) -> Tuning:
    """The tuning that `settings`, each KEY=VALUE, ask for. Raises UserError `bad_tuning`."""
    return resolve(parse_request(dict(setting.split("=", 1) for setting in settings)))


def _setting(text: str) -> str:
    if "=" not in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form key=value")
    return text


def log_to(stream: IO[str]) -> None:
    """Send this process's log to `stream`."""
    logging.basicConfig(level=logging.INFO, stream=stream, format="%(levelname)s %(name)s: %(message)s")
