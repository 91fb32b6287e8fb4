"""A child process for code that can die: with limits, a clear error, and no orphan left behind."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO

import psutil

from spaceport.errors import UserError
from spaceport_sfm.memory import memory_state

POLL_S = 0.2  # how soon a stop is noticed
MEASURE_S = 1.0  # memory fills at 1-2 GB/s at worst; measuring costs 1 ms
# What the kernel's out-of-memory killer sends.
_MEMORY_SIGNAL = signal.SIGKILL

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """What a child may take.

    Attributes:
        seconds: wall time, far above what its work takes; asked again and again.
        idle_seconds: without work on any core, after which it counts as hung. Waiting for a disk is nothing
            that takes minutes here.
        idle_share: of one core: less is no work. Our own watching of the database takes 0.1 %.
    """

    seconds: Callable[[], float]
    idle_seconds: float = 300.0
    idle_share: float = 0.01


def run_guarded(
    command: Sequence[str],
    limits: Limits,
    doing: Callable[[], str],
    *,
    leave_if_requested: Callable[[], None] = lambda: None,
    output: Callable[[str], None] | None = None,
    log: IO[str] | None = None,
) -> int:
    """Run `command` to its end and return its exit code, 0 or above.

    The child and what it starts are a process group of their own, killed when this call ends in any other way
    than by the child's own end. Its standard input stays open as long as we live (see `end_with_parent`).

    Args:
        doing: what the child does at the moment, for the messages: "placing the photos".
        leave_if_requested: raises where the program is to stop.
        output: gets the lines of the child's standard output, on a thread; None: it shares ours.
        log: for the child's standard error; None: it shares ours.

    Raises:
        UserError: `sfm_timeout`, `sfm_hung`, `sfm_out_of_memory` or `sfm_crashed`, saying at what.
    """
    with _child(command, output, log) as child:
        process = psutil.Process(child.pid)
        watch = _Watch(limits, doing)
        while True:
            try:
                code = child.wait(POLL_S)
                break
            except subprocess.TimeoutExpired:
                leave_if_requested()
                watch.look_at(process)
    if code < 0:
        raise _death(signal.Signals(-code), doing())
    return code


class _Watch:
    """Measures a child and its own children once a second; raises where they exceed the limits."""

    def __init__(self, limits: Limits, doing: Callable[[], str]) -> None:
        self._limits = limits
        self._doing = doing
        self._started = self._measured = self._worked = time.monotonic()
        self._cpu_when_worked = 0.0

    def look_at(self, child: psutil.Process) -> None:
        now = time.monotonic()
        if now - self._measured < MEASURE_S:
            return
        self._measured = now
        if now - self._started > self._limits.seconds():
            spent = _duration(now - self._started)
            raise UserError(
                "sfm_timeout",
                f"The engine was still {self._doing()} after {spent} and was stopped.",
                "Send fewer photos, or choose a smaller sfm_max_size.",
            )
        try:
            family = [child, *child.children(recursive=True)]
        except psutil.Error:  # it has just ended
            return
        self._check_memory(family)
        self._check_work(family, now)

    def _check_memory(self, family: Sequence[psutil.Process]) -> None:
        memory = memory_state(family)
        if memory.is_nearly_out():
            took = f"it took {memory.held / 2**30:.1f} GB, and only {memory.available / 2**30:.1f} are left"
            raise out_of_memory(self._doing(), took)

    def _check_work(self, family: Sequence[psutil.Process], now: float) -> None:
        cpu = sum(map(_cpu_seconds, family))
        # Either way: when a child's child ends, the sum falls.
        if abs(cpu - self._cpu_when_worked) > self._limits.idle_share * self._limits.idle_seconds:
            self._cpu_when_worked, self._worked = cpu, now
        elif now - self._worked > self._limits.idle_seconds:
            raise UserError(
                "sfm_hung",
                f"The engine hung while {self._doing()}: it did nothing for "
                f"{_duration(self._limits.idle_seconds)} and was stopped.",
                "Start it again; if it hangs at the same place, leave out edited or exported photos.",
            )


def out_of_memory(doing: str, details: str = "") -> UserError:
    """The error for a program that ran out of memory while `doing`."""
    return UserError(
        "sfm_out_of_memory",
        f"The engine ran out of memory while {doing}{details and f': {details}'}.",
        "Choose a smaller sfm_max_size, send fewer photos, or use a larger instance.",
    )


def end_with_parent() -> None:
    """In a child of `run_guarded`: die when the parent does, even where it is killed without a word.

    Then nobody holds the other end of our standard input any more, and reading it ends. What we started
    ourselves dies with us.
    """

    def wait_for_the_end() -> None:
        # Not through the buffered sys.stdin: a thread inside that aborts the interpreter's own shutdown.
        while os.read(sys.stdin.fileno(), 1):
            pass
        if os.getpgrp() == os.getpid():
            os.killpg(os.getpgrp(), signal.SIGKILL)
        os._exit(1)  # the main thread may be deep inside native code: nothing else gets through

    threading.Thread(target=wait_for_the_end, name="lifeline", daemon=True).start()


@contextmanager
def _child(
    command: Sequence[str], output: Callable[[str], None] | None, log: IO[str] | None
) -> Iterator[subprocess.Popen[str]]:
    """A child in a process group of its own, which is gone when the block has ended."""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE if output else None,
        stderr=log,
        text=True,
        errors="replace",
        process_group=0,
    ) as child:
        reader = threading.Thread(target=_read, args=(child, output), name="engine-output", daemon=True)
        if output:
            reader.start()
        try:
            yield child
        finally:
            with suppress(ProcessLookupError):  # nobody is left of the group
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            if output:
                reader.join()


def _read(child: subprocess.Popen[str], output: Callable[[str], None]) -> None:
    """Hand the child's lines to `output`, and read on where it fails: a full pipe would stop the child."""
    if child.stdout is None:
        return
    try:
        for line in child.stdout:
            output(line)
    except OSError as error:  # the terminal has gone away, the log's disk is full
        logger.warning("what the engine prints is lost: %s", error)
        for _ in child.stdout:
            pass


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"


def _death(by: signal.Signals, doing: str) -> UserError:
    if by == _MEMORY_SIGNAL:
        return out_of_memory(doing)
    return UserError(
        "sfm_crashed",
        f"The engine crashed while {doing} ({by.name}).",
        "Leave out edited or exported photos and retry; one may be broken in a way we don't recognise.",
    )
