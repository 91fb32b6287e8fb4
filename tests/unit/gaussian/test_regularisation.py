"""What each term of the regularisation holds back, and what it leaves alone."""

from __future__ import annotations

import pytest
import torch

from spaceport.tuning import Tuning
from spaceport_gaussian.policies.regularisation import Regularisation, slenderness
from spaceport_gaussian.recipe import recipe_for
from spaceport_gaussian.splat import Splat

# Standard deviations along the own axes, metres.
BALL, DISC, BLADE, NEEDLE = [1.0, 1, 1], [1.0, 0.01, 1.0], [4.0, 1.0, 0.01], [0.1, 2.0, 0.1]


CLEAR = torch.zeros(4, 4)  # an image of nothing but background


def splat(scales: list[list[float]]) -> Splat:
    count = len(scales)
    return Splat.of(
        {
            "means": torch.zeros(count, 3),
            "quats": torch.tensor([[1.0, 0, 0, 0]]).expand(count, 4),
            "log_scales": torch.tensor(scales).log(),
            "opacity_logits": torch.zeros(count),
            "sh_dc": torch.ones(count, 1, 3),
            "sh_rest": torch.ones(count, 15, 3),
        }
    )


def pulled(regularisation: Regularisation, shapes: Splat, is_seen: torch.Tensor) -> dict[str, torch.Tensor]:
    """The gradient by each parameter that gets one."""
    regularisation.loss(shapes, is_seen, CLEAR, extent=10.0).backward()
    return {name: tensor.grad for name, tensor in shapes.tensors.items() if tensor.grad is not None}


def test_discs_are_no_needles():
    assert slenderness(splat([BALL, DISC, BLADE, NEEDLE])).tolist() == pytest.approx([1, 1, 4, 20])


def test_needles_get_shorter_and_thicker_and_nothing_else_changes():
    shapes = splat([BALL, DISC, BLADE, NEEDLE, NEEDLE])

    gradients = pulled(Regularisation(anisotropy=1.0), shapes, torch.tensor([True, True, True, True, False]))

    assert list(gradients) == ["log_scales"]
    to_scales = gradients["log_scales"]
    assert (to_scales[:3] == 0).all()
    assert to_scales[3, 1] > 0 > to_scales[3, [0, 2]].min()  # one of two equal axes is the middle one
    assert (to_scales[4] == 0).all()  # no photo shows it now


def test_the_anisotropy_term_is_the_excess_over_the_allowed_ratio():
    term = Regularisation(anisotropy=0.5, slenderness=8.0).loss(
        splat([BALL, NEEDLE]), torch.tensor([True, True]), CLEAR, extent=10.0
    )

    assert term.item() == pytest.approx(0.5 * (20 - 8) / 2)


@pytest.mark.parametrize(
    ("term", "parameter"),
    [("opacity", "opacity_logits"), ("scale", "log_scales"), ("harmonics", "sh_rest")],
)
def test_each_term_pulls_down_its_own_parameter_of_what_is_seen(term, parameter):
    gradients = pulled(Regularisation(**{term: 0.01}), splat([BALL, DISC]), torch.tensor([True, False]))

    assert list(gradients) == [parameter]
    assert (gradients[parameter][0] > 0).all()
    assert (gradients[parameter][1] == 0).all()


def test_transparency_costs_what_of_the_background_shows():
    alpha = torch.tensor([[1.0, 0.5], [0.0, 1.0]], requires_grad=True)

    term = Regularisation(transparency=0.2).loss(splat([BALL]), torch.tensor([True]), alpha, extent=10.0)

    assert term.item() == pytest.approx(0.2 * (0 + 0.5 + 1 + 0) / 4)


def test_a_splat_of_constant_colours_has_no_harmonics_to_hold_back():
    plain = splat([BALL])
    plain.sh_rest = torch.ones(1, 0, 3)

    assert float(Regularisation(harmonics=1.0).loss(plain, torch.tensor([True]), CLEAR, extent=10.0)) == 0


def test_tuning_reaches_the_weights():
    assert recipe_for(Tuning(), 1_000).regularisation == Regularisation(
        opacity=0.01, scale=0.01, transparency=0.02
    )
    tuned = Tuning(
        opacity_weight=0.0, scale_weight=0.02, anisotropy_weight=0.1, sh_weight=1.0, transparency_weight=0.3
    )
    assert recipe_for(tuned, 1_000).regularisation == Regularisation(
        opacity=0.0, scale=0.02, anisotropy=0.1, harmonics=1.0, transparency=0.3
    )
    assert recipe_for(Tuning(optimization_enabled=False), 1_000).regularisation == Regularisation()
