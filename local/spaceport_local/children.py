"""Child processes that can't outlive the engine, however the engine ends.

A prctl death signal would reach only the direct child, and fires when the *thread* that started it ends.
So one small process, the warden, holds the reading end of a pipe whose writing end only the engine holds.
The engine tells it the process groups it starts; when the pipe closes, because the engine ended or was
killed, the warden kills every group that is left.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

# What a child may see of the user's environment. No AWS_*: a job has no credentials, as in the cloud.
PASSED_ON = (
    *("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ"),
    *("LD_LIBRARY_PATH", "CUDA_HOME", "CUDA_VISIBLE_DEVICES", "TORCH_CUDA_ARCH_LIST"),
    *("TORCH_EXTENSIONS_DIR", "XDG_CACHE_HOME", "CC", "CXX", "MAX_JOBS"),  # gsplat compiles when first used
    *("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "NUMBA_CACHE_DIR", "SSL_CERT_FILE"),
)
WARDEN = Path(__file__).with_name("warden.py")


def passed_on(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The part of `environ` that children may see."""
    return {name: environ[name] for name in PASSED_ON if name in environ}


class Warden:
    """The engine's end of the pipe. Groups are killed on `release`, or when this process ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            # -I -S: nothing of the user's environment, 10 ms to start, 8 MB
            [sys.executable, "-I", "-S", str(WARDEN)],
            stdin=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C for the engine must not end it before its work
        )
        if os.getpgrp() == os.getpid():
            self._tell("+", os.getpid())  # the engine's own group: its Lambda workers

    def start(self, command: Sequence[str], **popen: Any) -> subprocess.Popen[bytes]:
        """Start `command` in a process group of its own, which the warden watches until `release`."""
        child = subprocess.Popen(command, start_new_session=True, **popen)
        self._tell("+", child.pid)
        return child

    def release(self, child: subprocess.Popen[bytes]) -> None:
        """Kill what is left of the child's group and watch it no longer."""
        signal_group(child.pid, signal.SIGKILL)
        self._tell("-", child.pid)

    def _tell(self, sign: str, group: int) -> None:
        pipe: IO[bytes] | None = self._process.stdin
        # Without a warden a job still runs: it is only less sure to end with a killed engine.
        with self._lock, contextlib.suppress(BrokenPipeError):
            if pipe is not None:
                pipe.write(f"{sign}{group}\n".encode())
                pipe.flush()


def signal_group(group: int, number: signal.Signals) -> None:
    """Send a signal to every process of a group; a group that is gone is none of our business."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
