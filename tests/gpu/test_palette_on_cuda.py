"""The palette's clustering where there is a GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spaceport_compressor.sog import kmeans
from spaceport_compressor.sog.nearest import CpuSearch, search_in
from spaceport_compressor.sog.nearest_torch import TorchSearch

pytestmark = pytest.mark.gpu

if not torch.cuda.is_available():
    pytest.skip("gpu: torch sees no CUDA device", allow_module_level=True)


def test_the_gpu_searches_unasked_and_gives_the_same_bytes_again(monkeypatch):
    # Given vectors, and a machine with a GPU
    vectors = np.random.default_rng(0).normal(size=(50_000, 45)).astype(np.float32)
    assert isinstance(search_in(vectors), TorchSearch)
    # When two palettes are built on it, and one on the CPU
    once, again = kmeans.build_palette(vectors, 1000), kmeans.build_palette(vectors, 1000)
    monkeypatch.setattr(kmeans, "search_in", CpuSearch)
    on_cpu = kmeans.build_palette(vectors, 1000)
    # Then the two are equal, and the third is as good
    assert np.array_equal(once.entries, again.entries)
    assert np.array_equal(once.labels, again.labels)
    by_gpu, by_cpu = (((vectors - p.entries[p.labels]) ** 2).mean() for p in (once, on_cpu))
    assert by_gpu == pytest.approx(by_cpu, rel=1e-3)
