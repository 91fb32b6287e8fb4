"""Models to compress: made up, but shaped like trained ones (a relief of flat splats, colours by place)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from spaceport_render.gaussians import Gaussians

MakeGaussians = Callable[..., Gaussians]


@pytest.fixture(scope="session")
def make_gaussians() -> MakeGaussians:
    """`make_gaussians(count, degree=3, seed=0)`: a piece of land of 120 m × 120 m."""

    def make(count: int, degree: int = 3, seed: int = 0) -> Gaussians:
        rng = np.random.default_rng(seed)
        east, north = rng.uniform(-60, 60, (2, count))
        up = 4 * np.sin(east / 9) + 3 * np.cos(north / 7)
        coefficients = (degree + 1) ** 2
        sh = np.zeros((count, coefficients, 3))
        sh[:, 0] = np.stack([np.sin(east / 11), np.cos(north / 13), np.sin((east + north) / 17)], axis=1)
        # Forty materials, each with its own sheen, and what training leaves of noise.
        sheens = rng.normal(0, 0.08, (40, coefficients - 1, 3))
        sh[:, 1:] = sheens[rng.integers(0, 40, count)] + rng.normal(0, 0.02, (count, coefficients - 1, 3))
        log_scales = np.log(120 / np.sqrt(count)) + rng.normal(-0.3, 0.4, (count, 3)) - [0, 0, 1.5]
        arrays = (
            np.stack([east, north, up], axis=1),
            rng.normal(0, 1, (count, 4)),
            log_scales,
            rng.normal(1.5, 1.5, count),
            sh,
        )
        return Gaussians(*(np.ascontiguousarray(array, dtype=np.float32) for array in arrays))

    return make
