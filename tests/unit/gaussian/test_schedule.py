import pytest

from spaceport_gaussian.optimisation import LearningRates
from spaceport_gaussian.policies.harmonics import HarmonicsRamp
from spaceport_gaussian.policies.resolution import constant_resolution, progressive_resolution


@pytest.mark.parametrize(
    ("iteration", "scale"),
    [
        (0, 0.25),
        (4_999, 0.25),
        (5_000, 0.5),
        (9_999, 0.5),
        (10_000, 0.75),
        (14_999, 0.75),
        (15_000, 1.0),
        (29_999, 1.0),
    ],
)
def test_a_large_budget_changes_size_every_5000_iterations(iteration, scale):
    assert progressive_resolution(30_000).scale_at(iteration) == scale


@pytest.mark.parametrize("budget", [50, 1_500, 15_000])
def test_a_budget_up_to_15000_changes_size_at_its_quarters(budget):
    schedule = progressive_resolution(budget)

    for quarter, scale in enumerate((0.25, 0.5, 0.75, 1.0)):
        first = budget * quarter // 4
        assert schedule.scale_at(first) == scale
        assert schedule.is_full(first) == (quarter == 3)
        if first:
            assert schedule.scale_at(first - 1) < scale


def test_without_progressive_resolution_every_iteration_has_full_size():
    assert constant_resolution().is_full(0)


def test_harmonics_come_in_one_degree_at_a_time():
    ramp = HarmonicsRamp(max_degree=2, every=0.25)

    assert [ramp.degree_at(progress) for progress in (0, 0.24, 0.25, 0.49, 0.5, 0.75, 1)] == [
        0,
        0,
        1,
        1,
        2,
        2,
        2,
    ]


def test_the_rate_of_the_means_is_held_and_then_falls_exponentially():
    rates = LearningRates(means=1e-3, means_end=0.01, hold=0.5)

    assert rates.means_at(0) == rates.means_at(0.5) == 1e-3
    assert rates.means_at(0.75) == pytest.approx(1e-4)
    assert rates.means_at(1) == pytest.approx(1e-5)
