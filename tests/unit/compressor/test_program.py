"""The whole job as an executor starts it: SageMaker's folders, environment, progress lines, exit code."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pycolmap
import pytest

from spaceport.pictures import HELD_OUT, THUMBNAIL, VIDEO
from spaceport.progress import parse_line
from spaceport.quality import ModelQuality, QualityReport
from spaceport_compressor.__main__ import main
from spaceport_compressor.cleaning.clean import Rules
from spaceport_compressor.compress import CompressionJob, compress
from spaceport_compressor.sog.read import read_sog
from spaceport_compressor.subject import Source
from spaceport_render.ply import read_ply, write_ply


@pytest.fixture
def environment(root, viewer, monkeypatch):
    """What the executor puts into the program's environment, put into ours."""
    for name in [name for name in os.environ if name.startswith("SPACEPORT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SPACEPORT_ML_ROOT", str(root))
    monkeypatch.setenv("SPACEPORT_JOB_NAME", "Brighton")
    monkeypatch.setenv("SPACEPORT_VIEWER_DIR", str(viewer))


@pytest.fixture
def start(environment):
    """Start the program in a process of its own, as the executor does."""

    def started(*program):
        return subprocess.run(
            [sys.executable, *(program or ("-m", "spaceport_compressor"))],
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return started


@pytest.fixture
def run(environment, monkeypatch):
    """Run the program in this process, which saves a second each; `run(NAME=value)` adds to its environment.

    Returns its exit code.
    """

    def ran(**more):
        for name, value in more.items():
            monkeypatch.setenv(name, value)
        return main()

    return ran


def test_all_kernels_of_a_job_are_among_those_compiled_ahead(start, monkeypatch):
    # Given the kernels that `make setup` and the image's build leave compiled, by their arguments' types
    listing = str(Path(__file__).parents[2] / "made/listing_kernels.py")
    warming = start(listing, "spaceport_compressor.warm_cache")
    assert warming.returncode == 0, warming.stderr
    # When a model is compressed and judged, and coarser copies of it are made
    monkeypatch.setenv("SPACEPORT_LOD_ABOVE", "0")
    done = start(listing, "spaceport_compressor")
    assert done.returncode == 0, done.stderr
    # Then it takes none but those
    ready, taken = (set(json.loads(each.stderr.splitlines()[-1])) for each in (warming, done))
    assert len(taken) > 10
    assert taken <= ready


def test_a_trained_model_becomes_what_is_delivered(root, start):
    # Given a scene and a model; When the job runs
    done = start()
    # Then it succeeds,
    assert done.returncode == 0, done.stderr
    compressed, gaussian = (root / "processing/output" / name for name in ("compressed", "gaussian"))
    # leaves the model under both names, readable and whole,
    assert (compressed / "model.sog").read_bytes() == (compressed / "model.sogs").read_bytes()
    assert len(read_sog(compressed / "model.sog")) == 2000
    # a page,
    page = (compressed / "viewer/index.html").read_text()
    assert "<title>Brighton</title>" in page
    assert "photo 3.png" in json.loads((compressed / "viewer/cameras.json").read_text())["cameras"]
    # a report that carries the earlier ones on and measures delivery on the held-out photo,
    report = QualityReport.model_validate_json((compressed / "quality.json").read_bytes())
    assert report.photos.given == 5
    assert report.training.holdout == ["photo 1.png"]
    assert report.delivery.sog_bytes == (compressed / "model.sog").stat().st_size
    assert report.delivery.ply_bytes == (gaussian / "model.ply").stat().st_size
    assert report.delivery.decode_psnr_db > 35
    # the other formats,
    for name, size in report.delivery.files.items():
        assert (compressed / name).stat().st_size == size
    assert {"model.ply", "model.spz", "model.glb"} <= report.delivery.files.keys()
    assert len(read_ply(compressed / "model.ply")) == 2000
    # the training job's files,
    for name in ("model.ply", "training.log", "metrics.json"):
        source = root / "processing/input/training" / name
        assert (gaussian / name).read_bytes() == source.read_bytes()
    # none of the pictures that an older image of training does not make,
    assert report.pictures == []
    # the report for people,
    assert "4 of 5 photos found" in (compressed / "report.html").read_text(encoding="utf-8")
    # and progress that rises to the end.
    lines = [parse_line(line) for line in done.stdout.splitlines()]
    fractions = [line.progress for line in lines if line]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert lines[-1].metrics["sog_bytes"] == report.delivery.sog_bytes
    assert {line.stage for line in lines if line} == {"compression"}


def test_a_large_model_comes_in_levels_of_detail_and_only_in_formats_asked_for(root, run):
    # Given an SfM that found out where the scene is
    told = root / "processing/input/colmap/sfm.json"
    origin = {"lat": 46.86, "lon": 8.23, "alt": 473.0}
    georef = {"rms_horizontal_m": 1.0, "rms_vertical_m": 1.0, "origin": origin}
    told.write_text(json.dumps({**json.loads(told.read_text()), "georef": georef}))
    # When 2,000 Gaussians are called many
    compressed = root / "processing/output/compressed"
    assert run(SPACEPORT_LOD_ABOVE="1999", SPACEPORT_FORMATS="tiles") == 0
    # Then the model is there whole and in pieces, which the page shows,
    delivery = QualityReport.model_validate_json((compressed / "quality.json").read_bytes()).delivery
    assert delivery.lod.gaussians == [2000, 1000, 500, 250]
    pieces = [file for file in (compressed / "lod").rglob("*") if file.is_file()]
    assert delivery.lod.bytes == sum(file.stat().st_size for file in pieces)
    assert len(read_sog(compressed / "model.sog")) == 2000
    assert 'data-model="../lod/lod-meta.json"' in (compressed / "viewer/index.html").read_text()

    # and as tiles of the same levels, at that place, and as nothing else
    tiles = (compressed / "tiles").iterdir()
    assert delivery.files == {"tiles/tileset.json": sum(tile.stat().st_size for tile in tiles)}
    assert not (compressed / "model.spz").exists()
    tileset = json.loads((compressed / "tiles/tileset.json").read_text())
    assert tileset["root"]["content"]["uri"] == "3_0.glb"
    up = np.reshape(tileset["root"]["transform"], (4, 4))[2]
    assert up[2] == pytest.approx(np.sin(np.radians(46.86)))


def test_the_pictures_that_training_made_are_published(root, run):
    # Given a training job with a film and pictures of held-out photos
    training = root / "processing/input/training"
    (training / HELD_OUT).mkdir()
    for name in (VIDEO, THUMBNAIL, f"{HELD_OUT}/photo 1.png.jpg"):
        (training / name).write_text(name)
    # When its model is packed
    assert run(SPACEPORT_FORMATS="none") == 0
    # Then film and thumbnail lie beside the delivered model, the rest beside the trained one
    compressed, gaussian = (root / "processing/output" / name for name in ("compressed", "gaussian"))
    assert (compressed / VIDEO).read_text() == VIDEO
    assert (compressed / THUMBNAIL).read_text() == THUMBNAIL
    assert (gaussian / HELD_OUT / "photo 1.png.jpg").is_file()
    report = QualityReport.model_validate_json((compressed / "quality.json").read_bytes())
    assert report.pictures == [VIDEO, THUMBNAIL]


def test_a_report_that_can_t_be_drawn_costs_only_itself(root, viewer, caplog):
    # Given photos too small to be compared by SSIM, and the report of an earlier run
    compressed = root / "processing/output/compressed"
    compressed.mkdir(parents=True)
    (compressed / "report.html").write_text("of another model")
    colmap, training = (root / "processing/input" / name for name in ("colmap", "training"))
    source = Source(training / "model.ply", training / "metrics.json", colmap / "dense", colmap / "sfm.json")
    job = CompressionJob(
        source=source,
        training=training,
        compressed=compressed,
        gaussian=root / "processing/output/gaussian",
        viewer_package=viewer,
        title="Brighton",
        now=datetime.now(UTC),
        max_size=8,
        seed=0,
        rules=Rules(),
        lod_above=5000,
        formats=(),
    )
    # When the job runs
    told = []
    report = compress(job, lambda fraction, message="", **metrics: told.append(fraction))
    # Then it comes to its end with the model and its numbers,
    assert told[-1] == 1.0
    assert len(read_sog(compressed / "model.sog")) == 2000
    assert ModelQuality.model_validate_json((compressed / "quality.json").read_bytes()) == report
    # says what went wrong where we look for it, and that there is no report where the user does
    assert "SSIM needs images of 11" in caplog.text
    assert "could not be drawn" in (compressed / "report.html").read_text()


def test_a_held_out_photo_steers_nothing(root, run):
    # Given two scenes that differ only in where a held-out photo was taken
    model, sparse = (
        root / "processing/output/compressed/model.sog",
        root / "processing/input/colmap/dense/sparse",
    )
    run(SPACEPORT_FORMATS="none")
    first = model.read_bytes()
    scene = pycolmap.Reconstruction(sparse)
    (held,) = (image for image in scene.images.values() if image.name in ["photo 1.png"])
    tilted = pycolmap.Rigid3d(pycolmap.Rotation3d(np.array([0.3, 0.0, 0.0])), np.array([5.0, 9.0, 3.0]))
    held.frame.rig_from_world = tilted * held.cam_from_world()
    scene.write(sparse)
    # When both are packed
    run()
    # Then the delivered model is the same
    assert model.read_bytes() == first


@pytest.mark.parametrize(
    ("spoil", "code", "named"),
    [
        (lambda ml: (ml / "training/model.ply").unlink(), "no_model", "model.ply"),
        (lambda ml: (ml / "training/model.ply").write_bytes(b"solid cube"), "bad_ply", "model.ply"),
        (lambda ml: (ml / "training/metrics.json").unlink(), "bad_report", "metrics.json"),
        (lambda ml: (ml / "colmap/sfm.json").write_text("{}"), "bad_report", "sfm.json"),
        (lambda ml: (ml / "colmap/dense/sparse/images.bin").unlink(), "bad_scene", "sparse"),
    ],
    ids=["no model", "no ply", "no metrics", "empty sfm.json", "no poses"],
)
def test_what_is_missing_is_told_in_the_message_file(root, run, spoil, code, named):
    spoil(root / "processing/input")
    assert run() == 1
    message = json.loads((root / "output/message").read_text())
    assert message["code"] == code
    assert named in message["message"]
    assert message["hint"]


def test_a_model_with_a_few_impossible_numbers_is_delivered_without_them(root, run, make_gaussians):
    # Given a model of which training made three Gaussians impossible
    model = make_gaussians(2000)
    model.means[7] = np.nan
    model.log_scales[8] = 90.0
    model.quats[9] = 0.0
    write_ply(root / "processing/input/training/model.ply", model)
    # When the job runs, Then all others are delivered, and the report tells
    assert run(SPACEPORT_FORMATS="none") == 0
    compressed = root / "processing/output/compressed"
    assert len(read_sog(compressed / "model.sog")) == 1997
    report = QualityReport.model_validate_json((compressed / "quality.json").read_bytes())
    assert report.delivery.gaussians == 1997
    assert report.delivery.removed.broken == 3
    assert report.delivery.removed.total == 3


def test_a_model_of_mostly_impossible_numbers_is_told(root, run, make_gaussians):
    # Given a model of which training made most Gaussians impossible
    model = make_gaussians(2000)
    model.means[500:] = np.nan
    write_ply(root / "processing/input/training/model.ply", model)
    # When the job runs, Then what is wrong is told, and no file is delivered
    assert run() == 1
    message = json.loads((root / "output/message").read_text())
    assert message["code"] == "broken_model"
    assert "1,500 of its 2,000" in message["message"]
    assert not (root / "processing/output/compressed/model.sog").exists()


def test_a_viewer_that_is_not_configured_is_told(root, run):
    assert run(SPACEPORT_VIEWER_DIR="") == 1
    assert json.loads((root / "output/message").read_text())["code"] == "no_viewer"


def test_a_viewer_that_is_gone_is_told_before_the_work(root, run):
    assert run(SPACEPORT_VIEWER_DIR=str(root / "nowhere")) == 1
    assert json.loads((root / "output/message").read_text())["code"] == "no_viewer"
    assert not (root / "processing/output/compressed/model.sog").exists()
