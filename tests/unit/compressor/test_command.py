"""The command for a machine without a cloud, as a person or a script starts it."""

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from spaceport.progress import parse_line
from spaceport.quality import ModelQuality, QualityReport
from spaceport_compressor import command
from spaceport_compressor.formats.y_up import turned
from spaceport_compressor.sog.read import read_sog
from spaceport_compressor.subject import Up
from spaceport_render.ply import write_ply

pytestmark = pytest.mark.usefixtures("viewer")


@pytest.fixture
def model(root):
    """What training left."""
    return root / "processing/input/training"


@pytest.fixture
def scene(root):
    """What SfM left: `colmap/` with its report, and `dense/` in it."""
    return root / "processing/input"


@pytest.fixture
def run(viewer, monkeypatch):
    """The command in this process, whose signal handlers are put back; it judges by small pictures."""
    monkeypatch.setenv("SPACEPORT_VIEWER_DIR", str(viewer))
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    small = ("--set", "train_max_size=160")
    yield lambda *arguments: command.main([str(argument) for argument in (*arguments, *small)])
    for number, handler in before.items():
        signal.signal(number, handler)


def quality_in(out):
    return ModelQuality.model_validate_json((out / "quality.json").read_bytes())


def test_a_trained_model_is_packed_and_judged_by_its_photos(model, scene, viewer, tmp_path):
    # Given a model that training left, and the scene that it was trained on; When a person packs it, in a
    # terminal of another encoding (the é is one byte)
    out, title = tmp_path / "web", b"Jet\xe9e <7>"
    done = subprocess.run(
        [sys.executable, "-m", "spaceport_compressor", model, out, "--scene", scene, "--title", title],
        env={**os.environ, "SPACEPORT_VIEWER_DIR": str(viewer)},
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    # Then all is there that a client needs, and nothing else,
    assert done.returncode == 0, done.stderr
    assert {"model.sog", "model.sogs", "viewer", "report.html", "quality.json"} <= {
        p.name for p in out.iterdir()
    }
    assert not (out / "work").exists()
    assert len(read_sog(out / "model.sog")) == 2000
    # the report is as complete as a job's, judged on the photo that was held out,
    report = QualityReport.model_validate_json((out / "quality.json").read_bytes())
    assert (report.photos.registered, report.training.holdout) == (4, ["photo 1.png"])
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "<h1>Jet\ufffde &lt;7&gt;</h1>" in page
    assert "Training never saw this photo" in page
    # with the times of the programs that ran,
    assert "1 min 00 s" in page
    assert "Waiting" not in page
    # and a person is told in words, a program in lines.
    assert "dB lost against 1 held-out photo\n" in done.stderr
    assert f"Results are in {out}" in done.stderr
    assert [parse_line(line).stage for line in done.stdout.splitlines()][-1] == "compression"


def test_a_bare_file_is_held_against_itself_alone(model, run, tmp_path, capsys):
    # Given another trainer's model, of which nothing is known
    shutil.copyfile(model / "model.ply", tmp_path / "scan.ply")
    # When it is packed
    assert run(tmp_path / "scan.ply", tmp_path / "web") == 0, capsys.readouterr().err
    # Then it is delivered whole, shown from places around it,
    quality = quality_in(tmp_path / "web")
    assert quality.delivery.gaussians == len(read_sog(tmp_path / "web/model.sog")) == 2000
    assert "orbit 1" in json.loads((tmp_path / "web/viewer/cameras.json").read_text())["cameras"]
    # what could be measured is, and what could not is null,
    assert quality.delivery.decode_psnr_db > 35
    assert quality.delivery.psnr_loss_db is None
    assert (quality.photos, quality.sfm, quality.georef, quality.training) == (None, None, None, None)
    # and neither the page nor the summary says otherwise.
    page = (tmp_path / "web/report.html").read_text(encoding="utf-8")
    assert "its trainer did not say" in page
    assert "Every number" in page
    assert "Reprojection" not in page
    assert "was not measured" in capsys.readouterr().err


def test_a_model_with_another_axis_up_is_turned(model, make_gaussians, run, tmp_path):
    # Given the relief as a trainer on COLMAP's poses leaves it, with -y up
    write_ply(tmp_path / "scan.ply", turned(make_gaussians(2000), Up.MINUS_Y.to_ours.T))
    # When that is told
    assert run(tmp_path / "scan.ply", tmp_path / "web", "--up=-y") == 0
    # Then z is up in what is delivered: the relief of 120 m x 120 m is 14 m high
    extent = np.ptp(read_sog(tmp_path / "web/model.sog").means, axis=0)
    assert extent[2] < 20
    assert extent[:2].min() > 100


def test_up_is_no_question_where_the_scene_tells(model, scene, run, tmp_path):
    with pytest.raises(SystemExit) as left:
        run(model, tmp_path / "web", "--scene", scene, "--up", "y")
    assert left.value.code == 2


def test_another_trainers_model_is_judged_by_all_photos_of_a_colmap_folder(model, scene, run, tmp_path):
    shutil.copyfile(model / "model.ply", tmp_path / "scan.ply")
    shutil.copytree(scene / "colmap/dense", tmp_path / "colmap")

    assert run(tmp_path / "scan.ply", tmp_path / "web", "--scene", tmp_path / "colmap") == 0

    quality = quality_in(tmp_path / "web")
    assert quality.delivery.psnr_loss_db is not None
    assert (quality.sfm, quality.training) == (None, None)
    assert "Which of these photos the model learnt from is not known" in (
        tmp_path / "web/report.html"
    ).read_text(encoding="utf-8")


def test_what_cleaning_costs_is_not_charged_to_packing(model, scene, make_gaussians, run, tmp_path):
    # Given a model with every Gaussian twice: one of each, however broad, changes all pictures to some 38 dB
    write_ply(model / "model.ply", make_gaussians(2000).select(np.repeat(np.arange(2000), 2)))
    # When it is delivered
    assert run(model, tmp_path / "web", "--scene", scene) == 0
    # Then the file is held against what it packs, so there is one that is good enough,
    delivery = quality_in(tmp_path / "web").delivery
    assert delivery.removed.duplicates == 2000
    assert any(one.chosen and one.good_enough for one in delivery.candidates)
    # and what cleaning did to the likeness with the photos is told beside it, in the report, too
    assert delivery.cleaning_loss_db > 0.01
    assert delivery.lost_db == delivery.psnr_loss_db + delivery.cleaning_loss_db
    assert "Lost by cleaning" in (tmp_path / "web/report.html").read_text(encoding="utf-8")


def test_the_model_in_a_trainings_folder_is_that_trainings(model, run, tmp_path):
    assert run(model / "model.ply", tmp_path / "web") == 0
    assert quality_in(tmp_path / "web").training.iterations == 1500


def test_a_job_takes_no_report_with_gaps(model, run, tmp_path):
    assert run(model, tmp_path / "web") == 0
    with pytest.raises(ValueError, match="photos"):
        QualityReport.model_validate_json((tmp_path / "web/quality.json").read_bytes())


def test_what_a_stopped_run_left_is_done_again(model, run, tmp_path):
    (tmp_path / "web/work").mkdir(parents=True)
    (tmp_path / "web/work/model.sog").write_text("half")
    assert run(model, tmp_path / "web") == 0
    assert len(read_sog(tmp_path / "web/model.sog")) == 2000


def test_a_run_that_died_while_it_moved_results_is_ended(model, run, tmp_path, capsys):
    # Given results of which half were not moved yet
    out = tmp_path / "web"
    assert run(model, out) == 0
    there = {path.name for path in out.iterdir()}
    packed = (out / "model.sog").stat().st_mtime_ns
    (out / "finished").mkdir()
    for name in ("quality.json", "report.html", "viewer"):
        (out / name).rename(out / "finished" / name)
    capsys.readouterr()
    # When the same command is given again
    assert run(model, out) == 0
    # Then all are there, nothing was packed anew, and the person is told
    assert {path.name for path in out.iterdir()} == there
    assert (out / "model.sog").stat().st_mtime_ns == packed
    told = capsys.readouterr().err
    assert "Nothing was packed" in told
    assert "Results are in" in told


def test_what_else_came_into_the_folder_is_not_written_over_by_the_rest(model, run, tmp_path, capsys):
    (tmp_path / "web/finished").mkdir(parents=True)
    for place in ("web/finished", "web"):
        (tmp_path / place / "quality.json").write_text("mine")
    assert run(model, tmp_path / "web") == 1
    assert "files that are not" in capsys.readouterr().err


def test_a_folder_of_the_users_that_is_called_finished_stays(model, run, tmp_path, capsys):
    theirs = tmp_path / "web/finished/thesis.tex"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("mine")
    assert run(model, tmp_path / "web") == 1
    assert theirs.read_text() == "mine"
    assert "files that are not" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "words"),
    [("quality.json", "the results of a finished run"), ("thesis.tex", "files that are not")],
)
def test_nothing_is_written_over(model, run, tmp_path, capsys, name, words):
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / name).write_text("mine")

    assert run(model, tmp_path / "web") == 1

    assert words in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "web").iterdir()] == [name]


