"""The demo flight through the real SfM program: every photo registered, the cameras where they were."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from numpy.typing import NDArray

from spaceport_demo.__main__ import main


def residuals(found: NDArray[np.float64], true: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far points (N, 3) lie from the true ones after the best similarity transform (Umeyama 1991)."""
    a, b = found - found.mean(0), true - true.mean(0)
    u, strength, v = np.linalg.svd(b.T @ a / len(a))
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ v))])
    scale = (strength * np.diag(flip)).sum() / (a**2).sum(1).mean()
    return np.linalg.norm(scale * a @ (u @ flip @ v).T - b, axis=1)


@pytest.fixture(scope="module")
def reconstructed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """The SfM stage's `colmap` folder for the standard demo flight, and the flight's truth."""
    root = tmp_path_factory.mktemp("demo_flight")
    photos = root / "processing" / "input" / "photos"
    main([str(root / "demo")])
    photos.mkdir(parents=True)
    (root / "demo" / "demo-flight.zip").rename(photos / "demo-flight.zip")
    subprocess.run(
        [sys.executable, "-m", "spaceport_sfm"],
        check=True,
        env={**os.environ, "SPACEPORT_ML_ROOT": str(root)},
    )
    return root / "processing" / "output" / "colmap", json.loads((root / "demo" / "truth.json").read_text())


def test_every_photo_is_registered(reconstructed: tuple[Path, dict]) -> None:
    colmap, truth = reconstructed
    report = json.loads((colmap / "sfm.json").read_text())
    assert report["photos"]["registered"] == report["photos"]["given"] == len(truth["photos"])
    assert report["photos"]["refused"] == []


def test_cameras_are_within_a_decimetre_of_the_truth(reconstructed: tuple[Path, dict]) -> None:
    colmap, truth = reconstructed
    model = pycolmap.Reconstruction(colmap / "sparse")
    # The program's names differ from the zip's, but sort as they do.
    found = [image.projection_center() for image in sorted(model.images.values(), key=lambda i: i.name)]
    true = [photo["position"] for photo in sorted(truth["photos"], key=lambda p: p["name"])]
    off = residuals(np.array(found), np.array(true))
    assert np.sqrt((off**2).mean()) <= 0.1


def test_the_focal_length_is_found(reconstructed: tuple[Path, dict]) -> None:
    colmap, truth = reconstructed
    cameras = pycolmap.Reconstruction(colmap / "sparse").cameras.values()
    for camera in cameras:
        assert camera.mean_focal_length() == pytest.approx(truth["camera"]["fx"], rel=0.002)


def test_the_model_lies_where_the_gps_says(reconstructed: tuple[Path, dict]) -> None:
    colmap, _ = reconstructed
    # Each photo's GPS is off by 1.5 m on each axis: so is the fit, over twenty of them.
    georef = json.loads((colmap / "sfm.json").read_text())["georef"]
    assert 0.5 < georef["rms_horizontal_m"] < 3.5
    assert 0.3 < georef["rms_vertical_m"] < 3.0
