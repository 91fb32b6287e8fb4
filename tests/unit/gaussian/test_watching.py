"""How often a run is told of, drawn and saved, by a clock that the test turns."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from spaceport_gaussian.pace import MEASURING_SHARE, Pace
from spaceport_gaussian.training import Step
from spaceport_gaussian.training_log import TrainingLog
from spaceport_gaussian.watching import CHECKPOINT_EVERY_S, CHECKPOINT_SHARE, Watching


class Run:
    """A run whose every iteration takes a tenth of a second, and what its watcher did."""

    def __init__(self, folder: Path, saving_takes: float) -> None:
        self.now = 0.0
        self.saved: list[float] = []
        self.told: list[float] = []
        self.left: float | None = None
        self._saving_takes = saving_takes
        self._watching = Watching(
            max_iterations=10_000,
            progress=self._tell,
            log=TrainingLog(folder / "training.log", resumed_at=0),
            preview=folder / "preview.jpg",
            preview_photo=SimpleNamespace(),
            save=self._save,
            share=(0.0, 1.0),
            pace=Pace([1.0] * 10_000, fixed=0.15),
            clock=lambda: self.now,
        )

    def _tell(self, _fraction: float, _message: str = "", **metrics: float) -> None:
        self.told.append(self.now)
        self.left = metrics.get("seconds_left")

    def _save(self, _: object) -> None:
        self.saved.append(self.now)
        self.now += self._saving_takes

    def go_on(self, seconds: float) -> None:
        end, iteration = self.now + seconds, round(10 * self.now)
        splat = SimpleNamespace(
            render=lambda _: SimpleNamespace(image=torch.zeros(16, 16, 3)),
            bands=None,
        )
        corrections = SimpleNamespace(sizes=lambda: {"pose_shift_m": 0.02})
        while self.now < end:
            iteration += 1
            step = Step(iteration, torch.tensor(0.1), torch.tensor(20.0), None, 100, 1.0, 0)
            self._watching(SimpleNamespace(splat=splat, corrections=corrections), step)
            self.now += 0.1


def test_how_far_photos_are_corrected_is_in_the_log(tmp_path):
    run = Run(tmp_path, saving_takes=0.0)

    run.go_on(11.0)

    (line,) = (tmp_path / "training.log").read_text().splitlines()
    assert json.loads(line)["pose_shift_m"] == 0.02


def test_a_cheap_checkpoint_is_saved_at_its_interval(tmp_path):
    run = Run(tmp_path, saving_takes=0.05)

    run.go_on(5 * CHECKPOINT_EVERY_S)

    assert [round(b - a) for a, b in zip(run.saved, run.saved[1:], strict=False)] == [15, 15, 15]


def test_a_dear_checkpoint_is_saved_more_rarely(tmp_path):
    run = Run(tmp_path, saving_takes=4.0)

    run.go_on(1_000.0)

    assert 4.0 * len(run.saved) / run.now <= CHECKPOINT_SHARE + 0.005


def test_the_job_tells_of_itself_and_draws_itself_every_few_seconds(tmp_path):
    run = Run(tmp_path, saving_takes=0.0)

    run.go_on(3.0)
    assert run.told[0] == 0.0
    assert 3.0 / len(run.told) == pytest.approx(0.3, abs=0.06)
    assert not (tmp_path / "preview.jpg").exists()
    run.go_on(2.0)
    assert (tmp_path / "preview.jpg").exists()


def test_the_time_left_is_told_after_a_moment(tmp_path):
    run = Run(tmp_path, saving_takes=0.0)

    run.go_on(1.0)
    assert run.left is None
    run.go_on(99.0)
    # 9,000 of 10,000 iterations are left, a tenth of a second each
    assert run.left == pytest.approx(900 + 1_000 * MEASURING_SHARE, rel=0.02)
