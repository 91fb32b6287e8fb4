"""For each of many vectors the nearest of some entries: where clustering spends its time.

As |v − e|² = |v|² + 2 (|e|²/2 − v·e), most of it is a product of matrices, which BLAS makes 2.5 times as fast
as a Numba kernel did. On a CPU it is NumPy's; where torch and a CUDA device are, `nearest_torch` does it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from threading import Lock
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from spaceport_render.threads import run_over

Vectors = NDArray[np.float32]
Indices = NDArray[np.intp]
Errors = NDArray[np.float32]

BLOCK = 512  # rows: with 1,000 entries 2 MB of products, which stay in a core's cache
BLOCKS_PER_CORE = 4  # or more: cores that others use, too, then finish together
# One search at a time, each on all cores: BLAS's limit below is the whole process's, and of files that are
# packed at once, as levels of detail are, the first to end would lift it for the others, the last leave it.
_searching = Lock()


class Rows(Protocol):
    """Vectors that are made when they are asked for; an array is such, too."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, chosen: Indices) -> Vectors:
        """Those at `chosen` (M,): (M, D)."""


class Search(Protocol):
    """Knows some vectors; is asked again and again with other entries."""

    def nearest(self, entries: Vectors) -> tuple[Indices, Errors]:
        """For each of the vectors: the index of the nearest of `entries` (K, D), and the squared distance."""


def search_in(vectors: Vectors) -> Search:
    """The fastest search over `vectors` (N, D) that this machine has."""
    if not _has_cuda():
        return CpuSearch(vectors)
    import torch  # noqa: PLC0415 - the compressor's image has none

    from spaceport_compressor.sog.nearest_torch import TorchSearch  # noqa: PLC0415 - needs torch

    return TorchSearch(vectors, torch.device("cuda"))


@cache
def _has_cuda() -> bool:
    # Looked for first, because importing torch takes seconds and 200 MB where it has nothing to offer.
    if not any(Path("/dev").glob("nvidia[0-9]*")):
        return False
    try:
        import torch  # noqa: PLC0415 - the compressor's image has none
    except ImportError:
        return False
    return bool(torch.cuda.is_available())


class CpuSearch:
    """On the CPU's cores. The result does not depend on how many there are."""

    def __init__(self, vectors: Vectors) -> None:
        self._squares = np.einsum("nd,nd->n", vectors, vectors)
        self._rows = np.column_stack([vectors, np.ones(len(vectors), np.float32)])

    def nearest(self, entries: Vectors) -> tuple[Indices, Errors]:
        halves = np.einsum("kd,kd->k", entries, entries, dtype=np.float64) / 2
        labels, least = least_products(self._rows, np.vstack([-entries.T, halves]).astype(np.float32))
        return labels, (self._squares + 2 * least).clip(0)  # rounding may leave less


def least_products(rows: Vectors, columns: Vectors) -> tuple[Indices, Errors]:
    """For each of `rows` (M, D): the one of `columns` (D, K) with the least product, and that product."""
    labels, least = np.empty(len(rows), np.intp), np.empty(len(rows), np.float32)
    # Blocks are the same for any number of cores: another shape may be multiplied in another order.
    blocks = -(-len(rows) // BLOCK)
    # Every core has a block of its own: threads of BLAS's own only wait for each other, and where the machine
    # is busy that took nine times as long.
    with _searching, _blas().limit(limits=1):
        run_over(blocks, _fill_least, rows, columns, labels, least, ranges_per_core=BLOCKS_PER_CORE)
    return labels, least


@cache
def _blas() -> ThreadpoolController:
    """Looked for once: it goes through all libraries that are loaded."""
    return ThreadpoolController().select(user_api="blas")


def _fill_least(  # noqa: PLR0917 - `run_over` gives them in this order
    first: int, end: int, rows: Vectors, columns: Vectors, labels: Indices, least: Errors
) -> None:
    """`least_products` of the blocks `first` to `end`; BLAS and NumPy work without the GIL."""
    room = np.empty((BLOCK, columns.shape[1]), np.float32)
    for start in range(first * BLOCK, min(end * BLOCK, len(rows)), BLOCK):
        block = slice(start, min(start + BLOCK, len(rows)))
        products = np.matmul(rows[block], columns, out=room[: block.stop - start])
        labels[block] = products.argmin(axis=1)
        least[block] = products[np.arange(len(products)), labels[block]]
