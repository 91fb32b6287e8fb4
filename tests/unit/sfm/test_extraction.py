"""Unpacking: names, junk, counted bytes."""

from __future__ import annotations

import struct
import zipfile

import pytest

from spaceport.errors import UserError
from spaceport_sfm.extraction import extract, scene_names


def silent(*_: object, **__: float) -> None:
    """Progress that nobody watches."""


PHOTOS = {"b/DJI_0001.JPG": b"one" * 99, "a/DJI_0001.JPG": b"two" * 99, "a/DJI_0002.JPG": b"three" * 99}


def test_same_name_in_two_folders_is_two_photos(make_zip, tmp_path):
    # Given a zip with DJI_0001 in two folders, When it is unpacked
    extraction = extract(make_zip(PHOTOS), tmp_path / "raw", silent)

    # Then both are kept, under different names in the order of their paths
    assert [(photo.name, photo.source) for photo in extraction.photos] == [
        ("0001_DJI_0001", "a/DJI_0001.JPG"),
        ("0002_DJI_0002", "a/DJI_0002.JPG"),
        ("0003_DJI_0001", "b/DJI_0001.JPG"),
    ]
    assert extraction.photos[2].file.read_bytes() == PHOTOS["b/DJI_0001.JPG"]


def test_sorted_names_are_in_the_order_given_whatever_the_paths_hold():
    sources = ["ä b/IMG 1.jpg", "x-1/IMG_1.jpg", "x/IMG_1.jpg", f"z/{'long' * 99}.jpg"] * 3000

    names = scene_names(sources)

    assert names == sorted(names)
    assert len(set(names)) == len(sources)
    assert not any(set(" /\\") & set(name) for name in names)
    assert max(map(len, names)) < 100


def test_numbers_count_as_numbers_so_that_neighbours_in_time_are_neighbours(make_zip, tmp_path):
    archive = make_zip({f"frame_{number}.jpg": b"x" * number for number in (10, 2, 1)})

    extraction = extract(archive, tmp_path / "raw", silent)

    assert [photo.source for photo in extraction.photos] == ["frame_1.jpg", "frame_2.jpg", "frame_10.jpg"]


def test_what_operating_systems_leave_behind_is_no_photo(make_zip, tmp_path):
    junk = {"__MACOSX/a/._DJI_0001.JPG": b"x", "a/.hidden.jpg": b"x", "a/Thumbs.db": b"x", "readme.txt": b"x"}

    extraction = extract(make_zip({**PHOTOS, **junk}), tmp_path / "raw", silent)

    assert {photo.source for photo in extraction.photos} == set(PHOTOS)
    assert extraction.refused == ()


@pytest.mark.parametrize("name", ["../escape.jpg", "/etc/escape.jpg", "C:\\escape.jpg"])
def test_a_name_that_would_escape_is_refused_and_nothing_is_written(make_zip, tmp_path, name):
    archive = make_zip({**PHOTOS, name: b"x"})

    with pytest.raises(UserError) as told:
        extract(archive, tmp_path / "deep" / "raw", silent)

    assert told.value.code == "unsafe_name"
    assert not (tmp_path / "deep").exists()


def test_a_file_that_unpacks_to_more_than_it_declares_is_stopped(make_zip, tmp_path):
    # Given a zip whose directory declares 10 bytes for a photo of 10 MB
    archive = make_zip({**PHOTOS, "a/big.jpg": bytes(10_000_000)})
    with zipfile.ZipFile(archive) as opened:
        offset = opened.getinfo("a/big.jpg").header_offset
    data = bytearray(archive.read_bytes())
    honest = struct.pack("<I", 10_000_000)
    for place in (data.index(honest, offset), data.rindex(honest)):  # local header and directory
        data[place : place + 4] = struct.pack("<I", 10)
    archive.write_bytes(data)

    # When it is unpacked
    extraction = extract(archive, tmp_path / "raw", silent)

    # Then that photo is refused, no more than declared is on disk, and the others are there
    assert [(photo.name, photo.code) for photo in extraction.refused] == [("a/big.jpg", "damaged")]
    assert {photo.source for photo in extraction.photos} == set(PHOTOS)
    assert not any(file.stat().st_size > 1000 for file in (tmp_path / "raw").iterdir())


def test_a_photo_whose_bytes_are_damaged_is_refused_alone(make_zip, tmp_path):
    archive = make_zip(PHOTOS)
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_STORED) as opened:
        opened.writestr("z.jpg", b"intact bytes of a photo")
    archive.write_bytes(archive.read_bytes().replace(b"intact bytes", b"broken bytes"))

    extraction = extract(archive, tmp_path / "raw", silent)

    assert [(photo.name, photo.code) for photo in extraction.refused] == [("z.jpg", "damaged")]
    assert len(extraction.photos) == 3


def test_damage_is_told_alike_where_it_is_compressed(make_zip, tmp_path):
    # Given a photo whose compressed bytes are garbage from the start
    archive = make_zip(PHOTOS)
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("z.jpg", bytes(range(256)) * 100)
        start = opened.getinfo("z.jpg").header_offset + 30 + len("z.jpg")
    data = bytearray(archive.read_bytes())
    data[start : start + 40] = bytes(byte ^ 0x5A for byte in data[start : start + 40])
    archive.write_bytes(data)

    extraction = extract(archive, tmp_path / "raw", silent)

    assert [(photo.name, photo.code) for photo in extraction.refused] == [("z.jpg", "damaged")]
    assert len(extraction.photos) == 3


def test_a_full_disk_is_no_damaged_photo(make_zip, tmp_path):
    # Given a folder in which the second photo's place is taken, When a zip is unpacked into it
    blocked = tmp_path / "raw" / scene_names(sorted(PHOTOS))[1]
    blocked.mkdir(parents=True)

    # Then that is not the photo's fault
    with pytest.raises(IsADirectoryError):
        extract(make_zip(PHOTOS), tmp_path / "raw", silent)


def test_a_name_of_thousands_of_digits_is_sorted_like_any_number(make_zip, tmp_path):
    extraction = extract(make_zip({**PHOTOS, f"a/{'9' * 5000}.jpg": b"x"}), tmp_path / "raw", silent)

    assert len(extraction.photos) == 4
