"""SIGTERM and Ctrl-C: noted when they come, acted upon where nothing breaks by it.

SageMaker stops a job by SIGTERM, and a spot interruption starts with it; a kill follows. An exception thrown
by the handler itself would come between any two instructions: inside a `finally`, with a lock held, between a
child's start and the variable that knows it, in the midst of Numba's compiler.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(BaseException):
    """The program was asked to stop, and has saved what it had. Passes where errors are caught."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = exit_code_of(number)


class StopSignal:
    """A signal handler that takes note. Whoever waits or works asks every second whether it has.

    Args:
        leave: ends the process at once, with the exit code that it is given, where nothing is lost by that:
            see `noted_while`. It must not raise. None: the signal is only noted, whenever it comes.
    """

    def __init__(self, leave: Callable[[int], None] | None = None) -> None:
        self._leave = leave
        self._number: int | None = None
        self._at_stake: Callable[[], bool] = _nothing

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take note; leave, where nothing is at stake."""
        self._number = number
        if self._leave is not None and not self._at_stake():
            self._leave(exit_code_of(number))

    def is_requested(self) -> bool:
        """Whether the signal has come: then save what is at stake and leave `noted_while`."""
        return self._number is not None

    def leave_if_requested(self) -> None:
        """Raises Interrupted if the signal has come."""
        if self._number is not None:
            raise Interrupted(self._number)

    @contextmanager
    def noted_while(self, at_stake: Callable[[], bool]) -> Iterator[None]:
        """Within, the signal is only noted while `at_stake()` is true, and raises Interrupted at the end.

        Reading, seeding, compiling kernels and measuring can be done again; iterations that are in no
        checkpoint can't.
        """
        self._at_stake = at_stake
        try:
            yield
        finally:
            self._at_stake = _nothing
        self.leave_if_requested()


def exit_code_of(number: int) -> int:
    """What a shell reports for a process that the signal `number` ended."""
    return 128 + number


def _nothing() -> bool:
    return False
