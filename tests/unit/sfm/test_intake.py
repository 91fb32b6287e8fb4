"""Refusals, each with a real file that is broken so; and what a normalised photo is."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pillow_heif
import pytest
from dng_writer import write_dng
from PIL import ExifTags, Image, ImageOps, PngImagePlugin

from spaceport.errors import UserError
from spaceport_sfm.intake.photo_intake import Intake, Room, require_enough, take_in
from spaceport_sfm.intake.sources import scene_names

pillow_heif.register_heif_opener()  # to write them: the program reads them with a library of its own


def silent(*_: object, **__: float) -> None:
    """Progress that nobody watches."""


def picture(width: int = 400, height: int = 300, seed: int = 9) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def smooth(width: int = 640, height: int = 480, seed: int = 9) -> Image.Image:
    """A picture that every codec keeps: large soft spots of colour."""
    return picture(8, 6, seed).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header declares that size, with next to no data."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(1000))
    chunks = ((len(chunk) - 4, chunk, zlib.crc32(chunk)) for chunk in (header, data, b"IEND"))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", length) + chunk + struct.pack(">I", check) for length, chunk, check in chunks
    )


def with_scans(jpeg: bytes, count: int) -> bytes:
    """A JPEG that goes through its pixels so many times more: its last scan again and again."""
    last = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    return jpeg[:-2] + count * last + jpeg[-2:]


ROTATED = {"save_all": True, "append_images": [picture(seed=1)]}
HEIC = encoded(smooth(), "HEIF")
DNG = write_dng(np.asarray(smooth()))

BROKEN = {
    "empty": (b"", "empty_file"),
    "cut short": (encoded(picture())[:-20_000], "truncated"),
    "progressive, cut short": (encoded(picture(), progressive=True)[:-20_000], "truncated"),
    "without its last pixels": (encoded(picture())[:-10], "truncated"),
    "progressive, without its end": (encoded(picture(), progressive=True)[:-2], "truncated"),
    "of a thousand scans": (with_scans(encoded(picture(), progressive=True), 1000), "damaged"),
    "PNG, cut short": (encoded(picture(), "PNG")[:-90_000], "truncated"),
    "TIFF, cut short": (encoded(picture(), "TIFF")[:-90_000], "truncated"),
    "TIFF without its end": (encoded(picture(), "TIFF", compression="tiff_lzw")[:90_000], "damaged"),
    "WebP, cut short": (encoded(picture(), "WEBP")[:-5_000], "damaged"),
    "HEIC, cut short": (HEIC[: len(HEIC) // 2], "truncated"),
    "DNG, cut short": (DNG[: len(DNG) // 2], "damaged"),
    "PNG with a hole": (encoded(picture(), "PNG").replace(b"IDAT", b"IDAX"), "damaged"),
    "text": (b"these are my notes of the flight\n" * 200, "not_an_image"),
    "a film": (b"\0\0\0\x20ftypmp42" + bytes(5000), "not_an_image"),
    "a GIF": (encoded(picture(), "GIF"), "not_an_image"),
    "small": (encoded(picture(300, 200)), "too_small"),
    "small DNG": (write_dng(np.asarray(smooth(320, 240))), "too_small"),
    "a strip": (encoded(picture(4000, 260)), "extreme_aspect"),
    "2x20000": (encoded(picture(2, 20_000), "PNG"), "extreme_aspect"),
    "too many pixels": (png_of_size(20_000, 10_000), "too_large"),
    "far too many pixels": (png_of_size(100_000, 100_000), "too_large"),
    "floats": (encoded(Image.fromarray(np.zeros((300, 400), np.float32)), "TIFF"), "unsupported_pixels"),
    "32 bits": (
        encoded(Image.fromarray(np.full((300, 400), 1 << 20, np.int32)), "TIFF"),
        "unsupported_pixels",
    ),
    "animated WebP": (encoded(picture(), "WEBP", **ROTATED), "animation"),
    "animated PNG": (encoded(picture(), "PNG", **ROTATED), "animation"),
    "black": (encoded(Image.new("RGB", (400, 300))), "blank"),
    "one colour": (encoded(Image.new("RGB", (400, 300), (90, 140, 200)), "PNG"), "blank"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_photo_is_refused_by_name_with_its_reason(take, tmp_path, kind):
    # Given a good photo and a broken one, When they are taken in
    content, code = BROKEN[kind]
    taken = take({"good.jpg": encoded(picture()), "flight/broken.jpg": content})

    # Then the good one stays and the broken one is named
    assert [photo.source for photo in taken.photos] == ["good.jpg"]
    assert [(photo.name, photo.code) for photo in taken.refused] == [("flight/broken.jpg", code)]
    assert taken.refused[0].reason.startswith(("is ", "has ", "shows ", "can't "))
    assert len(list((tmp_path / "photos").iterdir())) == 4


def stored(taken: Intake, tmp_path) -> Image.Image:
    """The one photo that was taken, as written."""
    (photo,) = taken.photos
    image = Image.open(tmp_path / "photos" / photo.name)
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (photo.width, photo.height))
    return image


def differences(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, dtype=int) - np.asarray(other.convert("RGB"), dtype=int)).mean())


def sixteen_bits(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)


FORMATS = {
    "JPEG": (encoded(smooth(), quality=95), "RGB"),
    "progressive JPEG": (encoded(smooth(), quality=95, progressive=True), "RGB"),
    "grey JPEG": (encoded(smooth().convert("L"), quality=95), "L"),
    "CMYK JPEG": (encoded(smooth().convert("CMYK"), quality=95), "RGB"),
    "two frames of a stereo JPEG": (
        encoded(smooth(), "MPO", save_all=True, append_images=[smooth(seed=2)], quality=95),
        "RGB",
    ),
    "PNG": (encoded(smooth(), "PNG"), "RGB"),
    "PNG with a palette": (encoded(smooth().convert("L").convert("P"), "PNG"), "L"),
    "PNG with alpha": (encoded(smooth().convert("RGBA"), "PNG"), "RGB"),
    "grey PNG with alpha": (encoded(smooth().convert("LA"), "PNG"), "L"),
    "16-bit PNG": (encoded(sixteen_bits(smooth()), "PNG"), "L"),
    "16-bit TIFF": (encoded(sixteen_bits(smooth()), "TIFF"), "L"),
    "CMYK TIFF": (encoded(smooth().convert("CMYK"), "TIFF"), "RGB"),
    "two pages of a TIFF": (encoded(smooth(), "TIFF", save_all=True, append_images=[smooth(seed=2)]), "RGB"),
    "BMP": (encoded(smooth(), "BMP"), "RGB"),
    "WebP": (encoded(smooth(), "WEBP", quality=95), "RGB"),
    "WebP with alpha": (encoded(smooth().convert("RGBA"), "WEBP", lossless=True), "RGB"),
    "HEIC": (encoded(smooth(), "HEIF", quality=90), "RGB"),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_taken_by_its_content_whatever_its_name_says(take, tmp_path, kind):
    content, mode = FORMATS[kind]

    taken = take({"photo.png" if "JPEG" in kind else "photo.jpg": content})

    assert differences(stored(taken, tmp_path), smooth().convert(mode)) < 4, kind


def test_sixteen_bits_of_each_colour_become_eight_without_clipping(take, tmp_path):
    # Given a 16-bit colour PNG and TIFF, as OpenCV writes them, that rise from black to white
    import cv2

    ramp = np.linspace(0, 65535, 512).astype(np.uint16)[None, :, None].repeat(300, axis=0).repeat(3, axis=2)
    for number, suffix in enumerate((".png", ".tiff")):
        taken = take({f"{number}{suffix}": cv2.imencode(suffix, ramp)[1].tobytes()})

        row = np.asarray(stored(taken, tmp_path))[150, :, 1].astype(int)
        assert np.abs(row - np.linspace(0, 255, 512)).max() < 4


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "HEIF"])
def test_every_orientation_comes_out_as_pillow_would_turn_it(take, tmp_path, kind):
    # Given a scene of four colours, a little different each time, in each of EXIF's orientations
    contents = []
    for orientation in range(1, 9):
        pixels = np.full((300, 400, 3), 4 * orientation, np.uint8)
        pixels[:150, :200], pixels[150:, :200], pixels[:150, 200:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        contents.append(encoded(Image.fromarray(pixels), kind, exif=exif))

    taken = take({f"{number}.{kind.lower()}": content for number, content in enumerate(contents)})

    for photo, content in zip(taken.photos, contents, strict=True):
        written = Image.open(tmp_path / "photos" / photo.name)
        assert written.getexif().get(ExifTags.Base.Orientation, 1) == 1
        with Image.open(io.BytesIO(content)) as image:
            wanted = ImageOps.exif_transpose(image)
            assert written.size == wanted.size == (photo.width, photo.height)
            assert differences(written, wanted) < 4


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("preview", [False, True], ids=["the sensor's pixels", "the camera's own preview"])
def test_a_dng_is_developed_and_set_upright(take, tmp_path, orientation, preview):
    # Given a DNG with a scene of four colours, and in one case a preview that shows another one
    pixels = np.full((600, 800, 3), 30, np.uint8)
    pixels[:300, :400], pixels[300:, :400], pixels[:300, 400:] = (220, 30, 30), (30, 220, 30), (30, 30, 220)
    shown = Image.fromarray(pixels[:, :, ::-1].copy()) if preview else Image.fromarray(pixels)
    content = write_dng(
        pixels, orientation=orientation, preview=encoded(shown, quality=95) if preview else b""
    )

    taken = take({"DJI_0001.DNG": content}, max_size=400)

    # Then it is upright, half of the sensor's size, and tells its camera
    (photo,) = taken.photos
    assert (photo.body, photo.focal[0], photo.taken) == ("DJI FC6310", 8.8, "2024:05:01 10:11:12")
    assert (photo.original_size, photo.orientation) == ((800, 600), orientation)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    small = shown.resize((400, 300), Image.Resampling.BOX)
    small.getexif()[ExifTags.Base.Orientation] = orientation
    wanted = ImageOps.exif_transpose(small)
    written = stored(taken, tmp_path)
    assert written.size == wanted.size
    assert np.corrcoef(np.asarray(written).ravel(), np.asarray(wanted).ravel())[0, 1] > 0.98
    assert len((tmp_path / "photos" / photo.name).read_bytes()) < 200_000  # without the DNG's own tags


@pytest.mark.parametrize("missing", [1, 2])
def test_a_jpeg_that_lacks_nothing_but_its_last_marker_is_used(take, tmp_path, missing):
    content = encoded(smooth(), quality=95)

    taken = take({"1.jpg": content[:-missing]})

    assert not taken.warned
    assert differences(stored(taken, tmp_path), smooth()) < 4


@pytest.mark.parametrize("kind", ["plain", "progressive", "two frames"])
def test_a_jpeg_with_overwritten_pixels_is_warned_of(take, kind):
    # Given a photo in whose code 40 bytes were overwritten, by none that could be a marker
    options = {"plain": {}, "progressive": {"progressive": True}, "two frames": {"format": "MPO", **ROTATED}}
    content = bytearray(encoded(picture(), options[kind].pop("format", "JPEG"), **options[kind]))
    middle = len(content) // (4 if kind == "two frames" else 2)
    content[middle : middle + 40] = np.random.default_rng(0).integers(0, 255, 40, dtype=np.uint8).tobytes()

    taken = take({"1.jpg": bytes(content), "2.jpg": encoded(picture(seed=5))})

    # Then it is used, for Pillow decodes it, and told of
    assert [photo.source for photo in taken.photos] == ["1.jpg", "2.jpg"]
    assert [(photo.name, photo.code) for photo in taken.warned] == [("1.jpg", "damaged")]


def test_bytes_that_harm_no_pixel_are_not_warned_of(take):
    # Given bytes between two segments of a JPEG, and behind its end
    one, other = encoded(picture()), encoded(picture(seed=5))
    start = one.index(b"\xff\xdb")

    taken = take({"1.jpg": one[:start] + b"\1\2\3" + one[start:], "2.jpg": other + bytes(999)})

    assert len(taken.photos) == 2
    assert not taken.warned


def test_a_second_copy_is_refused_and_its_twin_is_named(take):
    photo = encoded(picture())

    taken = take({"a/1.jpg": photo, "b/1.jpg": photo})

    assert [photo.source for photo in taken.photos] == ["a/1.jpg"]
    (copy,) = taken.refused
    assert (copy.name, copy.code) == ("b/1.jpg", "duplicate")
    assert "a/1.jpg" in copy.reason


def test_the_same_picture_with_other_metadata_is_a_copy_but_another_shot_is_not(take):
    # Given a photo, the same with other EXIF, the same saved as PNG, and one that differs in its noise
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = "Photo manager"
    first = encoded(picture())
    retagged = first[:2] + encoded(picture(seed=1), exif=exif).split(b"\xff\xdb")[0][2:] + first[2:]
    with Image.open(io.BytesIO(first)) as image:
        converted = encoded(image, "PNG")
    hover = np.asarray(picture()).copy()
    hover[::50, ::50] ^= 8

    taken = take(
        {"1.jpg": first, "2.jpg": retagged, "3.png": converted, "4.jpg": encoded(Image.fromarray(hover))}
    )

    assert [photo.source for photo in taken.photos] == ["1.jpg", "4.jpg"]
    assert [(photo.name, photo.code) for photo in taken.refused] == [
        ("2.jpg", "duplicate"),
        ("3.png", "duplicate"),
    ]


def test_of_a_shot_that_the_camera_wrote_twice_the_jpeg_stays(take):
    # Given DNG + JPEG of two shots, where one JPEG is broken; and another camera's of the same name
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "DJI", "FC6310"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2024:05:01 10:11:12"
    files = {
        "DJI_1.DNG": write_dng(np.asarray(smooth(seed=1))),
        "DJI_1.JPG": encoded(smooth(seed=1), exif=exif),
        "DJI_2.DNG": write_dng(np.asarray(smooth(seed=2))),
        "DJI_2.JPG": encoded(picture(), exif=exif)[:-20_000],
        "other/DJI_1.JPG": encoded(smooth(seed=3), exif=exif),
    }

    taken = take(files)

    assert [photo.source for photo in taken.photos] == ["DJI_1.JPG", "DJI_2.DNG", "other/DJI_1.JPG"]
    assert [(photo.name, photo.code) for photo in taken.refused] == [
        ("DJI_1.DNG", "duplicate"),
        ("DJI_2.JPG", "truncated"),
    ]


def test_a_photo_that_needs_nothing_keeps_its_bytes(take, tmp_path):
    photo = encoded(picture())

    (good,) = take({"1.jpg": photo}).photos

    assert (tmp_path / "photos" / good.name).read_bytes() == photo
    assert (good.width, good.height) == (400, 300)


def test_a_photo_that_drags_megabytes_along_leaves_them_behind(take, tmp_path):
    # Given a JPEG with a film behind it, as "motion photos" of phones have
    (good,) = take({"1.jpg": encoded(picture()) + bytes(range(256)) * 20_000}).photos

    assert (tmp_path / "photos" / good.name).stat().st_size < 3 * 400 * 300


def test_a_large_photo_is_scaled_and_keeps_its_exif(take, tmp_path):
    # Given a 1200x900 photo with camera, lens, focal length, time and place
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "DJI\0\0", "FC300S"
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.FocalLength] = 3.61
    details[ExifTags.Base.FocalLengthIn35mmFilm] = 20
    details[ExifTags.Base.DateTimeOriginal] = "2016:06:23 16:31:59"
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    gps.update({1: "S", 2: (46.0, 30.0, 36.0), 3: "W", 4: (91.0, 15.0, 0.0), 5: b"\0", 6: 198.5})

    # When it is taken in at 600 pixels
    taken = take({"1.jpg": encoded(smooth(1200, 900), exif=exif)}, max_size=600)

    # Then size, camera and place are told, and the file still has them
    (good,) = taken.photos
    assert (good.width, good.height) == (600, 450)
    assert (good.body, good.focal[0], good.taken) == ("DJI FC300S", 3.61, "2016:06:23 16:31:59")
    assert good.focal_px == pytest.approx(20 / 43.267 * 750, abs=0.1)
    assert good.position is not None
    assert (good.position.lat, good.position.lon, good.position.alt) == pytest.approx((-46.51, -91.25, 198.5))
    written = stored(taken, tmp_path)
    assert differences(written, smooth(600, 450)) < 4
    assert written.getexif().get_ifd(ExifTags.IFD.GPSInfo)[6] == pytest.approx(198.5)
    assert written.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLength] == pytest.approx(3.61)


def test_a_turned_photo_tells_how_the_files_own_pixels_lie_in_it(take):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6

    (good,) = take({"1.jpg": encoded(smooth(400, 300), exif=exif)}).photos

    assert (good.width, good.height) == (300, 400)
    assert (good.original_size, good.orientation) == ((400, 300), 6)


def test_too_few_good_photos_say_what_was_wrong_with_the_others(take):
    taken = take({"good.jpg": encoded(picture()), "notes.jpg": BROKEN["text"][0]})

    with pytest.raises(UserError) as told:
        require_enough(taken)

    assert told.value.code == "too_few_photos"
    assert "1 of 2" in told.value.message
    assert "notes.jpg is not an image" in told.value.message


# Little endian: a width (0x0100) that is the text "ab", which can't be written again, and "turn clockwise".
UNWRITABLE_EXIF = (
    b"II*\0\x08\0\0\0\x02\0\x00\x01\x02\0\x03\0\0\0ab\0\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
)


@pytest.mark.parametrize(("kind", "block"), [("PNG", b"MM\x01*\0\0\0\x08"), ("JPEG", UNWRITABLE_EXIF)])
def test_a_photo_with_broken_exif_is_used_without_it(take, kind, block):
    # Given a whole picture whose EXIF can't be read, or not be written again, When it is taken in
    taken = take({"1.jpg": encoded(picture(), kind, exif=b"Exif\0\0" + block)})

    # Then the picture is taken
    assert [photo.source for photo in taken.photos] == ["1.jpg"]


def test_a_comment_too_long_for_a_jpeg_costs_no_photo(take):
    # Given a PNG with a comment of 100 KB, more than a JPEG's segment holds
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "mission 7, " * 9_000)

    taken = take({"1.png": encoded(picture(), "PNG", pnginfo=info)})

    assert [photo.source for photo in taken.photos] == ["1.png"]


def test_exposure_that_lost_the_detail_is_warned_of(take):
    pixels = np.asarray(smooth()).astype(int)
    files = {
        "dark.png": encoded(Image.fromarray((pixels // 10).astype(np.uint8)), "PNG"),
        "bright.png": encoded(Image.fromarray(np.clip(pixels + 200, 0, 255).astype(np.uint8)), "PNG"),
        "good.png": encoded(smooth(seed=4), "PNG"),
    }

    taken = take(files)

    assert len(taken.photos) == 3
    assert [(photo.name, photo.code) for photo in taken.warned] == [
        ("bright.png", "overexposed"),
        ("dark.png", "underexposed"),
    ]
    brightness = {photo.source: photo.brightness for photo in taken.photos}
    assert brightness["dark.png"] < 30
    assert brightness["bright.png"] > 200


def test_the_same_photos_give_the_same_files_from_a_zip_and_from_a_folder(make_zip, tmp_path):
    # Given photos in a zip of several levels, and the same in a folder
    files = {f"{folder}/IMG {n}.jpg": encoded(picture(seed=n)) for folder in ("ä", "b/c") for n in (1, 2, 10)}
    files["b/c/IMG 3.png"] = encoded(picture(seed=77), "PNG")
    for name, content in files.items():
        (tmp_path / "given" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "given" / name).write_bytes(content)

    # When both are taken in, by four threads and by one
    options = {"drop_blurred": False, "progress": silent}
    zipped = take_in(make_zip(files), tmp_path / "one", 300, threads=4, **options)
    plain = take_in(tmp_path / "given", tmp_path / "two", 300, threads=1, **options)

    # Then nothing differs
    assert zipped == plain
    assert len(zipped.photos) == 4  # of each pair of twins one
    one, two = (
        {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("one", "two")
    )
    assert one == two
    assert sorted(one) == [photo.name for photo in zipped.photos]


def test_a_full_disk_is_no_damaged_photo(make_zip, tmp_path):
    # Given a folder in which the second photo's place is taken
    files = {f"{n}.jpg": encoded(picture(seed=n)) for n in range(3)}
    (tmp_path / "photos" / f"{scene_names(sorted(files))[1]}.jpg").mkdir(parents=True)

    # When a zip is taken in, Then that is not the photo's fault
    with pytest.raises(IsADirectoryError):
        take_in(make_zip(files), tmp_path / "photos", 1600, drop_blurred=False, threads=2, progress=silent)


def test_a_zip_of_5000_entries_is_taken_for_its_photos(take):
    files = {f"log/{n}.txt": b"x" for n in range(4990)} | {"1.jpg": encoded(picture())}

    assert [photo.source for photo in take(files).photos] == ["1.jpg"]


def test_ground_control_comes_along(take):
    assert take({"gcp_list.txt": b"WGS84 UTM 32N\n"}).ground_control == "WGS84 UTM 32N\n"
    assert take({}).ground_control is None


def test_what_is_larger_than_the_room_is_held_alone():
    room = Room(10)
    with room.hold(100):
        assert room._free == 0
    with room.hold(4), room.hold(6):
        assert room._free == 0
    assert room._free == 10