def test_two_runs_don_t_write_to_one_folder(model, run, tmp_path, capsys):
    (tmp_path / "web").mkdir()
    folder = os.open(tmp_path / "web", os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    try:
        assert run(model, tmp_path / "web") == 1
    finally:
        os.close(folder)
    assert "Another run is writing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "There is no"),
        (["."], "model.ply"),
        (["model.ply", "--scene", "."], "holds no scene"),
        (["model.ply", "--set", "sed=3"], "sed"),
        (["model.ply", "--set", "seed=many"], "seed"),
    ],
)
def test_what_can_t_be_used_is_named_before_anything_is_made(
    model, run, tmp_path, monkeypatch, capsys, arguments, words
):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    given = [str(model / word) if word == "model.ply" else word for word in arguments]

    assert run(given[0], "out", *given[1:]) == 1

    assert words in capsys.readouterr().err
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.mark.parametrize(
    "known",
    [
        {"holdout": ["elsewhere.jpg"]},
        {
            "holdout": [],
            "views": [
                {"name": "elsewhere.jpg", "psnr": 20, "psnr_corrected": 20, "ssim": 0.5, "detail": 0.5}
            ],
        },
    ],
)
def test_a_model_with_a_scene_that_is_not_its_own_is_refused(model, scene, run, tmp_path, capsys, known):
    told = json.loads((model / "metrics.json").read_text())
    (model / "metrics.json").write_text(json.dumps({**told, **known}))

    assert run(model, tmp_path / "web", "--scene", scene) == 1

    assert "elsewhere.jpg, which is not in the scene" in capsys.readouterr().err


def test_a_full_disk_is_told_with_what_to_do(model, run, tmp_path, monkeypatch, capsys):
    def no_room(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(command, "compress", no_room)
        assert run(model, tmp_path / "web") == 1
    assert f"The disk of {tmp_path / 'web'} is full.\nMake room" in capsys.readouterr().err
    # and when there is room, the same command does it
    assert run(model, tmp_path / "web") == 0


def test_results_don_t_go_among_what_they_are_made_of(model, scene, run, capsys):
    assert run(model, scene / "colmap/dense/web", "--scene", scene) == 1

    assert "lies in" in capsys.readouterr().err
    assert not (scene / "colmap/dense/web").exists()
