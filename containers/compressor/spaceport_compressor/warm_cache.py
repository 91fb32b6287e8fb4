"""Compiles the kernels that compressing a model and judging it take, ahead of the first job.

    python -m spaceport_compressor.warm_cache

What `spaceport_render.warm_cache` says of CPUs holds here, too.
"""

from __future__ import annotations

import numpy as np

from spaceport_compressor.lod.decimation import thinned
from spaceport_compressor.lod.mixture import mixture_of
from spaceport_compressor.sog.codebook import fit_codebook
from spaceport_compressor.sog.kmeans import build_palette
from spaceport_render.gaussians import Gaussians
from spaceport_render.warm_cache import compile_rasterizer

if __name__ == "__main__":
    compile_rasterizer()
    build_palette(np.arange(8, dtype=np.float32).reshape(4, 2), size=2)
    fit_codebook(np.arange(3.0))
    pair = Gaussians(*(np.ones((2, *shape), np.float32) for shape in [(3,), (4,), (3,), (), (16, 3)]))
    thinned(mixture_of(pair, np.ones(2)), 1)
