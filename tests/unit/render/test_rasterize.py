from __future__ import annotations

import math
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from spaceport_render.rasterize import rasterize

PARAMETERS = ("means", "quats", "scales", "opacities", "sh")
BACKGROUND = (0.2, 0.3, 0.4)


# Test folders are no packages, so the module beside this one is run, not imported.
rasterize_by_definition = runpy.run_path(str(Path(__file__).with_name("oracle.py")))[
    "rasterize_by_definition"
]


def camera(width: int, height: int) -> tuple[Tensor, Tensor]:
    """At (0, 0, -6), a little turned, with its principal point off the middle."""
    turn = 0.1
    rotation = torch.tensor(
        [[math.cos(turn), 0, math.sin(turn)], [0, 1, 0], [-math.sin(turn), 0, math.cos(turn)]]
    )
    view = torch.eye(4)
    view[:3, :3] = rotation
    view[:3, 3] = -rotation @ torch.tensor([0.0, 0, -6])
    focal = 1.1 * width
    return view, torch.tensor([[focal, 0, width * 0.53], [0, focal * 1.05, height * 0.46], [0, 0, 1]])


def splats(count: int, seed: int, coefficients: int = 16) -> dict[str, Tensor]:
    """A cloud about as wide as the view: some are off its edge, some behind it, many nearly opaque."""
    rng = np.random.default_rng(seed)
    values = {
        "means": rng.normal(size=(count, 3)) * (1.6, 1.4, 2.0),
        "quats": rng.normal(size=(count, 4)) * 2,
        "scales": np.exp(rng.normal(-1.6, 0.8, size=(count, 3))),
        "opacities": 1 / (1 + np.exp(-rng.normal(1, 2, size=count))),
        "sh": rng.normal(size=(count, coefficients, 3)) * 0.4,
    }
    return {name: torch.tensor(value, dtype=torch.float32) for name, value in values.items()}


def with_special_cases(cloud: dict[str, Tensor]) -> dict[str, Tensor]:
    """The first Gaussians of `cloud` made into cases that rasterizers get wrong."""
    cloud = {name: value.clone() for name, value in cloud.items()}
    cloud["means"][0] = torch.tensor([0.3, 0.2, -9])  # behind the camera
    cloud["means"][1] = torch.tensor([5.5, 0.5, -1.0])  # so far off the axis that its slope is clamped …
    cloud["scales"][1] = torch.tensor([2.5, 1.2, 0.7])  # … and so large that it is seen
    cloud["quats"][1] = torch.tensor([1.0, 0, 0, 0])
    cloud["opacities"][1] = 0.9
    cloud["means"][2] = torch.tensor([0.1, 0.0, -5.7])  # in front of the lens, over the whole image
    cloud["opacities"][2] = 0.3
    for i in range(3, 9):  # a stack in one line of sight: the rule for finished pixels
        cloud["means"][i] = torch.tensor([-0.5, 0.4, 0.2 * i])
        cloud["opacities"][i] = 0.97
    cloud["opacities"][9] = 1.0  # alpha held at 0.999
    cloud["opacities"][10] = 0.0039  # fainter than the cut
    cloud["scales"][11] = torch.tensor([1e-4, 1e-4, 1e-4])  # a point
    cloud["scales"][12] = torch.tensor([1.0, 1e-3, 1e-3])  # a needle
    cloud["sh"][13, 0] = -3.0  # colours below 0
    return cloud


