"""Refusals, each with a real file that is broken so; and what a normalised photo is."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from spaceport.errors import UserError
from spaceport_sfm.photos import PreparedPhotos, prepare_photos, require_enough


def silent(*_: object, **__: float) -> None:
    """Progress that nobody watches."""


@pytest.fixture
def prepare(extracted, tmp_path):
    """Unpack files from a zip and prepare them at `max_size` pixels."""

    def run(files: dict[str, bytes], max_size: int = 1600) -> PreparedPhotos:
        return prepare_photos(extracted(files), tmp_path / "photos", max_size, 2, silent)

    return run


def picture(width: int = 400, height: int = 300, seed: int = 9) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


BROKEN = {
    "truncated": encoded(picture())[:-20_000],
    "not_an_image": b"these are my notes of the flight\n" * 200,
    "too_small": encoded(picture(300, 200)),
    "extreme_aspect": encoded(picture(4000, 260)),
    "unsupported_pixels": encoded(Image.fromarray(np.zeros((300, 400), np.float32)), "TIFF"),
}


@pytest.mark.parametrize("code", BROKEN)
def test_a_broken_photo_is_refused_by_name_with_its_reason(prepare, code):
    # Given a good photo and a broken one, When they are prepared
    prepared = prepare({"good.jpg": encoded(picture()), "flight/broken.jpg": BROKEN[code]})

    # Then the good one stays and the broken one is named
    assert [photo.source for photo in prepared.good] == ["good.jpg"]
    assert [(photo.name, photo.code) for photo in prepared.refused] == [("flight/broken.jpg", code)]
    assert prepared.refused[0].reason


def test_a_second_copy_is_refused_and_its_twin_is_named(prepare):
    photo = encoded(picture())

    prepared = prepare({"a/1.jpg": photo, "b/1.jpg": photo})

    assert [photo.source for photo in prepared.good] == ["a/1.jpg"]
    (copy,) = prepared.refused
    assert (copy.name, copy.code) == ("b/1.jpg", "duplicate")
    assert "a/1.jpg" in copy.reason


def test_a_photo_that_needs_nothing_keeps_its_bytes(prepare, tmp_path):
    photo = encoded(picture())

    (good,) = prepare({"1.jpg": photo}).good

    assert (tmp_path / "photos" / good.name).read_bytes() == photo
    assert (good.width, good.height) == (400, 300)


def test_a_large_photo_is_scaled_and_keeps_its_exif(prepare, tmp_path):
    # Given a 1200x900 photo with camera, lens, focal length, time and place
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "DJI\0\0", "FC300S"
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.FocalLength] = 3.61
    details[ExifTags.Base.DateTimeOriginal] = "2016:06:23 16:31:59"
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    gps.update({1: "S", 2: (46.0, 30.0, 36.0), 3: "W", 4: (91.0, 15.0, 0.0), 5: b"\0", 6: 198.5})

    # When it is prepared for 600 pixels
    (good,) = prepare({"1.jpg": encoded(picture(1200, 900), exif=exif)}, max_size=600).good

    # Then size, camera and place are told, and the file still has them
    assert (good.width, good.height) == (600, 450)
    assert (good.body, good.focal[0], good.taken) == ("DJI FC300S", 3.61, "2016:06:23 16:31:59")
    assert good.position is not None
    assert (good.position.lat, good.position.lon, good.position.alt) == pytest.approx((-46.51, -91.25, 198.5))
    with Image.open(tmp_path / "photos" / good.name) as written:
        assert written.size == (600, 450)
        assert written.getexif().get_ifd(ExifTags.IFD.GPSInfo)[6] == pytest.approx(198.5)
        assert written.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLength] == pytest.approx(3.61)


def test_a_turned_photo_is_set_upright_once(prepare, tmp_path):
    # Given a photo whose left half is white, stored lying with "turn 90° clockwise" in its EXIF
    pixels = np.zeros((300, 400, 3), np.uint8)
    pixels[:, :200] = 255
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6

    # When it is prepared
    (good,) = prepare({"1.jpg": encoded(Image.fromarray(pixels), exif=exif)}).good

    # Then the pixels stand upright, white on top, and no reader will turn them again
    assert (good.width, good.height) == (300, 400)
    with Image.open(tmp_path / "photos" / good.name) as written:
        upright = np.asarray(written.convert("L"))
        assert written.getexif()[ExifTags.Base.Orientation] == 1
    assert upright.shape == (400, 300)
    assert upright[:150].min() > 200
    assert upright[250:].max() < 50
    # And the record tells how the file's own pixels lie in it
    assert (good.original_size, good.orientation) == ((400, 300), 6)


def test_sixteen_bits_become_eight_without_clipping(prepare, tmp_path):
    # Given a 16-bit grey PNG that rises from black to white
    ramp = np.linspace(0, 65535, 512).astype(np.uint16)[None].repeat(300, axis=0)

    (good,) = prepare({"1.png": encoded(Image.fromarray(ramp), "PNG")}).good

    with Image.open(tmp_path / "photos" / good.name) as written:
        assert written.mode == "RGB"
        row = np.asarray(written.convert("L"))[150].astype(int)
    assert np.abs(row - np.linspace(0, 255, 512)).max() < 8


def test_too_few_good_photos_say_what_was_wrong_with_the_others(prepare):
    prepared = prepare({"good.jpg": encoded(picture()), "notes.jpg": BROKEN["not_an_image"]})

    with pytest.raises(UserError) as told:
        require_enough(prepared.good, prepared.refused)

    assert told.value.code == "too_few_photos"
    assert "1 of 2" in told.value.message
    assert "notes.jpg is not an image" in told.value.message


# Little endian: a width (0x0100) that is the text "ab", which can't be written again, and "turn clockwise".
UNWRITABLE_EXIF = (
    b"II*\0\x08\0\0\0\x02\0\x00\x01\x02\0\x03\0\0\0ab\0\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
)


@pytest.mark.parametrize(("kind", "block"), [("PNG", b"MM\x01*\0\0\0\x08"), ("JPEG", UNWRITABLE_EXIF)])
def test_a_photo_with_broken_exif_is_used_without_it(prepare, kind, block):
    # Given a whole picture whose EXIF can't be read, or not be written again, When it is prepared
    prepared = prepare({"1.jpg": encoded(picture(), kind, exif=b"Exif\0\0" + block)})

    # Then the picture is taken
    assert [photo.source for photo in prepared.good] == ["1.jpg"]


def test_a_png_that_is_cut_short_is_refused_alone(prepare):
    # Given a PNG whose upload was cut: its EXIF may stand behind the pixels
    whole = encoded(picture(), "PNG")

    prepared = prepare({"1.png": whole, "2.png": encoded(picture(seed=3), "PNG")[: len(whole) // 2]})

    assert [photo.source for photo in prepared.good] == ["1.png"]
    assert [(photo.name, photo.code) for photo in prepared.refused] == [("2.png", "truncated")]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_as_pillow_would_turn_it(prepare, tmp_path, kind, orientation):
    pixels = np.zeros((300, 400, 3), np.uint8)
    pixels[:150, :200], pixels[150:, :200], pixels[:150, 200:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    content = encoded(Image.fromarray(pixels), kind, exif=exif)

    (good,) = prepare({f"1.{kind.lower()}": content}).good

    with Image.open(io.BytesIO(content)) as image, Image.open(tmp_path / "photos" / good.name) as written:
        wanted = np.asarray(ImageOps.exif_transpose(image).convert("RGB"), dtype=int)
        assert np.asarray(written).shape == wanted.shape
        assert np.abs(np.asarray(written, dtype=int) - wanted).mean() < 4
