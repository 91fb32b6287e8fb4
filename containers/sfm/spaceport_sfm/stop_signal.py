"""SIGTERM and Ctrl-C: noted when they come, acted upon where nothing breaks by it.

An exception thrown by the handler itself would come between any two instructions: inside a `finally`, with a
lock held, between a child's start and the variable that knows it.
"""

from __future__ import annotations

import signal
from types import FrameType


class Interrupted(BaseException):
    """The program was asked to stop. Passes where errors are caught."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number  # what a shell reports for a process that this signal ended


class StopSignal:
    """A signal handler that takes note; whoever waits or works asks `leave_if_requested` every second."""

    def __init__(self) -> None:
        self._number: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self._number = number

    def leave_if_requested(self) -> None:
        """Raises Interrupted if the signal has come."""
        if self._number is not None:
            raise Interrupted(self._number)
