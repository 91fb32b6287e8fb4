"""What a program costs, measured in a process of its own: time, processor and memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil

# Starts the program and tells its cost. A process that small in between, because the memory of whoever starts
# a program counts as the program's, too, until that has its own.
_LAUNCHER = """
import json, resource, subprocess, sys, time
began = time.perf_counter()
pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
done = subprocess.run(sys.argv[1:], text=True, errors="replace", **pipes)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({
    "wall_s": time.perf_counter() - began,
    "cpu_s": used.ru_utime + used.ru_stime,
    "peak_mb": used.ru_maxrss * 1024 / 1e6,
    "code": done.returncode,
    "said": done.stdout,
}))
"""


@dataclass(frozen=True)
class Cost:
    """`cpu_s` is of all threads together, `peak_mb` the most memory held at a time (resident, 10⁶ bytes)."""

    wall_s: float
    cpu_s: float
    peak_mb: float


class ProgramFailedError(Exception):
    """It ended with another code than 0, or ran out of time; tells the last line that it said."""


def cost_of(
    command: Sequence[str], limit_s: float | None = None, environment: Mapping[str, str] | None = None
) -> Cost:
    """Run `command` to its end.

    Args:
        limit_s: wall seconds after which it is ended.
        environment: variables that it gets beside ours.

    Raises:
        ProgramFailedError
    """
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", _LAUNCHER, *command],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, **(environment or {})},
    )
    try:
        told, _ = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired as error:
        used = sum(_cpu_seconds(child) for child in psutil.Process(process.pid).children(recursive=True))
        raise ProgramFailedError(f"more than {limit_s:.0f} s ({used:.0f} CPU s until then)") from error
    finally:
        if process.poll() is None:  # out of time, or we are stopped
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    outcome = json.loads(told)
    if outcome["code"]:
        lines = outcome["said"].strip().splitlines() or ["said nothing"]
        raise ProgramFailedError(f"ended with code {outcome['code']}: {lines[-1][:160]}")
    return Cost(outcome["wall_s"], outcome["cpu_s"], outcome["peak_mb"])


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
