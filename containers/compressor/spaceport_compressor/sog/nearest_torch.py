"""The search of `nearest` on a GPU, by torch. Needs torch, which the compressor's image does not have.

Where clustering runs beside training, on a machine with a CUDA device, this takes its place unasked.
"""

from __future__ import annotations

import numpy as np
import torch

from spaceport_compressor.sog.nearest import Errors, Indices, Vectors

PRODUCTS = 2**26  # distances held at a time: 256 MB


class TorchSearch:
    """Keeps the vectors on `device`: an answer brings back twelve bytes a vector.

    It differs from the CPU's by rounding alone. Only the search is done here, the means are added up on
    the CPU: a GPU adds in whatever order its threads come, and the same model would give other bytes.
    """

    def __init__(self, vectors: Vectors, device: torch.device) -> None:
        self._vectors = torch.from_numpy(vectors).to(device)

    def nearest(self, entries: Vectors) -> tuple[Indices, Errors]:
        device = self._vectors.device
        table = torch.from_numpy(entries).to(device)
        halves = (table.double().square().sum(dim=1) / 2).float()
        labels = torch.empty(len(self._vectors), dtype=torch.int64, device=device)
        errors = torch.empty(len(self._vectors), device=device)
        piece = max(1, PRODUCTS // len(entries))
        for first in range(0, len(self._vectors), piece):
            vectors = self._vectors[first : first + piece]
            best = torch.addmm(halves, vectors, table.T, alpha=-1).argmin(dim=1)
            labels[first : first + piece] = best
            errors[first : first + piece] = (vectors - table[best]).square().sum(dim=1)
        return labels.cpu().numpy().astype(np.intp, copy=False), errors.cpu().numpy()
