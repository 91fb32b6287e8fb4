"""The two rasterizers behind `rasterize` draw and differentiate the same scene alike."""

from __future__ import annotations

import importlib.util
import math

import numpy as np
import pytest
import torch

from spaceport_render.rasterize import rasterize

pytestmark = pytest.mark.gpu

if not torch.cuda.is_available():
    pytest.skip("gpu: torch sees no CUDA device", allow_module_level=True)
if importlib.util.find_spec("gsplat") is None:
    pytest.skip("gpu: gsplat is not installed", allow_module_level=True)

PARAMETERS = ("means", "quats", "scales", "opacities", "sh")


def scene(count: int) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(0)
    values = {
        "means": rng.normal(size=(count, 3)) * (2.5, 2.0, 2.0),
        "quats": rng.normal(size=(count, 4)),
        "scales": np.exp(rng.normal(-2.5, 0.7, size=(count, 3))),
        "opacities": 1 / (1 + np.exp(-rng.normal(0, 2, size=count))),
        "sh": rng.normal(size=(count, 16, 3)) * 0.3,
    }
    return {name: torch.tensor(value, dtype=torch.float32) for name, value in values.items()}


@pytest.mark.parametrize(("degree", "antialiased"), [(0, False), (3, False), (3, True)])
def test_gsplat_and_numba_agree(degree, antialiased):
    width, height = 250, 190
    view = torch.eye(4)
    turn = 0.2
    view[0, 0], view[0, 2], view[2, 0], view[2, 2] = (
        math.cos(turn),
        math.sin(turn),
        -math.sin(turn),
        math.cos(turn),
    )
    view[2, 3] = 6
    lens = torch.tensor([[260.0, 0, 131], [0, 250, 92], [0, 0, 1]])
    weights = torch.randn(height, width, 4, generator=torch.Generator().manual_seed(0))
    results = {}
    for device in ("cpu", "cuda"):
        leaves = {name: value.to(device).requires_grad_() for name, value in scene(3000).items()}
        drawn = rasterize(
            *leaves.values(),
            view.to(device),
            lens.to(device),
            width,
            height,
            sh_degree=degree,
            background=(0.1, 0.5, 0.9),
            antialiased=antialiased,
        )
        picture = torch.cat([drawn.image, drawn.alpha[..., None]], dim=-1)
        (picture * weights.to(device)).sum().backward()
        gradients = {name: leaf.grad.cpu() for name, leaf in leaves.items()}
        signed, absolute = drawn.mean_gradients()
        gradients |= {"means2d": signed.cpu(), "means2d_absolute": absolute.cpu()}
        results[device] = picture.detach().cpu(), drawn.radii.cpu(), gradients

    (ours, radii, gradients), (theirs, their_radii, their_gradients) = results["cpu"], results["cuda"]
    # A pixel whose alpha or transmittance lies on a threshold may fall on either side of it.
    assert ((ours - theirs).abs() < 1e-3).float().mean() > 0.999
    assert (ours - theirs).abs().mean() < 1e-5
    # Footprints that only touch the image's edge may be drawn by one and not by the other.
    assert ((radii > 0) != (their_radii > 0)).float().mean() < 0.005
    assert (radii - their_radii)[(radii > 0) & (their_radii > 0)].abs().max() <= 1
    for name, gradient in their_gradients.items():
        assert (gradients[name] - gradient).norm() / gradient.norm() < 5e-3, name
