"""A run goes on bit for bit from its saved state, whatever policies it has; a large one is saved in time."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from enum import Enum

import numpy as np
import pytest
import torch
from dense_folder import write_dense

from spaceport.job_program import MlTree
from spaceport.progress import parse_line
from spaceport.stage_settings import settings_of
from spaceport.stages import TRAINING
from spaceport.tuning import Tuning
from spaceport_gaussian.job import restore, start
from spaceport_gaussian.material import Material, prepare
from spaceport_gaussian.training import Step, TrainingRun, train
from spaceport_render.scene import Scene

CPU = torch.device("cpu")
TUNING = Tuning(max_iterations=40, train_max_size=96, max_gaussians=900, sh_degree=2, holdout=4, seed=5)
# Between two edits (after 20 and 30 iterations), so that statistics are under way.
SAVED_AT = 26

# What each setting is changed to. One that is in neither table fails the test below: a policy with a state
# that no checkpoint holds would otherwise be noticed by nobody.
CHANGES = {
    "optimization_enabled": [False],
    "progressive_resolution": [False],
    "psnr_plateau_termination": [False],
    "gap_seeds": [False],
    "surround": [False],
    "position_noise": [5e5],
    "sh_every": [4],
    "dropout": [0.2],
    "opacity_weight": [0.0],
    "scale_weight": [0.0],
    "anisotropy_weight": [0.1],
    "sh_weight": [0.1],
    "transparency_weight": [0.1],
    "mse_weight": [0.5],
}
NO_POLICY = {"preset", "dense_seeds", "video", "target_psnr", "plateau_patience", *TUNING.model_fields_set}


def cases() -> list[dict[str, object]]:
    """One changed setting each, and then all switches at once."""
    found: list[dict[str, object]] = [{}]
    for name in settings_of(TRAINING):
        if name in NO_POLICY:
            continue
        field = Tuning.model_fields[name]
        if name in CHANGES:
            values = CHANGES[name]
        elif isinstance(field.default, bool):
            values = [not field.default]
        elif isinstance(field.default, Enum):
            values = [value for value in type(field.default) if value != field.default]
        else:
            values = ["what else?"]
        found += [{name: value} for value in values]
    switches = [case for case in found[1:] if next(iter(case.values())) is True]
    return [*found, {name: True for case in switches for name in case}]


def named(case: dict[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in case.items()) or "the recipe"


class SavedOnTheWay:
    """Keeps the bytes of a run's state as it is after SAVED_AT iterations."""

    def __init__(self) -> None:
        self._file = io.BytesIO()

    def __call__(self, run: TrainingRun, step: Step) -> None:
        if step.iterations == SAVED_AT:
            torch.save(run.state_dict(), self._file)

    def state(self) -> dict[str, object]:
        self._file.seek(0)
        return torch.load(self._file, weights_only=True)


def finished(run: TrainingRun, material: Material, watcher=lambda *_: None) -> TrainingRun:
    train(run, material.photos, material.recipe, watcher=watcher)
    return run


@pytest.mark.parametrize("case", cases(), ids=named)
def test_a_resumed_run_comes_to_the_same_bits(case, survey):
    # Given a run with that policy, saved on its way
    material = prepare(survey, Tuning(**{**TUNING.model_dump(), **case}), CPU)
    on_the_way = SavedOnTheWay()
    unbroken = finished(start(material), material, on_the_way)

    # When another process goes on from there
    resumed = finished(restore(material, on_the_way.state()), material)

    # Then it ends where the first did, in every value
    assert differences(unbroken.state_dict(), resumed.state_dict()) == []


def differences(one: object, other: object, path: str = "") -> list[str]:
    """Where two states differ."""
    if isinstance(one, torch.Tensor):
        return [] if torch.equal(one, other) else [path]
    if isinstance(one, dict):
        assert one.keys() == other.keys(), path
        return [found for key in one for found in differences(one[key], other[key], f"{path}/{key}")]
    if isinstance(one, list | tuple):
        assert len(one) == len(other), path
        pairs = enumerate(zip(one, other, strict=True))
        return [found for index, pair in pairs for found in differences(*pair, f"{path}/{index}")]
    return [] if one == other else [path]


def test_two_hundred_thousand_gaussians_are_saved_before_the_kill_comes(survey, tmp_path):
    # Given the program with 200,000 Gaussians, in training
    random = np.random.default_rng(0)
    chosen = random.integers(0, len(survey.points), 200_000)
    points = survey.points[chosen] + random.normal(0, 0.3, (200_000, 3)).astype(np.float32)
    tree = MlTree(tmp_path)
    tree.channel("scene").mkdir(parents=True)
    write_dense(Scene(survey.views, points, survey.colors[chosen]), tree.channel("scene"))
    tree.hyperparameters.parent.mkdir(parents=True)
    tuning = Tuning(optimization_enabled=False, max_iterations=10_000, max_gaussians=200_000)
    tree.hyperparameters.write_text(json.dumps(tuning.to_strings()))
    program = subprocess.Popen(
        [sys.executable, "-m", "spaceport_gaussian"],
        env={**os.environ, "SPACEPORT_ML_ROOT": str(tree.root)},
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = map(parse_line, program.stdout)
    assert any(line and line.metrics.get("gaussians") == 200_000 for line in lines)

    # When it is asked to stop
    program.send_signal(signal.SIGTERM)
    began = time.monotonic()
    program.communicate()

    # Then all of it is saved within what the local engine waits, and far within SageMaker's two minutes
    assert time.monotonic() - began < 8
    assert program.returncode == 128 + signal.SIGTERM
    saved = torch.load(tree.checkpoints / "training.pt", weights_only=True)["state"]["run"]
    assert len(saved["splat"]["means"]) == 200_000
    assert saved["iterations"] > 0
    # 59 values each, and two moments of the 14 that learn before the first harmonics do
    assert (tree.checkpoints / "training.pt").stat().st_size > 200_000 * 4 * (59 + 2 * 14)
