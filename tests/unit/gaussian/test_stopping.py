import pytest

from spaceport_gaussian.policies.stopping import Plateau, StoppedBy, StoppingRules, reason_to_stop

RULES = StoppingRules(max_iterations=5_000, target_psnr=30.0, patience=500)


def stop_of(psnrs: list[float], rules: StoppingRules = RULES) -> tuple[int, StoppedBy | None]:
    """After how many iterations, and why, training ends when the tests give `psnrs`."""
    plateau = Plateau()
    for test, psnr in enumerate(psnrs, 1):
        done = test * rules.test_every
        plateau = plateau.after(done, psnr, rules.min_gain)
        reason = reason_to_stop(rules, done, plateau, psnr)
        if reason:
            return done, reason
    return done, None


def test_goes_on_while_the_psnr_rises():
    assert stop_of([20 + 0.1 * test for test in range(30)])[1] is None


def test_stops_after_patience_without_a_gain():
    assert stop_of([20, 21, *[21.0] * 20]) == (700, StoppedBy.PLATEAU)


def test_gains_under_a_twentieth_of_a_decibel_count_as_none():
    assert stop_of([20 + 0.005 * test for test in range(30)]) == (600, StoppedBy.PLATEAU)


def test_slow_gains_that_add_up_count():
    assert stop_of([20 + 0.02 * test for test in range(30)])[1] is None


def test_stops_at_the_target():
    assert stop_of([29, 29.9, 30.0]) == (300, StoppedBy.TARGET_PSNR)


def test_without_rules_only_the_budget_ends_training():
    rules = StoppingRules(max_iterations=900, target_psnr=None, patience=None)

    assert stop_of([50.0] * 20, rules) == (900, StoppedBy.MAX_ITERATIONS)


@pytest.mark.parametrize(
    ("done", "full", "due"), [(100, True, True), (100, False, False), (150, True, False), (1_200, True, True)]
)
def test_the_psnr_is_tested_every_100_iterations_at_full_resolution_only(done, full, due):
    assert RULES.is_test_due(done, full) is due
