"""The program as SageMaker starts it: folders, hyperparameters, signals, exit codes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spaceport.job_program import MlTree
from spaceport.progress import parse_line
from spaceport.quality import TrainingReport
from spaceport.tuning import Tuning

TUNING = Tuning(max_iterations=50, train_max_size=96, max_gaussians=500, sh_degree=1, holdout=4)


@pytest.fixture
def tree(tmp_path: Path, dense_folder: Path) -> MlTree:
    tree = MlTree(tmp_path)
    tree.channel("scene").parent.mkdir(parents=True)
    tree.channel("scene").symlink_to(dense_folder)
    tree.hyperparameters.parent.mkdir(parents=True)
    tree.hyperparameters.write_text(json.dumps(TUNING.to_strings()))
    return tree


def start(tree: MlTree) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "spaceport_gaussian"],
        env={**os.environ, "SPACEPORT_ML_ROOT": str(tree.root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_trains_reports_progress_and_delivers(tree):
    program = start(tree)
    out, err = program.communicate(timeout=120)

    assert program.returncode == 0, err
    lines = [parse_line(line) for line in out.splitlines()]
    assert all(lines)
    assert lines[-1].progress == 1.0
    assert [line.progress for line in lines] == sorted(line.progress for line in lines)
    report = TrainingReport.model_validate_json((tree.model / "metrics.json").read_text())
    assert report.peak_memory_bytes > 50e6
    assert report.seconds > 0
    assert (tree.model / "model.ply").exists()
    assert (tree.model / "training.log").exists()
    assert not tree.training_failure.exists()


def test_sigterm_saves_and_the_next_start_goes_on(tree):
    # Given a job that would take very long
    long = TUNING.model_copy(update={"max_iterations": 100_000})
    tree.hyperparameters.write_text(json.dumps(long.to_strings()))
    program = start(tree)
    log = tree.checkpoints / "training.log"
    deadline = time.monotonic() + 60
    while not (log.exists() and "step" in log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)

    # When it gets SIGTERM
    program.send_signal(signal.SIGTERM)
    out, err = program.communicate(timeout=30)

    # Then it has saved its state, delivered nothing and says that it was ended
    assert program.returncode == 143, err
    assert (tree.checkpoints / "training.pt").exists()
    assert not (tree.model / "model.ply").exists()
    reached = max(parse_line(line).metrics.get("iteration", 0) for line in out.splitlines())

    # and the next start goes on from there
    again = start(tree)
    for line in again.stdout:
        told = parse_line(line)
        if told and "iteration" in told.metrics:
            break
    again.send_signal(signal.SIGTERM)
    again.communicate(timeout=30)
    assert told.metrics["iteration"] > reached


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda tree: tree.channel("scene").unlink(), "bad_scene"),
        (lambda tree: tree.hyperparameters.write_text('{"max_iteration": "7"}'), "bad_tuning"),
        (lambda tree: tree.hyperparameters.write_text('{"holdout": "1"}'), "bad_tuning"),
    ],
)
def test_what_the_user_can_mend_is_told_in_the_failure_file(tree, spoil, code):
    spoil(tree)

    program = start(tree)
    _, err = program.communicate(timeout=120)

    assert program.returncode == 1, err
    told = json.loads(tree.training_failure.read_text())
    assert told["code"] == code
    assert told["message"]
    assert told["hint"]
