"""The demo survey: the same bytes each time, tags near the truth, a truth that its pictures agree with."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image
from scipy.spatial.transform import Rotation

from spaceport_demo.__main__ import main
from spaceport_demo.flight import TAKE_OFF_HEIGHT, Shot
from spaceport_demo.ground import Ground
from spaceport_demo.landscape import Landscape
from spaceport_demo.raycast import GROUND, View, render_view
from spaceport_demo.survey import (
    BAROMETER_SIGMA,
    GIMBAL_SIGMA,
    GPS_SIGMA,
    ORIGIN,
    Survey,
    pack,
    take_photos,
    truth,
)

SMALL = Survey(photos=4, width=160, height=120)
WIDTH, HEIGHT = 800, 600


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the command has written a small survey to."""
    folder = tmp_path_factory.mktemp("demo")
    assert main([str(folder), "--photos", "20", "--size", "160x120"]) == 0
    return folder


@pytest.fixture(scope="module")
def scene() -> tuple[Landscape, Ground]:
    return Survey(width=WIDTH, height=HEIGHT).build_scene()


@pytest.fixture(scope="module")
def views(scene: tuple[Landscape, Ground]) -> list[tuple[Shot, View]]:
    """Some photos of the standard flight at half size: straight down, and at a slant."""
    shots = Survey(width=WIDTH, height=HEIGHT).shots()
    return [(shots[k], render_view(*scene, shots[k].seen_by(WIDTH, HEIGHT))) for k in (2, 3, 4, 9, 15, 17)]


