"""Threads for compiled kernels: as many as there are cores to run them, and no more.

Kernels release the GIL and take a range of their work, so plain Python threads run them in parallel.
Numba's own `parallel=True` is not used: it compiles longer, its fallback scheduler ends
the process when two threads launch kernels at once, and its OpenMP threads spin against torch's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any


def available_cores() -> int:
    """The cores this process may run on: its affinity where the system has one, else all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_over(count: int, kernel: Callable[..., None], *arguments: Any, ranges_per_core: int = 1) -> None:
    """Calls `kernel(first, end, *arguments)` over ranges that together cover `range(count)`.

    The result must not depend on how the work is cut: kernels write where no other range writes.

    Args:
        ranges_per_core: more than one evens out ranges that differ in work.
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
        helper.result()


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """The helpers of this `process`; a forked child does not inherit threads and gets its own."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix=f"kernels-{process}")
