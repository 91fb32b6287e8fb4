"""The time left, by a clock that the test turns."""

import pytest

from spaceport_gaussian.pace import MEASURING_SHARE, Pace
from spaceport_gaussian.policies.resolution import progressive_resolution

BUDGET = 1_000
FIXED = 0.15


class Training:
    """Iterations that cost what the model says, on a machine whose speed can change."""

    def __init__(self) -> None:
        schedule = progressive_resolution(BUDGET)
        self._scales = [schedule.scale_at(iteration) for iteration in range(BUDGET)]
        self._pace = Pace(self._scales, FIXED)
        self.now = 100.0
        self.iterations = 0
        self.left: float | None = None

    def go_on(self, iterations: int, seconds_a_photo: float = 0.06) -> float | None:
        for _ in range(iterations):
            self.now += seconds_a_photo * (FIXED + self._scales[self.iterations] ** 2)
            self.iterations += 1
            self.left = self._pace.seconds_left(self.iterations, self.now)
        return self.left

    def cost(self, first: int, last: int) -> float:
        """In full-size photos."""
        return sum(FIXED + scale * scale for scale in self._scales[first:last])


def test_small_photos_foretell_what_large_ones_will_take():
    training = Training()

    left = training.go_on(200)

    whole = training.cost(0, BUDGET)
    assert left == pytest.approx(0.06 * (whole * (1 + MEASURING_SHARE) - training.cost(0, 200)))


def test_nothing_is_told_before_anything_is_known():
    training = Training()

    assert training.go_on(1) is None
    assert training.go_on(100) is None  # 1.3 seconds
    assert training.go_on(100) is not None


def test_a_machine_that_others_come_to_use_is_noticed_within_the_window():
    training = Training()
    before = training.go_on(700)

    after = training.go_on(250, seconds_a_photo=0.3)

    rest = training.cost(950, BUDGET) + MEASURING_SHARE * training.cost(0, BUDGET)
    assert after == pytest.approx(0.3 * rest, rel=0.01)
    assert before is not None


def test_a_run_that_goes_back_is_told_of_anew():
    training = Training()
    training.go_on(900)

    training.iterations = 500
    assert training.go_on(1) is None
    left = training.go_on(200)

    rest = training.cost(701, BUDGET) + MEASURING_SHARE * training.cost(0, BUDGET)
    assert left == pytest.approx(0.06 * rest)
