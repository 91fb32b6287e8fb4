"""The whole stage, as SageMaker runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from PIL import Image
from scipy.spatial import cKDTree

from spaceport.archive import DIGEST_VARIABLE, inspect
from spaceport.quality import SfmReport
from spaceport_render.seed_file import read_seed_file
from spaceport_sfm.__main__ import zip_in

SMALL = {"SPACEPORT_SFM_MAX_SIZE": "640"}
SEEDED = {**SMALL, "SPACEPORT_DENSE_SEEDS": "true"}


@pytest.fixture(scope="module")
def finished(run_sfm, small_flight, tmp_path_factory):
    """One run on the real flight at 640 pixels, dense seeds and all."""
    run = run_sfm(tmp_path_factory.mktemp("ml"), small_flight, **SEEDED)
    assert run.code == 0, run.log
    return run


@pytest.mark.photos
def test_every_photo_is_placed_and_the_report_is_complete(finished):
    report = SfmReport.model_validate_json((finished.colmap / "sfm.json").read_text())

    assert (report.photos.given, report.photos.registered, report.photos.refused) == (18, 18, [])
    assert report.photos.unregistered == []
    assert report.sfm.points > 1000
    assert report.sfm.reprojection_px < 0.6
    assert report.sfm.mean_track >= 3
    assert report.sfm.cpu_seconds > 0
    assert report.georef is not None
    assert report.georef.rms_horizontal_m < 1.0
    assert report.georef.origin.lat == pytest.approx(46.8426, abs=0.001)


@pytest.mark.photos
def test_the_training_input_is_a_pinhole_scene_with_its_photos(finished):
    dense = finished.colmap / "dense"
    model = pycolmap.Reconstruction(dense / "sparse")

    names = sorted(image.name for image in model.images.values())
    assert len(names) == 18
    # The flight's two folders both hold a DJI_0001
    assert [name for name in names if "DJI_0001" in name] == ["0001_DJI_0001.jpg", "0010_DJI_0001.jpg"]
    assert names == sorted(file.name for file in (dense / "images").iterdir())
    assert {camera.model.name for camera in model.cameras.values()} == {"PINHOLE"}
    for image in model.images.values():
        with Image.open(dense / "images" / image.name) as photo:
            camera = model.cameras[image.camera_id]
            assert photo.size == (camera.width, camera.height)
            edges = photo.convert("L").point(lambda value: value > 3)
            assert edges.crop((0, 0, 1, photo.height)).getextrema() != (0, 0)
            assert edges.crop((photo.width - 1, 0, photo.width, photo.height)).getextrema() != (0, 0)
    assert sorted(file.name for file in dense.iterdir()) == ["images", "seeds.npz", "sparse"]


@pytest.mark.photos
def test_z_is_up_in_metres_and_the_cameras_are_above_the_ground(finished):
    model = pycolmap.Reconstruction(finished.colmap / "sparse")
    points = np.array([point.xyz for point in model.points3D.values()])
    cameras = np.array([image.projection_center() for image in model.images.values()])

    # A flight over a shore of a few metres' relief, within 100 m, at one altitude
    assert np.abs(np.median(points, axis=0)).max() < 1.0
    assert np.percentile(points[:, 2], 99) - np.percentile(points[:, 2], 1) < 15
    assert cameras[:, 2].min() > points[:, 2].max()
    assert np.ptp(cameras[:, 2]) < 5
    assert 60 < np.ptp(cameras[:, :2], axis=0).max() < 120
    # The drone's camera looked down
    down = np.array([image.cam_from_world().rotation.matrix()[2] for image in model.images.values()])
    assert down[:, 2].max() < -0.95


@pytest.mark.photos
def test_the_points_stick_to_the_photos(finished):
    model = pycolmap.Reconstruction(finished.colmap / "dense" / "sparse")

    errors = [
        np.linalg.norm(image.project_point(model.points3D[seen.point3D_id].xyz) - seen.xy)
        for image in model.images.values()
        for seen in image.points2D
        if seen.has_point3D()
    ]

    assert len(errors) > 3000
    assert np.median(errors) < 0.6


@pytest.mark.photos
def test_dense_seeds_lie_on_the_lawn_between_the_points(finished):
    seeds = read_seed_file(finished.colmap / "dense" / "seeds.npz")
    model = pycolmap.Reconstruction(finished.colmap / "sparse")
    points = np.array([point.xyz for point in model.points3D.values()])
    report = SfmReport.model_validate_json((finished.colmap / "sfm.json").read_text())

    assert report.sfm.dense_seeds == len(seeds) > 2000
    # none where SfM has points, most at the height of those around them
    distances, nearest = cKDTree(points).query(seeds.points)
    assert distances.min() > seeds.spacing
    assert np.median(np.abs(seeds.points[:, 2] - points[nearest, 2])) < 0.5
    assert set(seeds.photos) == {image.name for image in model.images.values()}


@pytest.mark.photos
def test_the_georeference_says_where_zero_is(finished):
    georef = json.loads((finished.colmap / "sparse" / "georef.json").read_text())

    assert georef["crs"].startswith("+proj=topocentric")
    assert georef["positions_used"] >= 16
    assert np.linalg.det(np.array(georef["rotation"])) == pytest.approx(1.0)


@pytest.mark.photos
def test_progress_only_rises_and_ends_at_one_with_numbers(finished):
    fractions = [line["progress"] for line in finished.lines]

    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert {line["stage"] for line in finished.lines} == {"sfm"}
    metrics = {name: value for line in finished.lines for name, value in line["metrics"].items()}
    assert (metrics["photos"], metrics["registered"]) == (18, 18)
    assert metrics["points"] > 1000


@pytest.mark.photos
def test_nothing_is_left_but_the_results(finished):
    assert list((finished.root / "scratch").iterdir()) == []
    assert len(list((finished.root / "processing" / "output" / "extracted").iterdir())) == 18
    assert not (finished.root / "output" / "message").exists()


@pytest.mark.photos
def test_the_same_photos_give_the_same_model(finished, run_sfm, small_flight, tmp_path):
    again = run_sfm(tmp_path, small_flight, **SEEDED)

    for name in ("sparse/cameras.bin", "sparse/images.bin", "sparse/points3D.bin", "dense/seeds.npz"):
        file = Path(name)
        assert (again.colmap / file).read_bytes() == (finished.colmap / file).read_bytes(), name


def test_a_zip_of_text_files_is_refused_in_words(run_sfm, make_zip, tmp_path):
    archive = make_zip({f"photo{number}.jpg": f"text {number}".encode() * 99 for number in range(4)})

    run = run_sfm(tmp_path / "ml", archive)

    assert run.code == 1
    assert run.message["code"] == "too_few_photos"
    assert "photo0.jpg is not an image" in run.message["message"]
    assert run.message["hint"]


def test_a_zip_that_took_the_place_of_the_jobs_own_is_refused_in_words(run_sfm, make_zip, tmp_path):
    # Given a zip under whose key another one has been uploaded since it was looked at
    newer = make_zip({f"photo{number}.jpg": f"newer {number}".encode() * 99 for number in range(4)})
    # When SageMaker brings the newest
    run = run_sfm(tmp_path / "ml", newer, **{DIGEST_VARIABLE: "0" * 64})
    # Then the job makes nothing of it
    assert run.code == 1
    assert run.message["code"] == "zip_replaced"
    assert not [*run.colmap.glob("*")]


def test_of_zips_whose_keys_begin_alike_a_job_takes_its_own(make_zip, tmp_path):
    # Given what SageMaker brings for the address of flight.zip, which it takes for a prefix
    for name in (".zip.zip", "flight.zip", "flight.zip.old.zip"):
        make_zip({f"{number}.jpg": f"{name} {number}".encode() for number in range(3)}).rename(
            tmp_path / name
        )
    with (tmp_path / "flight.zip").open("rb") as file:
        digest = inspect(file, "flight.zip").digest
    # Then
    assert zip_in(tmp_path, digest) == tmp_path / "flight.zip"


def test_unrelated_photos_are_told_to_be_a_capture_problem(run_sfm, make_zip, tmp_path):
    def noise(seed: int) -> bytes:
        pixels = np.random.default_rng(seed).integers(0, 255, (75, 100, 3), dtype=np.uint8)
        file = tmp_path / f"{seed}.png"
        Image.fromarray(pixels).resize((400, 300), Image.Resampling.BICUBIC).save(file)
        return file.read_bytes()

    run = run_sfm(tmp_path / "ml", make_zip({f"{seed}.png": noise(seed) for seed in range(3)}))

    assert run.code == 1, run.log
    assert run.message["code"] == "too_few_registered"
    assert "of 3 photos" in run.message["message"]
    assert "overlap" in run.message["hint"]


@pytest.mark.photos
def test_sigterm_leaves_no_child_and_no_scratch(small_flight, tmp_path):
    # Given a run that is inside the reconstruction
    photos = tmp_path / "processing" / "input" / "photos"
    photos.mkdir(parents=True)
    (photos / "flight.zip").write_bytes(small_flight.read_bytes())
    program = subprocess.Popen(
        [sys.executable, "-m", "spaceport_sfm"],
        env={**os.environ, "SPACEPORT_ML_ROOT": str(tmp_path), **SMALL},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    for line in program.stdout:
        if "Finding features" in line:
            break
    time.sleep(0.5)
    children = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
    assert children

    # When SageMaker stops the job
    program.send_signal(signal.SIGTERM)

    # Then it ends as one that was stopped, its child with it
    assert program.wait(10) == 128 + signal.SIGTERM
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    assert list((tmp_path / "scratch").iterdir()) == []