def project(shot: Shot, points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixel coordinates (N, 2) and distances (N,) of world points (N, 3)."""
    camera = shot.seen_by(WIDTH, HEIGHT)
    seen = (points - shot.position) @ shot.rotation.T
    pixels = camera.focal * seen[:, :2] / seen[:, 2:] + [camera.center_x, camera.center_y]
    return pixels, np.linalg.norm(seen, axis=1)


def unproject(shot: Shot, view: View) -> NDArray[np.float64]:
    """The world point (H, W, 3) that each pixel shows."""
    camera = shot.seen_by(WIDTH, HEIGHT)
    column, row = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    rays = np.stack([column - camera.center_x, row - camera.center_y, np.full_like(row, camera.focal)], -1)
    rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True) @ shot.rotation
    return shot.position + rays * view.distance[..., None]


def corners(landscape: Landscape, solid: int) -> NDArray[np.float64]:
    """The corners of a solid, from its planes alone: where three meet and no other cuts them off."""
    first, end = landscape.solids.first_face[solid : solid + 2]
    planes = landscape.solids.planes[first:end]
    found = []
    for three in itertools.combinations(planes, 3):
        normals, offsets = np.array(three)[:, :3], np.array(three)[:, 3]
        if abs(np.linalg.det(normals)) > 1e-6:
            point = np.linalg.solve(normals, offsets)
            if (planes[:, :3] @ point - planes[:, 3] < 1e-6).all():
                found.append(point)
    return np.array(found)


class TestSameBytes:
    def test_a_seed_gives_the_same_zip_again_and_on_one_thread(self, tmp_path: Path) -> None:
        # When the same survey is flown twice here, and once by another process on one thread
        here = [hashlib.sha256(pack(take_photos(SMALL))).hexdigest() for _ in range(2)]
        command = [
            sys.executable,
            "-m",
            "spaceport_demo",
            str(tmp_path),
            "--photos",
            "4",
            "--size",
            "160x120",
        ]
        subprocess.run(command, check=True, env={**os.environ, "NUMBA_NUM_THREADS": "1"})
        there = hashlib.sha256((tmp_path / "demo-flight.zip").read_bytes()).hexdigest()
        # Then all three files are the same
        assert {*here, there} == {here[0]}

    def test_another_seed_gives_another_landscape(self) -> None:
        first, second = (
            next(iter(take_photos(Survey(seed=s, photos=4, width=160, height=120)))) for s in (1, 2)
        )
        assert first != second


class TestTags:
    def test_positions_are_within_the_noise_of_the_truth(self, flown: Path) -> None:
        # Given the GPS tags of twenty photos, read back by Pillow and turned into metres by COLMAP
        told = json.loads((flown / "truth.json").read_text())
        errors = []
        with zipfile.ZipFile(flown / "demo-flight.zip") as archive:
            assert archive.namelist() == [photo["name"] for photo in told["photos"]]
            for photo in told["photos"]:
                exif = Image.open(io.BytesIO(archive.read(photo["name"]))).getexif()
                gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
                assert (gps[ExifTags.GPS.GPSLatitudeRef], gps[ExifTags.GPS.GPSLongitudeRef]) == ("N", "E")
                lat, lon = (
                    sum(float(part) / 60**k for k, part in enumerate(gps[tag]))
                    for tag in (ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLongitude)
                )
                place = [[lat, lon, float(gps[ExifTags.GPS.GPSAltitude])]]
                enu = pycolmap.GPSTransform().ellipsoid_to_enu(
                    place, ORIGIN.latitude, ORIGIN.longitude, ORIGIN.altitude
                )
                errors.append(np.ravel(enu) - photo["position"])
        # Then they scatter by σ on each axis: 20 draws estimate it to a third, and none is beyond 4 σ
        spread = np.sqrt(np.mean(np.square(errors), axis=0))
        assert (spread > 0.6 * GPS_SIGMA).all()
        assert (spread < 1.5 * GPS_SIGMA).all()
        assert np.abs(errors).max() < 4 * GPS_SIGMA

    def test_the_gimbal_points_where_the_truth_does(self, flown: Path) -> None:
        # Given the angles in each photo's XMP, and a camera that looks north and level at zeros
        told = json.loads((flown / "truth.json").read_text())
        level = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])  # its x, y, z in the world
        angles, heights = [], []
        with zipfile.ZipFile(flown / "demo-flight.zip") as archive:
            for photo in told["photos"]:
                xmp = Image.open(io.BytesIO(archive.read(photo["name"]))).info["xmp"].decode()
                sensed = {name: float(value) for name, value in re.findall(r'drone-dji:(\w+)="(.+?)"', xmp)}
                # When it is turned clockwise about down, up about right, clockwise about the view
                turned = Rotation.from_euler(
                    "YXZ",
                    [sensed[f"Gimbal{axis}Degree"] for axis in ("Yaw", "Pitch", "Roll")],
                    degrees=True,
                )
                error = Rotation.from_matrix(np.array(photo["rotation"]) @ (level.T @ turned.as_matrix()))
                angles.append(np.degrees(error.magnitude()))
                heights.append(sensed["RelativeAltitude"] - (photo["position"][2] - TAKE_OFF_HEIGHT))
        # Then it points as the true one, up to the noise on three angles, at the true height above take-off
        assert 0.5 * GIMBAL_SIGMA < np.mean(angles) < 3 * GIMBAL_SIGMA
        assert np.abs(heights).max() < 4 * BAROMETER_SIGMA

    def test_the_focal_length_fits_the_pinhole(self, flown: Path, tmp_path: Path) -> None:
        camera = json.loads((flown / "truth.json").read_text())["camera"]
        with zipfile.ZipFile(flown / "demo-flight.zip") as archive:
            photo = Path(archive.extract("DSC_0001.JPG", tmp_path))
        # When COLMAP takes the focal length from the tags, then it is the truth's to 2 %
        # (COLMAP counts 35 mm film by its width, makers by its diagonal).
        inferred = pycolmap.infer_camera_from_image(photo)
        assert inferred.has_prior_focal_length
        assert inferred.mean_focal_length() == pytest.approx(camera["fx"], rel=0.02)
        shot = Image.open(photo).getexif().get_ifd(ExifTags.IFD.Exif)
        assert float(shot[ExifTags.Base.FocalLength]) == 12.0
        assert shot[ExifTags.Base.DateTimeOriginal].startswith("2025:")


class TestTruth:
    def test_a_tower_s_corners_are_drawn_where_the_poses_say(
        self, scene: tuple[Landscape, Ground], views: list[tuple[Shot, View]]
    ) -> None:
        landscape, _ = scene
        tower = landscape.chapel_tower
        top = [c for c in corners(landscape, tower) if c[2] > landscape.solids.spheres[tower, 2]]
        assert len(top) == 4
        checked = 0
        for shot, view in views:
            points = unproject(shot, view)
            pixels, distances = project(shot, np.array(top))
            for (px, py), distance in zip(pixels, distances, strict=True):
                row, column = int(np.floor(py)), int(np.floor(px))
                if not (2 <= row < HEIGHT - 2 and 2 <= column < WIDTH - 2):
                    continue
                window = np.s_[row - 1 : row + 2, column - 1 : column + 2]
                if view.distance[window].min() < distance - 1.0:
                    continue  # the spire is in front
                # Then the roof's corner is drawn there: within a pixel lie both roof and what is not roof
                on_roof = (view.items[window] == tower) & (np.abs(points[window][..., 2] - top[0][2]) < 0.02)
                assert on_roof.any()
                assert not on_roof.all()
                checked += 1
        assert checked >= 6

    def test_the_ground_keeps_its_place_and_its_colour_from_photo_to_photo(
        self, views: list[tuple[Shot, View]]
    ) -> None:
        # Given what one photo shows of the ground, and where
        (shot, view), (other_shot, other) = views[1], views[2]
        points = unproject(shot, view)
        ground = view.items == GROUND
        # When the next photo looks at the same points
        pixels, distances = project(other_shot, points[ground])
        column, row = np.floor(pixels).astype(int).T
        framed = (column >= 0) & (column < WIDTH) & (row >= 0) & (row < HEIGHT)
        assert framed.mean() > 0.6
        there = other.distance[row[framed], column[framed]]
        same = (np.abs(there - distances[framed]) < 0.3) & (
            other.items[row[framed], column[framed]] == GROUND
        )
        # Then it sees them (but for what roofs and trees hide), in the same colours
        assert same.mean() > 0.9
        here_green = view.radiance[ground][framed][same][:, 1]
        there_green = other.radiance[row[framed][same], column[framed][same], 1]
        assert np.corrcoef(here_green, there_green)[0, 1] > 0.9  # up to a pixel apart: not exactly 1
        assert np.median(there_green / here_green) == pytest.approx(1.0, abs=0.01)

    def test_the_truth_s_rotations_are_rotations_and_look_down(self) -> None:
        for photo in truth(Survey())["photos"]:
            rotation = np.array(photo["rotation"])
            assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-12)
            assert np.linalg.det(rotation) == pytest.approx(1.0)
            assert rotation[2, 2] < -0.6  # the view's direction is the third row


class TestCommand:
    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["--size", "1600"], "'1600' is not a size like 1600x1200"),
            (["--size", "10x10"], "each side must be 64 to 8192 pixels"),
            (["--photos", "2"], "a survey takes 3 photos or more"),
            (["--seed", "-1"], "a seed is a whole number"),
        ],
    )
    def test_a_bad_argument_is_named(
        self, arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as stopped:
            main([str(tmp_path), *arguments])
        assert stopped.value.code == 2
        assert told in capsys.readouterr().err
        assert not list(tmp_path.iterdir())
