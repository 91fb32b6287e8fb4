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
from pyproj import Transformer

from spaceport_demo.__main__ import main
from spaceport_sfm.photo import Photo
from spaceport_sfm.placement.gcp_list import read_gcp_list
from spaceport_sfm.placement.gps import Position, from_enu, to_enu
from spaceport_sfm.placement.placing import place


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


def absolute_errors(model: pycolmap.Reconstruction, origin: dict, truth: dict) -> NDArray[np.float64]:
    """(N,) metres from where each camera truly was to where the model, by its origin on Earth, has it."""
    there, true = (Position(**place) for place in (origin, true_origin(truth)))
    images = sorted(model.images.values(), key=lambda image: image.name)
    found = to_enu([from_enu(image.projection_center(), there) for image in images], true)
    shots = sorted(truth["photos"], key=lambda photo: photo["name"])
    return np.linalg.norm(found - np.array([shot["position"] for shot in shots]), axis=1)


def true_origin(truth: dict) -> dict[str, float]:
    origin = truth["origin"]
    return {"lat": origin["latitude"], "lon": origin["longitude"], "alt": origin["altitude"]}


def test_the_model_lies_as_near_the_truth_as_gps_allows(reconstructed: tuple[Path, dict]) -> None:
    colmap, truth = reconstructed
    georef = json.loads((colmap / "sparse" / "georef.json").read_text())

    off = absolute_errors(pycolmap.Reconstruction(colmap / "sparse"), georef["origin"], truth)

    # Seven unknowns from N positions, each off by sigma
    count = len(truth["photos"])
    assert np.sqrt((off**2).mean()) <= 2 * truth["gps_sigma_m"] * np.sqrt(7 / count)


def test_the_map_shows_every_camera_and_its_heading(reconstructed: tuple[Path, dict]) -> None:
    colmap, truth = reconstructed
    *shots, flight = json.loads((colmap / "sparse" / "cameras.geojson").read_text())["features"]
    assert [shot["properties"]["source"] for shot in shots] == [photo["name"] for photo in truth["photos"]]
    assert len(flight["geometry"]["coordinates"]) == len(shots)
    for shot, photo in zip(shots, truth["photos"], strict=True):
        right = np.array(photo["rotation"])[0]
        heading = np.degrees(np.arctan2(-right[1], right[0]))
        # GPS of 1.5 m over 60 m of flight turns the whole by a degree or two.
        assert abs((shot["properties"]["heading_deg"] - heading + 180) % 360 - 180) < 4.0
    vertices = pycolmap.Reconstruction()
    vertices.import_PLY(colmap / "sparse" / "points.ply")
    assert vertices.num_points3D() == pycolmap.Reconstruction(colmap / "sparse").num_points3D()


def gcp_list(truth: dict, points: NDArray[np.float64], stated: NDArray[np.float64]) -> list[str]:
    """Marks of true `points` (N, 3) in six photos each, half a pixel off, said to lie at `stated` (N, 3)."""
    random = np.random.default_rng(0)
    camera, origin = truth["camera"], Position(**true_origin(truth))
    grid = Transformer.from_crs("EPSG:4979", "EPSG:32632", always_xy=True)
    rows = ["WGS84 UTM 32N"]
    for index, (point, said) in enumerate(zip(points, stated, strict=True)):
        spot = from_enu(said, origin)
        x, y, z = grid.transform(spot.lon, spot.lat, spot.alt)
        marks = 0
        for photo in truth["photos"]:
            right, down, ahead = np.array(photo["rotation"]) @ (point - photo["position"])
            at = np.array([camera["cx"], camera["cy"]]) + camera["fx"] * np.array([right, down]) / ahead
            inside = (at > 3).all() and (at < [camera["width"] - 3, camera["height"] - 3]).all()
            if ahead > 0 and inside and marks < 6:
                marks += 1
                across, along = at - 0.5 + random.normal(0, 0.5, 2)
                rows.append(f"{x:.3f} {y:.3f} {z:.3f} {across:.2f} {along:.2f} {photo['name']} gcp{index}")
    return rows


def test_ground_control_lays_the_model_right_to_a_decimetre(reconstructed: tuple[Path, dict]) -> None:
    # Given seven points on and above the ground, two of them exchanged, and one mark on the wrong thing
    colmap, truth = reconstructed
    model = pycolmap.Reconstruction(colmap / "sparse")
    points = np.array(
        [[-30, -30, 6], [-30, 30, 2], [0, 0, 3], [30, -30, 5], [30, 30, 0], [-30, 0, 1], [0, 30, 8]], float
    )
    rows = gcp_list(truth, points, points[[0, 1, 2, 3, 4, 6, 5]])
    wrong = next(index for index, row in enumerate(rows) if row.endswith("gcp2"))
    x, y, z, across, *rest = rows[wrong].split()
    rows[wrong] = " ".join([x, y, z, str(float(across) - 80), *rest])
    photos = [
        Photo(name=image.name, source=shot["name"], width=1600, height=1200)
        for image, shot in zip(
            sorted(model.images.values(), key=lambda image: image.name),
            sorted(truth["photos"], key=lambda shot: shot["name"]),
            strict=True,
        )
    ]

    # When the model is laid on Earth by them alone
    placement = place(model, photos, read_gcp_list("\n".join(rows), photos), seed=0)

    # Then it lies right, and the mistakes are named
    assert placement.georef is not None
    assert placement.georef.control is not None
    assert placement.georef.control.used == ["gcp0", "gcp1", "gcp2", "gcp3", "gcp4"]
    told = " ".join(placement.georef.control.rejected)
    assert f"(line {wrong + 1})" in told
    assert "gcp5: " in told
    assert "gcp6: " in told
    off = absolute_errors(model, placement.georef.origin.model_dump(), truth)
    assert np.sqrt((off**2).mean()) <= 0.1
