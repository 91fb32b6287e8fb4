"""The program as SageMaker starts it: folders, hyperparameters, signals, exit codes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from spaceport.job_program import MlTree
from spaceport.progress import parse_line
from spaceport.quality import TrainingReport
from spaceport.tuning import Tuning

TUNING = Tuning(
    preset="preview", max_iterations=400, train_max_size=96, max_gaussians=500, sh_degree=1, holdout=4
)


def tree_in(root: Path, dense_folder: Path, tuning: Tuning) -> MlTree:
    tree = MlTree(root)
    tree.channel("scene").parent.mkdir(parents=True)
    tree.channel("scene").symlink_to(dense_folder)
    tree.hyperparameters.parent.mkdir(parents=True)
    tree.hyperparameters.write_text(json.dumps(tuning.to_strings()))
    return tree


@pytest.fixture
def tree(tmp_path: Path, dense_folder: Path) -> MlTree:
    return tree_in(tmp_path, dense_folder, TUNING)


@pytest.fixture(scope="module")
def whole_run(dense_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[MlTree, str]:
    """An unbroken run: its folders, and what it printed."""
    tree = tree_in(tmp_path_factory.mktemp("whole"), dense_folder, TUNING)
    program = start(tree)
    out, err = program.communicate(timeout=60)
    assert program.returncode == 0, err
    return tree, out


# The program, saving a hundred times as often: a test can't wait for half a minute.
SAVING_OFTEN = (
    "import sys; from spaceport_gaussian import __main__, watching; "
    "watching.CHECKPOINT_EVERY_S = 0.3; watching.CHECKPOINT_SHARE = 1.0; sys.exit(__main__.main())"
)


def start(tree: MlTree, *program: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *(program or ("-m", "spaceport_gaussian"))],
        env={**os.environ, "SPACEPORT_ML_ROOT": str(tree.root), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_trains_reports_progress_and_delivers(whole_run):
    tree, out = whole_run

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


def test_its_pictures_and_its_film_lie_beside_the_model(whole_run):
    tree, _ = whole_run

    assert {file.relative_to(tree.model).as_posix() for file in tree.model.rglob("*") if file.is_file()} == {
        "model.ply", "metrics.json", "training.log", "thumbnail.jpg", "flight.mp4",
        "held_out/02.png.jpg", "held_out/20.png.jpg",
    }  # fmt: skip


def test_a_stop_while_the_film_is_made_leaves_a_whole_model_and_the_same_next_time(tree, whole_run):
    # Given a program that films
    program = start(tree)
    wait_for((tree.model / ".flight.mp4").exists, program)

    # When it is stopped
    program.send_signal(signal.SIGTERM)
    program.communicate(timeout=60)

    # Then the model and its report are there, and no half film
    whole, _ = whole_run
    assert program.returncode == 128 + signal.SIGTERM
    assert (tree.model / "model.ply").read_bytes() == (whole.model / "model.ply").read_bytes()
    assert TrainingReport.model_validate_json((tree.model / "metrics.json").read_text()).gaussians > 0
    assert not (tree.model / "flight.mp4").exists()

    # and the next start makes what is missing, without training
    program = start(tree)
    out, err = program.communicate(timeout=60)
    assert program.returncode == 0, err
    assert not any(map(iteration_of, out.splitlines()))
    assert (tree.model / "flight.mp4").read_bytes() == (whole.model / "flight.mp4").read_bytes()


# Tells at its end how many kernels the program had to compile.
COUNTING_KERNELS = (
    str(Path(__file__).parents[2] / "made/counting_kernels.py"),
    "spaceport_gaussian.__main__",
)


def test_a_warmed_cache_leaves_nothing_to_compile(tree, tmp_path):
    # Given a cache as `make setup` and the image's build leave it
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "kernels")}
    warming = [sys.executable, "-m", "spaceport_render.warm_cache"]
    subprocess.run(warming, env={**os.environ, **cache}, check=True)

    # When a scene is trained and measured, then all kernels are there
    program = start(tree, *COUNTING_KERNELS, **cache)
    _, err = program.communicate(timeout=60)
    assert program.returncode == 0, err
    assert err.splitlines()[-1] == "0"


def test_sigterm_while_kernels_are_compiled_ends_the_program_at_once(tree, tmp_path):
    # Given a program that has to compile its kernels, which takes it ten seconds
    program = start(tree, NUMBA_CACHE_DIR=str(tmp_path / "no kernels yet"))
    assert "Reading the photos" in program.stdout.readline()
    time.sleep(2)

    # When it gets SIGTERM in the midst of it
    program.send_signal(signal.SIGTERM)
    began = time.monotonic()
    out, err = program.communicate(timeout=60)

    # Then it ends soon, as one that was stopped
    assert program.returncode == 128 + signal.SIGTERM, err
    assert time.monotonic() - began < 8
    assert not any(map(iteration_of, out.splitlines()))
    assert not tree.training_failure.exists()


def iteration_of(line: str) -> int:
    told = parse_line(line)
    return int(told.metrics.get("iteration", 0)) if told else 0


def wait_for(is_so: Callable[[], bool], program: subprocess.Popen) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert program.poll() is None, program.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def kill_after_a_checkpoint(program: subprocess.Popen, tree: MlTree) -> int:
    """SIGKILL, the moment a periodic checkpoint is there."""
    wait_for((tree.checkpoints / "training.pt").exists, program)
    program.send_signal(signal.SIGKILL)
    program.communicate()
    return -signal.SIGKILL


def stop_in_good_order(program: subprocess.Popen, tree: MlTree) -> int:
    """SIGTERM, once some iterations are done."""
    assert any(iteration_of(line) for line in program.stdout)
    program.send_signal(signal.SIGTERM)
    began = time.monotonic()
    program.communicate()
    assert time.monotonic() - began < 8  # what the local engine waits before it kills
    return 128 + signal.SIGTERM


@pytest.mark.parametrize("end", [kill_after_a_checkpoint, stop_in_good_order])
def test_a_run_that_is_ended_half_way_comes_to_the_same_as_an_unbroken_one(end, tree, tmp_path, whole_run):
    # Given a run that ends before its time
    program = start(tree, "-c", SAVING_OFTEN)
    assert end(program, tree) == program.returncode
    assert not (tree.model / "model.ply").exists()
    saved = torch.load(tree.checkpoints / "training.pt", weights_only=True)["state"]["run"]["iterations"]
    assert 0 < saved < TUNING.max_iterations

    # When it is started again
    program = start(tree)
    out, err = program.communicate(timeout=60)

    # Then it goes on from what was saved
    assert program.returncode == 0, err
    assert min(filter(None, map(iteration_of, out.splitlines()))) > saved
    # and its model is as good as an unbroken run's: on a CPU, the same
    report = TrainingReport.model_validate_json((tree.model / "metrics.json").read_text())
    whole, _ = whole_run
    unbroken = TrainingReport.model_validate_json((whole.model / "metrics.json").read_text())
    assert report.psnr_holdout == pytest.approx(unbroken.psnr_holdout, abs=0.1)
    assert (tree.model / "model.ply").read_bytes() == (whole.model / "model.ply").read_bytes()


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda tree: tree.channel("scene").unlink(), "bad_scene"),
        (lambda tree: tree.hyperparameters.write_text('{"max_iteration": "7"}'), "bad_tuning"),
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
