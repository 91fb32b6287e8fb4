"""The command for a machine without a cloud, as a person or a script starts it."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spaceport.progress import parse_line
from spaceport.quality import TrainingReport
from spaceport_gaussian import command

SETTINGS = ["max_iterations=300", "train_max_size=96", "max_gaussians=500", "sh_degree=1", "holdout=4"]
ARGUMENTS = ["--preset", "preview", *(word for setting in SETTINGS for word in ("--set", setting))]


def start(scene: Path, out: Path, *more: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "spaceport_gaussian", scene, out, *ARGUMENTS, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def finished(dense_folder, tmp_path_factory) -> tuple[Path, str, str]:
    """Where the results of an unbroken run are, and what it wrote. The scene is where SfM leaves it."""
    folder = tmp_path_factory.mktemp("command")
    (folder / "placed/colmap").mkdir(parents=True)
    shutil.copytree(dense_folder, folder / "placed/colmap/dense")
    program = start(folder / "placed", folder / "model")
    out, err = program.communicate(timeout=120)
    assert program.returncode == 0, err
    return folder / "model", out, err


def test_a_scene_becomes_a_model_with_its_report_and_pictures(finished):
    folder, out, err = finished

    assert {path.name for path in folder.iterdir()} == {
        "model.ply", "metrics.json", "training.log", "thumbnail.jpg", "flight.mp4", "held_out",
    }  # fmt: skip
    lines = [parse_line(line) for line in out.splitlines()]
    assert lines[-1].progress == 1.0
    report = TrainingReport.model_validate_json((folder / "metrics.json").read_text())
    assert (report.preset, report.iterations) == ("preview", 300)
    assert f"{report.psnr_holdout:.2f} dB PSNR" in err
    assert f"Results are in {folder}" in err


def test_after_ctrl_c_the_same_command_goes_on(finished, dense_folder, tmp_path):
    # Given a run that is stopped once some iterations are done
    program = start(dense_folder, tmp_path / "model")
    for line in program.stdout:
        if parse_line(line).metrics.get("iteration"):
            break
    program.send_signal(signal.SIGINT)
    _, err = program.communicate(timeout=60)
    assert program.returncode == 128 + signal.SIGINT, err
    assert "The same command goes on from here" in err
    assert "Traceback" not in err
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["work"]

    # When the same command is given
    program = start(dense_folder, tmp_path / "model")
    _, err = program.communicate(timeout=120)

    # Then it goes on to the very model of an unbroken run
    assert program.returncode == 0, err
    folder, _, _ = finished
    assert (tmp_path / "model/model.ply").read_bytes() == (folder / "model.ply").read_bytes()


def test_ctrl_c_before_training_ends_it_at_once(dense_folder, tmp_path):
    program = start(dense_folder, tmp_path / "model")
    assert "Reading the photos" in program.stdout.readline()
    program.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, err = program.communicate(timeout=60)

    assert time.monotonic() - began < 8
    assert program.returncode == 128 + signal.SIGINT
    assert "Traceback" not in err


def test_the_training_images_argument_starts_the_job(tmp_path):
    environment = {**os.environ, "SPACEPORT_ML_ROOT": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "spaceport_gaussian", "train"],
        env=environment, check=False, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 70  # no hyperparameters there: it got as far as to read them
    assert "hyperparameters.json" in done.stderr


@pytest.fixture
def run_here():
    """The command in this process, whose signal handlers are put back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield lambda *arguments: command.main([str(argument) for argument in arguments])
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_folder_without_a_scene_is_refused_in_words(run_here, tmp_path, capsys):
    assert run_here(tmp_path, tmp_path / "out") == 1

    told = capsys.readouterr().err
    assert f"{tmp_path} holds no scene" in told
    assert "spaceport_sfm" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("metrics.json", "the results of a finished run"),
        ("thesis.tex", "files that are not of an unfinished run"),
    ],
)
def test_nothing_is_written_over(run_here, dense_folder, tmp_path, capsys, name, words):
    (tmp_path / name).write_text("mine")

    assert run_here(dense_folder, tmp_path) == 1

    assert words in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_results_don_t_go_among_what_they_are_made_of(run_here, dense_folder, capsys):
    assert run_here(dense_folder, dense_folder / "images" / "model") == 1

    assert "lies in" in capsys.readouterr().err
    assert not (dense_folder / "images" / "model").exists()


def test_two_runs_don_t_write_to_one_folder(run_here, dense_folder, tmp_path, capsys):
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    try:
        assert run_here(dense_folder, tmp_path) == 1
    finally:
        os.close(folder)
    assert "Another run is writing" in capsys.readouterr().err


@pytest.mark.parametrize("setting", ["max_iteration=7", "max_iterations=many"])
def test_a_setting_that_does_not_fit_is_named(run_here, dense_folder, tmp_path, capsys, setting):
    assert run_here(dense_folder, tmp_path / "out", "--set", setting) == 1

    assert setting.split("=")[0] in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
