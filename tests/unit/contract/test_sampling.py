"""What is told of a zip's photos before its job begins, by the first bytes of some of them."""

from __future__ import annotations

import io
from itertools import count

import pytest
from located_photos import PLACE, exif, picture
from pieces import InMemory
from PIL import Image
from zip_writer import DEFLATED, Entry, written

from spaceport.archive import ArchiveWarning, inspect
from spaceport.errors import UserError
from spaceport.sampling import MAX_LOOKED_AT, look_at


def flight(*photos: bytes, control: bool = False) -> bytes:
    """A zip of JPEGs, with a list of ground control points if wanted."""
    entries = [Entry(f"{n:03}.jpg".encode(), photo, method=DEFLATED) for n, photo in enumerate(photos)]
    return written([*entries, Entry(b"gcp_list.txt", b"x")] if control else entries)


def told(content: bytes) -> tuple[ArchiveWarning, ...]:
    return look_at(InMemory(content), inspect(io.BytesIO(content), "flight.zip"), "flight.zip")


greys = count()


def jpeg(about: Image.Exif | None = None, size: tuple[int, int] = (320, 260)) -> bytes:
    """A photo unlike every other."""
    return picture("JPEG", size, about, next(greys) % 256)


def test_a_usual_flight_is_nothing_to_speak_of():
    assert told(flight(*(jpeg(exif()) for _ in range(5)))) == ()


def test_no_gps_at_all_is_told_unless_there_are_ground_control_points():
    photos = [jpeg(exif(place=None)) for _ in range(4)]
    (warning,) = told(flight(*photos))
    assert warning.code == "no_gps"
    assert "None of the 4 photos looked at has GPS" in warning.message
    assert told(flight(*photos, control=True)) == ()
    assert told(flight(*photos, jpeg(exif()))) == ()


def test_two_cameras_are_named():
    mavic = exif(camera=("Hasselblad", "L2D-20c"))
    (warning,) = told(flight(*(jpeg(exif()) for _ in range(3)), jpeg(mavic)))
    assert warning.code == "mixed_cameras"
    assert "2 cameras (DJI FC300S, Hasselblad L2D-20c)" in warning.message


@pytest.mark.parametrize(("north", "is_told"), [(0.03, False), (0.1, True)])
def test_a_photo_of_another_place_is_named(north: float, is_told: bool):
    # Given a flight beside the date line, and a photo 3 or 11 km north of it
    photos = [jpeg(exif(place=(10.0, east))) for east in (179.9999, -179.9999, -179.9998)]
    warnings = told(flight(*photos, jpeg(exif(place=(10.0 + north, 179.9999)))))
    # Then the far one is named
    assert [warning.code for warning in warnings] == ["gps_far_apart"] * is_told
    assert all("003.jpg was taken 11 km" in warning.message for warning in warnings)


def test_a_thumbnail_among_photos_is_told_and_many_are_refused():
    (warning,) = told(flight(*(jpeg(exif()) for _ in range(3)), jpeg(exif(), (160, 120))))
    assert warning.code == "photo_size"
    assert "1 of the 4 photos looked at can't be used: 003.jpg is 160x120 pixels" in warning.message
    with pytest.raises(UserError) as refused:
        told(flight(*(jpeg(exif()) for _ in range(2)), *(jpeg(exif(), (160, 120)) for _ in range(3))))
    assert refused.value.code == "too_few_photos"
    assert "Only 2 of 5 photos in flight.zip can be used" in refused.value.message


def of_size(width: int, height: int) -> bytes:
    """A PNG's beginning that says so; no photo of such a size need be made."""
    made = bytearray(picture("PNG", about=None, grey=next(greys) % 256))
    made[16:24] = width.to_bytes(4) + height.to_bytes(4)
    return bytes(made)


def test_stitched_pictures_are_told_and_those_that_sfm_would_not_open_are_refused():
    photos = [jpeg(exif()) for _ in range(3)]
    assert [warning.code for warning in told(flight(*photos, of_size(12_000, 12_000)))] == ["many_pixels"]
    warnings = told(flight(*photos, of_size(30_000, 30_000)))
    assert [warning.code for warning in warnings] == ["photo_size", "many_pixels"]
    with pytest.raises(UserError):
        told(flight(*photos[:2], of_size(30_000, 30_000)))
    assert told(flight(*(of_size(12_000, 12_000) for _ in range(3))))


def test_of_a_large_flight_some_photos_are_looked_at_and_none_is_refused_for_the_others():
    # Given 200 thumbnails, of which the policy looks at some
    archive = InMemory(flight(*(picture("JPEG", (160 + n, 120), exif(place=PLACE)) for n in range(200))))
    # When they are judged, Then that is told, and not that all were too small
    warnings = look_at(archive, inspect(io.BytesIO(archive.content), "flight.zip"), "flight.zip")
    assert archive.taken == MAX_LOOKED_AT
    assert warnings[0].message.startswith("64 of the 64 photos looked at can't be used")


def test_what_is_no_photo_is_left_to_sfm():
    assert told(flight(b"text", b"more text", b"\xff\xd8\xff", b"PK")) == ()
