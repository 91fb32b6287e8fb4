"""Threads for compiled kernels: as many as there are cores to run them, and no more.

Kernels release the GIL and take a range of their work, so plain Python threads run them in parallel.
Numba's own `parallel=True` is not used: it compiles longer, its fallback scheduler ends
the process when two threads launch kernels at once, and its OpenMP threads spin against torch's.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any


def available_cores() -> int:
    """The cores this process may run on: its affinity and its container's CPU quota, where there are such."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _cores_of_quota())


@cache
def _cores_of_quota() -> int:
    """Looked up once: files are slow to read beside a kernel."""
    # A share of a core more is still work done: rounded up.
    return max(1, math.ceil(min(cpu_quota(), 2**31)))


def cpu_quota(system: Path = Path("/")) -> float:
    """How many cores' time the kernel gives this process's control group; infinity where nothing bounds it.

    A container that was given a part of a machine (`docker run --cpus`, ECS) sees all of its cores. More
    threads than its quota use that up early, and then all stand still for the rest of each period.

    Args:
        system: the root folder.
    """
    quota = math.inf
    for folder in _control_groups(system):
        try:  # version 2 of control groups
            allowed, period = (folder / "cpu.max").read_text().split()
        except (OSError, ValueError):
            try:  # version 1
                allowed = (folder / "cpu.cfs_quota_us").read_text().strip()
                period = (folder / "cpu.cfs_period_us").read_text()
            except OSError:
                continue
        if allowed not in {"max", "-1"}:
            quota = min(quota, float(allowed) / float(period))
    return quota


def _control_groups(system: Path) -> list[Path]:
    """The folders of this process's group and of those that it is in, as far as they can be seen."""
    mounted = system / "sys/fs/cgroup"
    try:
        lines = (system / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    folders = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            own = Path(path.lstrip("/"))
            # In a container the path may be the host's: then only the mounted folder itself is there.
            for root in (mounted, mounted / "cpu", mounted / controllers):
                folders += [root / group for group in (own, *own.parents)]
    return list(dict.fromkeys(folders))


def run_over(count: int, kernel: Callable[..., None], *arguments: Any, ranges_per_core: int = 1) -> None:
    """Calls `kernel(first, end, *arguments)` over ranges that together cover `range(count)`.

    The result must not depend on how the work is cut: kernels write where no other range writes.

    Args:
        ranges_per_core: more than one evens out ranges that differ in work, and cores that others use, too.
    """
    cores = min(available_cores(), count)
    if cores <= 1:
        if count:
            kernel(0, count, *arguments)
        return
    pieces = min(count, cores * ranges_per_core)
    bounds = [count * piece // pieces for piece in range(pieces + 1)]
    # Taking the next item of a list's iterator is atomic: each range is run once.
    waiting = iter(list(pairwise(bounds)))

    def work() -> None:
        for first, end in waiting:
            kernel(first, end, *arguments)

    helpers = [_pool(os.getpid()).submit(work) for _ in range(cores - 1)]
    work()
    for helper in helpers:
        # On a busy machine all may be done before a helper got a core: that one is not waited for.
        if not helper.cancel():
            helper.result()


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """The helpers of this `process`; a forked child does not inherit threads and gets its own."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix=f"kernels-{process}")
