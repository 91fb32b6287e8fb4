"""Compiles the kernels that compressing a model and judging it take, ahead of the first job.

    python -m spaceport_compressor.warm_cache

What `spaceport_render.warm_cache` says of CPUs holds here, too.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from spaceport_compressor.judging.fidelity import references_without_photos
from spaceport_compressor.judging.orbit import orbit_around
from spaceport_compressor.judging.rate_choice import write_smallest
from spaceport_compressor.lod.decimation import thinned
from spaceport_compressor.lod.mixture import mixture_of
from spaceport_render.gaussians import Gaussians
from spaceport_render.warm_cache import compile_rasterizer

COUNT = 500  # Gaussians: enough that their palette has to be clustered


def compile_writer() -> None:
    """Pack and judge a few Gaussians: whatever kernels that takes are then there."""
    rng = np.random.default_rng(0)
    shapes = [(3,), (4,), (3,), (), (16, 3)]
    few = Gaussians(*(rng.normal(0, 1, (COUNT, *shape)).astype(np.float32) for shape in shapes))
    cameras = orbit_around(few, longer_side=32)
    with TemporaryDirectory() as folder:
        references = references_without_photos(few, cameras)
        write_smallest(Path(folder) / "model.sog", few, cameras, references, seed=0, progress=_untold)
    thinned(mixture_of(few, np.ones(len(few))), 1)


def _untold(_fraction: float, _message: str = "", **_metrics: float) -> None:
    """Nobody waits for this."""


if __name__ == "__main__":
    compile_rasterizer()
    compile_writer()
