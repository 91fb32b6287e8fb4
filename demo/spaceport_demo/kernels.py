"""How the numeric kernels are compiled and run on all cores."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba

BAND = 16  # rows: small enough that all cores end together

# A kernel indexes arrays by scalars only: a slice counts references, which threads then fight over.
# `cache`: compiled once a machine. `nogil`: bands run at the same time. `numpy`: a division by zero gives
# infinity instead of a test at each division. `contract`: fused multiply-add; nothing is reordered, so
# that a seed gives the same bytes on the same machine.
kernel: Callable[..., Any] = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})


def run_in_bands(fill: Callable[..., None], rows: int, *arguments: object) -> None:
    """Call `fill(first_row, end_row, *arguments)` for bands that cover `rows`, on all of Numba's threads.

    `fill` is a kernel that writes its own rows only, so that the result does not depend on the number of
    threads. (Numba's own `prange` does not take nested tuples, which is what a landscape is.)
    """
    with ThreadPoolExecutor(numba.config.NUMBA_NUM_THREADS) as pool:
        bands = range(0, rows, BAND)
        tasks = [pool.submit(fill, first, min(rows, first + BAND), *arguments) for first in bands]
        for task in tasks:
            task.result()