def difference(ours: Tensor, expected: Tensor) -> float:
    """Relative L2 distance."""
    return float((ours.double() - expected).norm() / expected.norm())


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("degree", "antialiased"), [(0, False), (1, True), (2, False), (3, False), (3, True)]
)
def test_image_and_gradients_are_those_of_the_definition(degree, antialiased, seed):
    width, height = 70, 45  # no multiples of the tiles' 16 pixels
    view, lens = camera(width, height)
    cloud = with_special_cases(splats(120, seed))
    ours = {name: value.clone().requires_grad_() for name, value in cloud.items()}
    exact = {name: value.double().requires_grad_() for name, value in cloud.items()}
    rng = torch.Generator().manual_seed(seed)
    image_weights, alpha_weights = (
        torch.randn(height, width, 3, generator=rng),
        torch.randn(height, width, generator=rng),
    )

    mode = {"sh_degree": degree, "background": BACKGROUND, "antialiased": antialiased}
    result = rasterize(*ours.values(), view, lens, width, height, **mode)
    ((result.image * image_weights).sum() + (result.alpha * alpha_weights).sum()).backward()
    image, alpha, means2d = rasterize_by_definition(*exact.values(), view, lens, width, height, **mode)
    ((image * image_weights).sum() + (alpha * alpha_weights).sum()).backward()

    assert (result.image - image).abs().max() < 1e-3
    assert (result.alpha - alpha).abs().max() < 1e-3
    for name in PARAMETERS:
        assert difference(ours[name].grad, exact[name].grad) < 1e-3, name
    seen = result.radii > 0
    assert difference(result.mean_gradients().signed[seen], means2d.grad[seen]) < 1e-3
    assert (result.mean_gradients().signed[~seen] == 0).all()
    assert 60 < seen.sum() < 118
    assert not seen[0]
    assert seen[1]
    assert not seen[10]


def drawn(
    cloud: dict[str, Tensor], width: int = 40, height: int = 30, degree: int = 3, antialiased: bool = False
):
    """The render, after a backward pass through its sum, and the parameters' gradients."""
    leaves = {name: value.clone().requires_grad_() for name, value in cloud.items()}
    mode = {"sh_degree": degree, "background": BACKGROUND, "antialiased": antialiased}
    result = rasterize(*leaves.values(), *camera(width, height), width, height, **mode)
    (result.image.sum() + result.alpha.sum()).backward()
    return result, {name: leaf.grad for name, leaf in leaves.items()}


def test_no_gaussians_leave_the_background():
    result, gradients = drawn(splats(0, 0))
    assert torch.equal(result.image, torch.tensor(BACKGROUND).expand(30, 40, 3))
    assert (result.alpha == 0).all()
    assert gradients["sh"].shape == (0, 16, 3)


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (17, 15), (333, 5)])
def test_one_gaussian_on_images_of_any_size(size):
    one = {name: value[:1] for name, value in splats(1, 0).items()}
    one["means"][:] = torch.tensor([0.0, 0, 0])
    one["scales"][:] = 1.0
    result, gradients = drawn(one, *size)
    assert result.image.shape == (size[1], size[0], 3)
    assert result.radii[0] > 0
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert all((gradient != 0).any() for gradient in gradients.values())


BROKEN = {
    "a NaN mean": ("means", math.nan),
    "an infinite mean": ("means", math.inf),
    "a zero quaternion": ("quats", 0.0),
    "a NaN quaternion": ("quats", math.nan),
    "NaN scales": ("scales", math.nan),
    "infinite scales": ("scales", math.inf),
    "scales beyond float32's squares": ("scales", 1e30),
    "a NaN opacity": ("opacities", math.nan),
    "an opacity of 0": ("opacities", 0.0),
}


@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("case", BROKEN)
def test_broken_gaussians_are_not_drawn_and_do_not_touch_the_others(case, antialiased):
    cloud = splats(40, 3)
    parameter, value = BROKEN[case]
    broken = {name: tensor.clone() for name, tensor in cloud.items()}
    broken[parameter][::2] = value

    result, gradients = drawn(broken, antialiased=antialiased)
    alone, gradients_alone = drawn(
        {name: tensor[1::2] for name, tensor in cloud.items()}, antialiased=antialiased
    )

    assert torch.equal(result.image, alone.image)
    assert (result.radii[::2] == 0).all()
    for name in PARAMETERS:
        assert torch.equal(gradients[name][1::2], gradients_alone[name]), name
        assert (gradients[name][::2] == 0).all(), name


@pytest.mark.parametrize("antialiased", [False, True])
def test_what_is_large_or_small_but_finite_gives_finite_values(antialiased):
    cloud = splats(60, 4)
    cloud["scales"][::3] = 1e6
    cloud["scales"][1::3, 0] = 1e4
    cloud["means"][::4] *= 1e5
    cloud["scales"][2::3, 1:] = 1e-12
    cloud["sh"][5] = 1e6
    result, gradients = drawn(cloud, antialiased=antialiased)
    assert result.image.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in gradients.values())


