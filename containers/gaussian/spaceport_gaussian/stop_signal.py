"""SIGTERM: SageMaker's stop and a spot interruption both start with it; a kill follows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(BaseException):
    """The program was asked to stop, and has saved what it had. Passes where errors are caught."""


class StopSignal:
    """A handler of SIGTERM: ends the process where nothing is lost by that, else waits for a good moment.

    Reading, seeding, compiling kernels and measuring can be done again; iterations that are in no checkpoint
    can't.

    Args:
        leave: ends the process at once. It must not raise: Numba's compiler, for one, hangs or fails in
            strange ways when an exception comes between any two of its instructions.
    """

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave = leave
        self._is_noted = False
        self._at_stake: Callable[[], bool] = _nothing

    def __call__(self, signal_number: int, frame: FrameType | None) -> None:
        """Leave, or take note where something is at stake."""
        self._is_noted = True
        if not self._at_stake():
            self._leave()

    def is_requested(self) -> bool:
        """Whether the signal has come: then save what is at stake and leave `noted_while`."""
        return self._is_noted

    @contextmanager
    def noted_while(self, at_stake: Callable[[], bool]) -> Iterator[None]:
        """Within, the signal is only noted while `at_stake()` is true, and raises Interrupted at the end."""
        self._at_stake = at_stake
        try:
            yield
        finally:
            self._at_stake = _nothing
        if self.is_requested():
            raise Interrupted


def _nothing() -> bool:
    return False
