"""Compiles the rasterizer's kernels ahead of the first job, which else takes a quarter of a minute for it.

    python -m spaceport_render.warm_cache

Numba keeps the code where `kernel` says, for the CPU that this runs on: a job on another kind of CPU
compiles its own. Where the two may differ, as for a container's image, set NUMBA_CPU_NAME and
NUMBA_CPU_FEATURES alike for both, to what all of them have.
"""

from __future__ import annotations

import numpy as np

from spaceport_render import structural_similarity
from spaceport_render.numba_rasterizer import Splats, Viewpoint, differentiate, draw


def compile_rasterizer() -> None:
    """Draws and differentiates one Gaussian: kernels are compiled for the types that they are called with."""
    one = Splats(
        means=np.array([[0, 0, 5]], np.float32),
        quats=np.array([[1, 0, 0, 0]], np.float32),
        scales=np.ones((1, 3), np.float32),
        opacities=np.ones(1, np.float32),
        sh_dc=np.zeros((1, 1, 3), np.float32),
        sh_rest=np.zeros((1, 0, 3), np.float32),
    )
    size = 16
    lens = np.array([[size, 0, size / 2], [0, size, size / 2], [0, 0, 1.0]])
    viewpoint, black = Viewpoint.of(np.eye(4), lens, size, size), np.zeros(3, np.float32)
    drawing = draw(one, viewpoint, 0, black)
    differentiate(drawing, one, viewpoint, 0, black, np.ones_like(drawing.image), np.ones_like(drawing.alpha))


def compile_similarity() -> None:
    """The same for SSIM, which training asks for."""
    rows = np.zeros((1, structural_similarity.CHANNELS), np.float32)
    slopes, totals = np.zeros((3, *rows.shape), np.float32), np.zeros(1)
    structural_similarity.target_moments(0, 1, rows, np.zeros_like(rows), np.zeros_like(rows))
    structural_similarity.similarity(0, 1, rows, rows, rows, rows, totals, slopes)
    structural_similarity.similarity_backward(0, 1, rows, rows, slopes, np.float32(1), np.zeros_like(rows))


if __name__ == "__main__":
    compile_rasterizer()
    compile_similarity()
