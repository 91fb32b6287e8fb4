"""A child process for code that can die: with a time limit, a clear error, and no orphan left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

from spaceport.errors import UserError

# What the kernel's out-of-memory killer sends.
_MEMORY_SIGNAL = signal.SIGKILL


def run_guarded(command: Sequence[str], timeout_s: float, doing: str) -> int:
    """Run `command` to its end and return its exit code, 0 or above.

    The child shares our standard output and error. It is killed when this call ends in any other way than
    by the child's own end: a time-out, or an exception such as the SystemExit of a signal handler. Its
    standard input stays open as long as we live (see `end_with_parent`).

    Args:
        doing: what the child does, for the messages: "placing the photos".

    Raises:
        UserError: `sfm_timeout`, `sfm_out_of_memory` or `sfm_crashed`, naming the signal.
    """
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        try:
            code = child.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise UserError(
                "sfm_timeout",
                f"The engine was still {doing} after {timeout_s / 60:.0f} minutes and was stopped.",
                "Send fewer photos, or choose a smaller sfm_max_size.",
            ) from error
        finally:
            if child.returncode is None:
                child.kill()
                child.wait()
    if code < 0:
        raise _death(signal.Signals(-code), doing)
    return code


def end_with_parent() -> None:
    """In a child of `run_guarded`: die when the parent does, even where it is killed without a word.

    Then nobody holds the other end of our standard input any more, and reading it ends.
    """

    def wait_for_the_end() -> None:
        # Not through the buffered sys.stdin: a thread inside that aborts the interpreter's own shutdown.
        while os.read(sys.stdin.fileno(), 1):
            pass
        os._exit(1)  # the main thread may be deep inside native code: nothing else gets through

    threading.Thread(target=wait_for_the_end, name="lifeline", daemon=True).start()


def _death(by: signal.Signals, doing: str) -> UserError:
    if by == _MEMORY_SIGNAL:
        return UserError(
            "sfm_out_of_memory",
            f"The engine was killed while {doing} ({by.name}), most likely for want of memory.",
            "Choose a smaller sfm_max_size, send fewer photos, or use a larger instance.",
        )
    return UserError(
        "sfm_crashed",
        f"The engine crashed while {doing} ({by.name}).",
        "Leave out edited or exported photos and retry; one may be broken in a way we don't recognise.",
    )
