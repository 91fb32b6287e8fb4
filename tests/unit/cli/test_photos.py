"""From what the user names to the zip that is sent."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from spaceport.archive import inspect
from spaceport.errors import UserError
from spaceport_cli.exits import RefusedError, UsageError
from spaceport_cli.photos import photo_zip, zip_folder


def test_a_zip_is_taken_as_it_is(photos: Path):
    with photo_zip(photos) as accepted:
        assert (accepted.path, accepted.name, accepted.photos) == (photos, "beach", 3)
        assert len(accepted.digest) == 64


def test_a_folder_becomes_a_stored_zip_of_its_photos_in_name_order(photo_folder: Path, tmp_path: Path):
    zip_folder(photo_folder, tmp_path / "out.zip")

    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        entries = archive.infolist()
        assert [entry.filename for entry in entries] == [
            "100MEDIA/DJI_0001.JPG",
            "100MEDIA/DJI_0002.JPG",
            "101MEDIA/DJI_0001.JPG",
        ]
        assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}
        name = "101MEDIA/DJI_0001.JPG"
        assert archive.read(name) == (photo_folder / name).read_bytes()


def test_the_same_photos_give_the_same_bytes_whatever_their_times_and_modes(
    photo_folder: Path, tmp_path: Path
):
    zip_folder(photo_folder, tmp_path / "one.zip")
    for path in photo_folder.rglob("*.JPG"):
        os.utime(path, (1e9, 1e9))
        path.chmod(0o600)

    zip_folder(photo_folder, tmp_path / "two.zip")

    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_a_folders_zip_is_accepted_under_the_folders_name_and_removed_at_the_end(photo_folder: Path):
    with photo_zip(photo_folder) as accepted:
        path = accepted.path
        assert (accepted.name, accepted.photos) == ("Playa Ñ", 3)
    assert not path.exists()


def test_photos_of_every_kind_and_their_ground_control_travel_and_nothing_else(
    photo_folder: Path, tmp_path: Path
):
    for name in ("IMG_1.HEIC", "GCP_list.txt", "flight.mp4", "100MEDIA/.gcp_list.txt"):
        (photo_folder / name).write_bytes(b"x")

    zip_folder(photo_folder, tmp_path / "out.zip")

    names = zipfile.ZipFile(tmp_path / "out.zip").namelist()
    assert {"IMG_1.HEIC", "GCP_list.txt"} <= set(names)
    assert len(names) == 5


def test_a_refused_zip_is_refused_in_the_clouds_words(tmp_path: Path):
    path = tmp_path / "holiday.zip"
    path.write_bytes(b"these are no photos")
    with path.open("rb") as file, pytest.raises(UserError) as by_policy:
        inspect(file, path.name)

    with pytest.raises(RefusedError) as refused, photo_zip(path):
        pass

    assert refused.value.told() == by_policy.value.told()


def test_a_folder_without_photos_is_refused(tmp_path: Path):
    (tmp_path / "film.mp4").write_bytes(b"video")

    with pytest.raises(RefusedError, match="holds no photos"), photo_zip(tmp_path):
        pass


def test_a_name_that_is_no_text_is_refused_by_name(photo_folder: Path):
    bad = os.fsencode(photo_folder / "DJI_") + b"\xff.JPG"
    Path(os.fsdecode(bad)).write_bytes(b"x")

    with pytest.raises(RefusedError, match="not valid text"), photo_zip(photo_folder):
        pass


def test_a_path_that_is_not_there_is_a_usage_error(tmp_path: Path):
    with (
        pytest.raises(UsageError, match=r"no file or folder .*missing\.zip"),
        photo_zip(tmp_path / "missing.zip"),
    ):
        pass
