"""Features and matches in the database: the same on any number of threads, resumed, and of odd photos."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pycolmap
import pytest
from PIL import ExifTags, Image

from spaceport_sfm.mapping.features import create_database, extract_features, find_features
from spaceport_sfm.mapping.matching import match, matched_features
from spaceport_sfm.photo import Photo

SIZE = (320, 240)


def ground(seed: int = 0) -> np.ndarray:
    """A large picture full of blobs of all sizes, to photograph parts of."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.normal(size=(side, side)), (1000, 1000), interpolation=cv2.INTER_CUBIC)
        for side in (20, 60, 180, 500)
    ]
    picture = sum(layers)
    return np.uint8(np.clip(128 + 40 * picture, 0, 255))


def save(folder: Path, name: str, grey: np.ndarray) -> Photo:
    Image.fromarray(grey).convert("RGB").save(folder / name, "JPEG", quality=95)
    height, width = grey.shape
    return Photo(name=name, source=name, width=width, height=height)


@pytest.fixture
def flight(tmp_path: Path) -> tuple[Path, list[Photo]]:
    """Five overlapping photos, one with a name that is not ASCII, in a folder with blanks."""
    folder = tmp_path / "photos of a flight"
    folder.mkdir()
    names = ["0001_a.jpg", "0002_b.jpg", "0003_über.jpg", "0004_d.jpg", "0005_e.jpg"]
    land = ground()
    photos = [
        save(folder, name, land[40 * k : 40 * k + SIZE[1], 50 * k : 50 * k + SIZE[0]])
        for k, name in enumerate(names)
    ]
    return folder, photos


def pairs_of(photos: list[Photo]) -> list[tuple[str, str]]:
    return list(combinations([photo.name for photo in photos], 2))


def run(database: Path, folder: Path, photos: list[Photo], threads: int = 1) -> list[int]:
    """Features and matches of all pairs; returns what was told of the features' progress."""
    told: list[int] = []
    create_database(database, folder, photos)
    extract_features(database, folder, photos, threads, told.append)
    match(database, database.with_suffix(".txt"), pairs_of(photos), 0, lambda done: None)
    return told


def contents(database: Path) -> dict[str, list[tuple]]:
    with closing(sqlite3.connect(database)) as opened:
        return {
            table: opened.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
            for table in ("images", "keypoints", "descriptors", "matches", "two_view_geometries")
        }


def inliers(database: Path, first: int, second: int) -> np.ndarray:
    """Pixel coordinates (N, 4) of the verified matches of two photos."""
    with closing(pycolmap.Database.open(database)) as opened:
        matches = opened.read_two_view_geometry(first, second).inlier_matches
        xy = [opened.read_keypoints(photo)[:, :2] for photo in (first, second)]
    return np.hstack([xy[0][matches[:, 0]], xy[1][matches[:, 1]]])


class TestFeatures:
    def test_a_pixel_s_place_is_counted_from_the_corner(self, tmp_path: Path) -> None:
        # Given a round blob whose middle is the middle of a photo of odd size, 100.5 pixels from its corner
        row, column = np.mgrid[:201, :201] - 100.0
        save(tmp_path, "blob.jpg", np.uint8(40 + 180 * np.exp(-(row**2 + column**2) / (2 * 8.0**2))))

        keypoints = find_features(tmp_path / "blob.jpg").keypoints

        blob = keypoints[np.argmin(np.abs(keypoints[:, 2] - 8.0))]
        assert blob[:2] == pytest.approx([100.5, 100.5], abs=0.05)
        assert blob[2] == pytest.approx(8.0, rel=0.15)

    def test_no_more_than_the_budget_and_the_largest_of_them(self, flight: tuple[Path, list[Photo]]) -> None:
        folder, photos = flight
        scales = find_features(folder / photos[0].name).keypoints[:, 2]

        features = find_features(folder / photos[0].name, 300)

        assert features.descriptors.shape == (300, 128)
        assert np.sort(features.keypoints[:, 2]) == pytest.approx(np.sort(scales)[-300:])

    def test_a_place_is_taken_once(self, flight: tuple[Path, list[Photo]]) -> None:
        folder, photos = flight
        places = find_features(folder / photos[0].name).keypoints[:, :3]
        assert len(np.unique(places, axis=0)) == len(places) > 500

    def test_descriptors_are_root_sift_of_length_512(self, flight: tuple[Path, list[Photo]]) -> None:
        folder, photos = flight
        lengths = np.linalg.norm(find_features(folder / photos[0].name).descriptors.astype(float), axis=1)
        assert lengths == pytest.approx(512.0, rel=0.01)

    def test_pixels_are_taken_as_they_lie(self, flight: tuple[Path, list[Photo]]) -> None:
        # Given a photo whose EXIF asks to turn it, which only OpenCV reads: its camera is told to lie
        folder, photos = flight
        before = find_features(folder / photos[0].name)
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        block, plain = exif.tobytes(), (folder / photos[0].name).read_bytes()
        segment = b"\xff\xe1" + (2 + len(block)).to_bytes(2, "big") + block
        (folder / "turned.jpg").write_bytes(plain[:2] + segment + plain[2:])

        assert np.array_equal(find_features(folder / "turned.jpg").keypoints, before.keypoints)

    def test_what_is_no_photo_is_a_fault_that_names_it(self, tmp_path: Path) -> None:
        (tmp_path / "broken.jpg").write_bytes(b"not a picture")
        with pytest.raises(OSError, match=r"broken\.jpg"):
            find_features(tmp_path / "broken.jpg")


