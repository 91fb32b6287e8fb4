"""How the command ends: its exit codes, and the error that means "you typed this wrong"."""

from __future__ import annotations

from enum import IntEnum

from spaceport.errors import UserError
from spaceport.stages import Status


class ExitCode(IntEnum):
    """What a script that calls `spaceport` learns from its end."""

    DONE = 0
    FAULT = 1  # the cloud could not be reached, or a defect of ours
    REFUSED = 2  # the zip can't become a model
    FAILED = 3
    STOPPED = 4
    USAGE = 64  # sysexits.h EX_USAGE; argparse's own 2 already means a refused zip
    INTERRUPTED = 130  # 128 + SIGINT, as shells have it


_BY_STATUS = {
    Status.COMPLETED: ExitCode.DONE,
    Status.REJECTED: ExitCode.REFUSED,
    Status.FAILED: ExitCode.FAILED,
    Status.STOPPED: ExitCode.STOPPED,
}


def exit_code(status: Status) -> ExitCode:
    """The exit code for a job that ended in `status`. Raises KeyError where it has not ended."""
    return _BY_STATUS[status]


class UsageError(UserError):
    """The command line can't be carried out as typed; the exit code is `ExitCode.USAGE`."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__("usage", message, hint)


class RefusedError(UserError):
    """The photos can't become a model, as told by the zip policy; the exit code is `ExitCode.REFUSED`."""
