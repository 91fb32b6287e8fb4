"""A function's worker processes: as many as there are cores, and a call ends with its last log line.

MiniStack starts a process for each call that finds none free. Fifty jobs that print a line at the same time
are fifty processes of `RecordProgress`, 80 MB each, for two cores. Here a call waits for one that there is.

MiniStack can't tell whether a function has said all: it looks every millisecond, 50 ms long where there is
nothing to come. Here the worker marks the end of a call in its log.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from spaceport_local.patches.seams import Seam

SEAMS = (
    Seam("core.lambda_runtime:_PYTHON_WORKER_SCRIPT", "368800addf4d"),
    Seam("core.lambda_runtime:acquire_worker", "5017d144adb5"),
    Seam("core.lambda_runtime:release_worker", "25d5dd7d42b6"),
    Seam("core.lambda_runtime:_worker_key", "0537100beb43"),
    Seam("core.lambda_runtime:Worker._spawn", "c55febf95656"),
    Seam("core.lambda_runtime:Worker._read_stderr", "d8eb30038f94"),
    Seam("core.lambda_runtime:Worker._drain_stderr", "71498e9146ca"),
    Seam("core.lambda_runtime:Worker._drain_stderr_bounded", "3fd7cc742872"),
    Seam("services.lambda_svc:_execute_function_warm", "62b9218bef5b"),
)
AT_ONCE = max(2, os.cpu_count() or 1)  # calls of one function; two on one core, for a call mostly waits
# For a free worker. After that there is one more: it may be that the function waits for a call of itself.
PATIENCE_S = 5.0
LOOK_S = 0.2  # a worker that could not be started is dropped without a word
END = "\x1e end of call"  # no line of a log begins with a record separator
CALL = "result = handler_fn(event, context)\n"
CALL_WITH_END = (
    "try:\n"
    "                result = handler_fn(event, context)\n"
    "            finally:\n"
    f"                sys.stderr.write({END + chr(10)!r})\n"
    "                sys.stderr.flush()\n"
)
LAST_LINES_WAIT_S = 0.25  # for the mark: as long as MiniStack waits for a log at most


def install() -> None:
    _mark_ends()
    turns = _Turns()
    lambda_svc.acquire_worker = lambda_runtime.acquire_worker = turns.acquire
    lambda_svc.release_worker = lambda_runtime.release_worker = turns.release


class _Turns:
    """Leases a function's workers, `AT_ONCE` of them at a time."""

    def __init__(self) -> None:
        self._acquire, self._release = lambda_runtime.acquire_worker, lambda_runtime.release_worker
        self._freed: dict[str, threading.Condition] = {}  # by function

    def acquire(
        self,
        function: str,
        config: dict[str, Any],
        code: bytes,
        qualifier: str = "$LATEST",
        max_concurrency: int | None = None,
    ) -> Any:
        key = lambda_runtime._worker_key(function, config, qualifier)
        freed = self._freed.setdefault(function, threading.Condition())
        deadline = time.monotonic() + PATIENCE_S
        with freed:
            while _in_use(key) >= AT_ONCE and time.monotonic() < deadline:
                freed.wait(LOOK_S)
            return self._acquire(function, config, code, qualifier, max_concurrency)

    def release(self, worker: Any) -> None:
        self._release(worker)
        if worker is not None:
            freed = self._freed[worker.func_name]
            with freed:
                freed.notify()


def _in_use(key: str) -> int:
    return sum(worker.in_use for worker in list(lambda_runtime._workers.get(key, ())))


def _mark_ends() -> None:
    lambda_runtime._PYTHON_WORKER_SCRIPT = lambda_runtime._PYTHON_WORKER_SCRIPT.replace(CALL, CALL_WITH_END)
    worker = lambda_runtime.Worker
    drain_by_time = worker._drain_stderr_bounded
    # Marks that a call has not waited for, by its process' log: taken for the next call's own, one that came
    # late would put every call's lines among those of the call after it.
    late: WeakKeyDictionary[queue.Queue[str], int] = WeakKeyDictionary()

    def read_to_end(self: Any) -> None:
        lines = self._stderr_queue
        try:
            for line in self._proc.stderr:
                lines.put(line.rstrip("\n"))
        finally:
            lines.put(END)  # the process has ended, perhaps in the middle of a call

    def drain_to_end(self: Any) -> str:
        if not self.config.get("Runtime", "").startswith("python"):
            return str(drain_by_time(self))
        lines: list[str] = []
        log = self._stderr_queue
        to_come = late.pop(log, 0) + 1
        deadline = time.monotonic() + LAST_LINES_WAIT_S
        with suppress(queue.Empty):  # a process that the function has started may hold its log open
            while to_come:
                lines.append(log.get(timeout=max(0, deadline - time.monotonic())))
                to_come -= lines[-1].endswith(END)  # what was said before may lack its line's end
        late[log] = to_come
        return _without_marks(lines)

    def drain_now(self: Any) -> str:
        lines = []
        while not self._stderr_queue.empty():
            lines.append(self._stderr_queue.get())
        return _without_marks(lines)

    worker._read_stderr, worker._drain_stderr = read_to_end, drain_now
    worker._drain_stderr_bounded = drain_to_end


def _without_marks(lines: list[str]) -> str:
    said = (line.removesuffix(END) for line in lines if line != END)
    return "\n".join(said)
