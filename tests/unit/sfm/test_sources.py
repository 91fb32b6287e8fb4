"""Photos out of zips and folders: names, order, junk, counted bytes, ground control."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest

from spaceport.errors import UserError
from spaceport_sfm.intake.sources import (
    MAX_GROUND_CONTROL_BYTES,
    natural_order,
    open_source,
    read_ground_control,
    scene_names,
)
from spaceport_sfm.photo import UnusablePhotoError

PHOTOS = {"b/DJI_0001.JPG": b"one" * 99, "a/DJI_0001.JPG": b"two" * 99, "a/DJI_0002.JPG": b"three" * 99}
CONTROL = "EPSG:32632\n512345.5 5150000.0 431.2 1024 733 DJI_0001.JPG Süd\n"


@pytest.fixture(params=["zip", "folder"])
def given(request, make_zip, tmp_path):
    """Write files into a zip or a folder, and open it."""

    def write(files: dict[str, bytes]):
        if request.param == "zip":
            return open_source(make_zip(files))
        folder = tmp_path / "flight"
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return open_source(folder)

    return write


def test_same_name_in_two_folders_is_two_photos(given):
    with given(PHOTOS) as source:
        assert source.photos == ("a/DJI_0001.JPG", "a/DJI_0002.JPG", "b/DJI_0001.JPG")
        assert {name: source.read(name) for name in source.photos} == PHOTOS


def test_what_operating_systems_leave_behind_is_no_photo(given):
    junk = {"__MACOSX/a/._DJI_0001.JPG": b"x", "a/.hidden.jpg": b"x", "a/Thumbs.db": b"x", "readme.txt": b"x"}

    with given({**PHOTOS, **junk}) as source:
        assert set(source.photos) == set(PHOTOS)


def test_too_few_photos_are_told_with_what_else_is_there(given):
    with pytest.raises(UserError) as told, given({"log.csv": b"x", "notes.txt": b"x", "1.jpg": b"x"}):
        pass

    assert told.value.code == "too_few_photos"
    assert "only 1 photo" in told.value.message
    assert "log.csv" in told.value.hint


def test_numbers_count_as_numbers_so_that_neighbours_in_time_are_neighbours():
    assert natural_order(["frame_10.jpg", "frame_2.jpg", "frame_1.jpg"]) == (
        "frame_1.jpg",
        "frame_2.jpg",
        "frame_10.jpg",
    )
    assert natural_order([f"{'9' * 5000}.jpg", "8.jpg"])[0] == "8.jpg"  # more than Python makes an int of
    assert natural_order(["07.jpg", "7.jpg"]) == natural_order(["7.jpg", "07.jpg"])


def test_sorted_names_are_in_the_order_given_whatever_the_paths_hold():
    sources = ["ä b/IMG 1.jpg", "x-1/IMG_1.jpg", "x/IMG_1.jpg", f"z/{'long' * 99}.jpg"] * 3000

    names = scene_names(sources)

    assert names == sorted(names)
    assert len(set(names)) == len(sources)
    assert not any(set(" /\\") & set(name) for name in names)
    assert max(map(len, names)) < 100


@pytest.mark.parametrize("name", ["../escape.jpg", "/etc/escape.jpg", "C:\\escape.jpg"])
def test_a_name_that_would_escape_is_refused(make_zip, name):
    with pytest.raises(UserError) as told, open_source(make_zip({**PHOTOS, name: b"x"})):
        pass

    assert told.value.code == "unsafe_name"


def read_only_file(source, name: str) -> UnusablePhotoError:
    """What reading `name` is refused with, where every other photo can be read."""
    for other in set(source.photos) - {name}:
        source.read(other)
    with pytest.raises(UnusablePhotoError) as refused:
        source.read(name)
    return refused.value


def test_a_file_that_unpacks_to_more_than_it_declares_is_stopped(make_zip):
    # Given a zip whose directory declares 10 bytes for a photo of 10 MB
    archive = make_zip({**PHOTOS, "a/big.jpg": bytes(10_000_000)})
    with zipfile.ZipFile(archive) as opened:
        offset = opened.getinfo("a/big.jpg").header_offset
    data = bytearray(archive.read_bytes())
    honest = struct.pack("<I", 10_000_000)
    for place in (data.index(honest, offset), data.rindex(honest)):  # local header and directory
        data[place : place + 4] = struct.pack("<I", 10)
    archive.write_bytes(data)

    # When it is read, Then that photo is refused and the others are there
    with open_source(archive) as source:
        assert source.size("a/big.jpg") == 10
        assert read_only_file(source, "a/big.jpg").code == "damaged"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_photo_whose_bytes_are_damaged_is_refused_alone(make_zip, method):
    archive = make_zip(PHOTOS)
    with zipfile.ZipFile(archive, "a", method) as opened:
        opened.writestr("z.jpg", bytes(range(256)) * 100)
        start = opened.getinfo("z.jpg").header_offset + 30 + len("z.jpg")
    data = bytearray(archive.read_bytes())
    data[start : start + 40] = bytes(byte ^ 0x5A for byte in data[start : start + 40])
    archive.write_bytes(data)

    with open_source(archive) as source:
        refused = read_only_file(source, "z.jpg")
    assert refused.code == "damaged"
    assert "damaged in the zip" in refused.reason


def test_a_file_that_goes_away_is_refused_alone(tmp_path):
    for number in range(4):
        (tmp_path / f"{number}.jpg").write_bytes(b"x")

    with open_source(tmp_path) as source:
        (tmp_path / "2.jpg").unlink()
        refused = read_only_file(source, "2.jpg")
        with pytest.raises(UnusablePhotoError) as sized:
            source.size("2.jpg")
    assert refused.code == sized.value.code == "unreadable"


def test_a_zip_without_its_first_bytes_still_has_the_other_photos(make_zip):
    # Given a zip whose beginning is lost, with a part of its first photo: offsets are negative then
    archive = make_zip({"0.jpg": b"x" * 99, **PHOTOS})
    archive.write_bytes(archive.read_bytes()[20:])

    with open_source(archive) as source:
        refused = read_only_file(source, "0.jpg")
    assert refused.code == "damaged"
    assert "beginning" in refused.reason


def test_a_folders_files_whose_names_are_no_text_can_be_reported(tmp_path):
    for name in (b"1.jpg", b"bad\xfe.jpg", b"bad\xff.jpg"):
        Path(bytes(tmp_path).decode(), name.decode(errors="surrogateescape")).write_bytes(b"x")

    with open_source(tmp_path) as source:
        assert len(source.photos) == 3
        assert all(name.encode() and source.read(name) == b"x" for name in source.photos)


def test_names_in_other_scripts_and_from_old_windows_zips_are_kept(make_zip):
    # Given names in UTF-8, and one that a zip program wrote in the old code page 437, without saying so
    archive = make_zip({"Flüge/写真 1.jpg": b"1", "Flüge/写真 2.jpg": b"2"})
    old = zipfile.ZipInfo("a.jpg")
    with zipfile.ZipFile(archive, "a") as opened:
        old.filename = "XX.jpg"
        opened.writestr(old, b"3")
    archive.write_bytes(archive.read_bytes().replace(b"XX.jpg", "Äö.jpg".encode("cp437")))

    with open_source(archive) as source:
        assert source.photos == ("Flüge/写真 1.jpg", "Flüge/写真 2.jpg", "Äö.jpg")
        assert [source.read(name) for name in source.photos] == [b"1", b"2", b"3"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_ground_control_comes_as_text_from_any_folder_however_it_is_encoded(given, encoding):
    with given({**PHOTOS, "Site/GCP_List.txt": CONTROL.encode(encoding)}) as source:
        assert read_ground_control(source) == CONTROL


def test_no_ground_control_is_nothing(given):
    with given(PHOTOS) as source:
        assert read_ground_control(source) is None


@pytest.mark.parametrize(
    "content", [b"x" * (MAX_GROUND_CONTROL_BYTES + 1), b"1 2 3 \xfcber"], ids=["huge", "latin-1"]
)
def test_ground_control_that_is_no_text_is_refused_for_someone_relies_on_it(given, content):
    with given({**PHOTOS, "gcp_list.txt": content}) as source, pytest.raises(UserError) as told:
        read_ground_control(source)

    assert told.value.code == "bad_ground_control"
    assert "gcp_list.txt" in told.value.message