class TestDatabase:
    def test_matches_lie_where_the_photos_truly_overlap(
        self, flight: tuple[Path, list[Photo]], tmp_path: Path
    ) -> None:
        folder, photos = flight
        run(tmp_path / "a.db", folder, photos)

        xy = inliers(tmp_path / "a.db", 1, 2)

        assert len(xy) > 200
        assert np.median(np.abs(xy[:, :2] - xy[:, 2:] - [50, 40])) < 0.1

    def test_the_same_bytes_on_any_number_of_threads(
        self, flight: tuple[Path, list[Photo]], tmp_path: Path
    ) -> None:
        folder, photos = flight

        told = [run(tmp_path / f"{threads}.db", folder, photos, threads) for threads in (1, 4)]

        assert told == [[1, 2, 3, 4, 5]] * 2
        assert contents(tmp_path / "1.db") == contents(tmp_path / "4.db")

    def test_a_run_ended_anywhere_goes_on_and_ends_the_same(
        self, flight: tuple[Path, list[Photo]], tmp_path: Path
    ) -> None:
        # Given one run in one go
        folder, photos = flight
        run(tmp_path / "whole.db", folder, photos)
        # When another has ended within a photo, after its descriptors
        part = tmp_path / "part.db"
        create_database(part, folder, photos)
        extract_features(part, folder, photos[:3], 1, lambda done: None)
        with closing(sqlite3.connect(part)) as opened:
            opened.execute("DELETE FROM keypoints WHERE image_id = 3")
            opened.commit()
        told: list[int] = []
        create_database(part, folder, photos)
        extract_features(part, folder, photos, 1, told.append)
        # and then within a pair, after its matches
        match(part, tmp_path / "pairs.txt", pairs_of(photos)[:4], 0, lambda done: None)
        with closing(sqlite3.connect(part)) as opened:
            opened.execute(
                "DELETE FROM two_view_geometries WHERE pair_id = (SELECT MAX(pair_id) FROM matches)"
            )
            opened.commit()
        match(part, tmp_path / "pairs.txt", pairs_of(photos), 0, lambda done: None)

        # Then only what was missing is done, and all is as in the one go
        assert told == [3, 4, 5]
        assert contents(part) == contents(tmp_path / "whole.db")

    def test_photos_with_no_or_few_features_harm_nobody(
        self, flight: tuple[Path, list[Photo]], tmp_path: Path
    ) -> None:
        # Given fog, still water with one buoy, and a photo with a handful of spots
        folder, photos = flight
        fog = np.full((240, 320), 200, np.uint8)
        buoy, spots = fog.copy(), fog.copy()
        cv2.circle(buoy, (150, 100), 8, 20, -1)
        for k in range(9):
            cv2.circle(spots, (30 + 30 * k, 40 + 20 * k), 3 + k, 20 * k, -1)
        odd = [save(folder, f"000{6 + k}.jpg", grey) for k, grey in enumerate((fog, buoy, spots, fog))]

        run(tmp_path / "odd.db", folder, [*photos, *odd])

        with closing(pycolmap.Database.open(tmp_path / "odd.db")) as opened:
            assert opened.num_keypoints_for_image(6) == 0
            assert 0 < opened.num_keypoints_for_image(7) < 20
        assert len(inliers(tmp_path / "odd.db", 1, 2)) > 200

    def test_a_feature_that_matches_in_many_photos_is_one_matched_feature(
        self, flight: tuple[Path, list[Photo]], tmp_path: Path
    ) -> None:
        folder, photos = flight
        run(tmp_path / "a.db", folder, photos)

        places = {
            (photo, *xy)
            for pair in combinations(range(1, len(photos) + 1), 2)
            for photo, all_xy in zip(pair, np.hsplit(inliers(tmp_path / "a.db", *pair), 2), strict=True)
            for xy in all_xy.tolist()
        }
        assert matched_features(tmp_path / "a.db") == pytest.approx(
            len(places), rel=0.01
        )  # few share a place

    def test_a_name_given_twice_is_refused(self, flight: tuple[Path, list[Photo]], tmp_path: Path) -> None:
        folder, photos = flight
        with pytest.raises(ValueError, match="the same name"):
            create_database(tmp_path / "a.db", folder, [*photos, photos[0]])

    def test_a_name_with_a_blank_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"'b c\.jpg'"):
            match(tmp_path / "a.db", tmp_path / "pairs.txt", [("a.jpg", "b c.jpg")], 0, lambda done: None)

    def test_progress_counts_the_pairs_of_this_call_only(
        self, flight: tuple[Path, list[Photo]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Given pairs that an earlier call has matched
        monkeypatch.setattr("spaceport_sfm.mapping.matching.POLL_S", 0.001)
        folder, photos = flight
        database, pairs, told = tmp_path / "a.db", pairs_of(photos), []
        create_database(database, folder, photos)
        extract_features(database, folder, photos, 1, lambda done: None)
        match(database, tmp_path / "pairs.txt", pairs[:6], 0, lambda done: None)

        match(database, tmp_path / "more.txt", pairs[6:], 0, told.append)

        assert told == sorted(told)
        assert set(told) <= {1, 2, 3, 4}
