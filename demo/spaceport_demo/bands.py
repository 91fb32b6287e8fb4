"""Runs a kernel on all cores: the rows of its result in bands, each band a task for a pool of threads.

Numba's own `prange` does not take nested tuples, which is what a landscape is; and it compiles slowly.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba

BAND = 16  # rows: small enough that all cores end together


def run_in_bands(kernel: Callable[..., None], rows: int, *arguments: object) -> None:
    """Call `kernel(first_row, end_row, *arguments)` for bands that cover `rows`.

    The kernel must release the GIL (`nogil=True`) and write its own rows only, so that the result does
    not depend on the number of threads.
    """
    with ThreadPoolExecutor(numba.config.NUMBA_NUM_THREADS) as pool:
        tasks = [
            pool.submit(kernel, first, min(rows, first + BAND), *arguments) for first in range(0, rows, BAND)
        ]
        for task in tasks:
            task.result()