def test_the_same_call_gives_the_same_bits_on_any_number_of_threads(monkeypatch):
    runs = []
    for cores in (1, 2, 3, 7):
        monkeypatch.setattr("spaceport_render.threads.available_cores", lambda cores=cores: cores)
        result, gradients = drawn(splats(500, 5), 100, 80)
        runs.append([result.image, result.alpha, *gradients.values()])
    for run in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(runs[0], run, strict=True))


def test_coefficients_above_the_degree_are_neither_seen_nor_changed():
    cloud = splats(50, 6)
    result, gradients = drawn(cloud, degree=1)
    expected, _ = drawn({**cloud, "sh": cloud["sh"][:, :4].contiguous()}, degree=1)
    assert torch.equal(result.image, expected.image)
    assert (gradients["sh"][:, 4:] == 0).all()
    assert (gradients["sh"][:, :4] != 0).any()


def test_harmonics_may_be_given_in_two_parts():
    cloud = splats(50, 6)
    result, gradients = drawn(cloud, degree=2)
    apart = {name: value.clone().requires_grad_() for name, value in cloud.items() if name != "sh"}
    sh = tuple(part.clone().requires_grad_() for part in (cloud["sh"][:, :1], cloud["sh"][:, 1:]))
    ours = rasterize(*apart.values(), sh, *camera(40, 30), 40, 30, sh_degree=2, background=BACKGROUND)
    (ours.image.sum() + ours.alpha.sum()).backward()
    assert torch.equal(ours.image, result.image)
    assert torch.equal(torch.cat([part.grad for part in sh], dim=1), gradients["sh"])


def test_absolute_mean_gradients_do_not_cancel():
    # A Gaussian in the middle of an image that is to become brighter on one side only.
    one = {name: value[:1] for name, value in splats(1, 0).items()}
    one["means"][:] = 0
    leaves = {name: value.clone().requires_grad_() for name, value in one.items()}
    result = rasterize(*leaves.values(), *camera(64, 48), 64, 48, sh_degree=0)
    with pytest.raises(RuntimeError, match="backward"):
        result.mean_gradients()
    result.image.sum().backward()
    signed, absolute = result.mean_gradients()
    assert (absolute >= signed.abs()).all()
    assert (absolute > 5 * signed.abs()).any()  # moving as a whole hardly changes the sum


@pytest.mark.parametrize("size", [0.2, 0.5, 1.0])
def test_antialiased_keeps_the_mass_of_what_is_finer_than_a_pixel(size):
    # Given a Gaussian that measures `size` pixels, somewhere in an image
    view, lens = torch.eye(4), torch.tensor([[40.0, 0, 20.3], [0, 40.0, 15.1], [0, 0, 1]])
    one = {name: value[:1] for name, value in splats(1, 0).items()}
    one["means"][:] = torch.tensor([0.0, 0.0, 10.0])
    one["scales"][:] = size * 10.0 / 40.0
    one["opacities"][:] = 0.9

    # When it is drawn in both ways
    hidden = {
        antialiased: rasterize(*one.values(), view, lens, 40, 30, sh_degree=0, antialiased=antialiased).alpha
        for antialiased in (False, True)
    }

    # Then what it hides is its opacity times its own area (less what falls below the cut of 1/255), and in
    # classic mode times the blurred area
    mass = 0.9 * 2 * math.pi * size**2
    assert float(hidden[True].sum()) == pytest.approx(mass, rel=0.1)
    assert float(hidden[False].sum()) == pytest.approx(mass * (1 + 0.3 / size**2), rel=0.1)


def test_changing_a_parameter_in_place_before_backward_is_an_error():
    leaves = {name: value.clone().requires_grad_() for name, value in splats(5, 0).items()}
    result = rasterize(*leaves.values(), *camera(20, 20), 20, 20, sh_degree=0)
    with torch.no_grad():
        leaves["means"] += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        result.image.sum().backward()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"quats": torch.zeros(5, 3)}, "quats must have the shape"),
        ({"sh": torch.zeros(5, 4, 3)}, "sh must have the shape"),
        ({"means": torch.zeros(5, 3, dtype=torch.float64)}, "float32"),
        ({"opacities": torch.zeros(5, 1)}, "opacities must have the shape"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_by_name(change, told):
    with pytest.raises(ValueError, match=told):
        rasterize(*{**splats(5, 0), **change}.values(), *camera(8, 8), 8, 8, sh_degree=3)
