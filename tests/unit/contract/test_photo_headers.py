"""What a photo's first bytes tell, against what Pillow reads of all of it; and that nothing breaks it."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from located_photos import PLACE, exif, picture
from PIL import Image

from spaceport.photo_headers import HEAD_BYTES, MAX_PIXELS, UNKNOWN, PhotoHeader, read_header


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "HEIF"])
@pytest.mark.parametrize("size", [(320, 260), (64, 1300)])
def test_tells_the_size(kind: str, size: tuple[int, int]):
    assert read_header(picture(kind, size)[:HEAD_BYTES]).size == size


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("place", [PLACE, (-33.85, 151.2), (0.0, 10.0)])
def test_tells_camera_and_place(order: str, place: tuple[float, float]):
    about = exif(place=place)
    about.endian = order
    header = read_header(picture("JPEG", about=about))
    assert header.camera == "DJI FC300S"
    assert header.position == pytest.approx(place, abs=1e-5)
    assert not header.lacks_position


def test_tells_that_there_is_no_place_only_where_that_is_certain():
    # Given JPEGs without EXIF, without GPS, and of a receiver without a fix, Then they have no place
    for about in (None, exif(place=None), exif(place=(0.0, 0.0))):
        assert read_header(picture("JPEG", about=about)).lacks_position
    # Given what keeps EXIF elsewhere, what is cut before it ends, and a place in XMP, Then nobody knows
    for kind in ("PNG", "HEIF", "WEBP", "BMP"):
        assert not read_header(picture(kind, about=None)).lacks_position
    assert read_header(picture("JPEG", about=exif())[:60]) == UNKNOWN
    xmp = b'<rdf drone-dji:GpsLatitude="46.8"/>'
    assert not read_header(picture("JPEG") + xmp).lacks_position


def test_shows_nothing_of_a_camera_s_name_that_a_terminal_would_obey():
    header = read_header(picture("JPEG", about=exif(camera=("D\x1b[2JI", "X" * 500))))
    assert header.camera == f"D[2JI {'X' * 60}"


@pytest.mark.photos
def test_reads_a_drone_s_own_photos_as_pillow_does(brighton_zip: Path):
    with zipfile.ZipFile(brighton_zip) as archive:
        contents = [archive.read(name) for name in archive.namelist()]
    for content in contents:
        header = read_header(content[:HEAD_BYTES])
        with Image.open(io.BytesIO(content)) as image:
            assert header.size == image.size
        assert header.camera
        assert header.position


def test_the_largest_photo_is_the_largest_that_sfm_opens():
    assert 2 * (Image.MAX_IMAGE_PIXELS or 0) == MAX_PIXELS


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(
    st.sampled_from(
        [b"", b"\xff\xd8\xff\xe1", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"BM", b"\0\0\0\x18ftypheic"]
    ),
    st.binary(max_size=200),
)
def test_any_bytes_tell_something_or_nothing(beginning: bytes, rest: bytes):
    assert isinstance(read_header(beginning + rest), PhotoHeader)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.data(), st.sampled_from(["JPEG", "TIFF", "PNG", "HEIF"]))
def test_a_photo_with_bytes_changed_tells_something_or_nothing(data: st.DataObject, kind: str):
    content = bytearray(picture(kind, (32, 26), exif()))
    for place in data.draw(st.lists(st.integers(0, min(len(content), 600) - 1), min_size=1, max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    header = read_header(bytes(content))
    assert header.size is None or min(header.size) > 0
    assert header.position is None or (abs(header.position[0]) <= 90 and abs(header.position[1]) <= 180)
