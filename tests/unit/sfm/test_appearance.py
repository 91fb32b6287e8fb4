"""Blur, by real photos that were really blurred; and which of them may go."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from PIL import Image, ImageFilter

from spaceport_sfm.intake.appearance import blurred, droppable, look_at
from spaceport_sfm.intake.photo_intake import take_in
from spaceport_sfm.intake.selection import blurred_photos
from spaceport_sfm.photo import Photo

SHAKEN = [2, 7, 8, 13]  # of brighton's 18


@pytest.fixture(scope="module")
def brighton(brighton_zip) -> list[Image.Image]:
    """The 18 real photos, 1600x900."""
    with zipfile.ZipFile(brighton_zip) as archive:
        names = sorted(archive.namelist())
        return [Image.open(io.BytesIO(archive.read(name))).convert("RGB") for name in names]


def moved(image: Image.Image, pixels: int, upwards: bool = False) -> Image.Image:
    """`image` as a camera sees it that moves by an odd number of `pixels` during the exposure."""
    values = np.asarray(image, dtype=np.float32)
    axis = 0 if upwards else 1
    half = pixels // 2
    padded = np.pad(values, [(half, half) if along == axis else (0, 0) for along in range(3)], mode="edge")
    total = np.cumsum(padded, axis=axis, dtype=np.float64)
    first = np.take(padded, [0], axis=axis) * 0
    total = np.concatenate([first, total], axis=axis)
    size = values.shape[axis]
    mean = (np.take(total, range(pixels, pixels + size), axis) - np.take(total, range(size), axis)) / pixels
    return Image.fromarray(mean.round().astype(np.uint8))


def judged(images: list[Image.Image]) -> list[int]:
    found = blurred([look_at(image).sharpness for image in images])
    return [index for index, is_blurred in enumerate(found) if is_blurred]


@pytest.mark.photos
def test_no_photo_of_a_good_flight_is_called_blurred(brighton):
    assert judged(brighton) == []


@pytest.mark.photos
@pytest.mark.parametrize("pixels", [5, 15, 61])
def test_photos_of_a_camera_that_moved_are_found_and_no_others(brighton, pixels):
    # Given the flight with four photos moved during the exposure, along and across
    images = list(brighton)
    for index in SHAKEN:
        images[index] = moved(images[index], pixels, upwards=index % 2 == 0)

    assert judged(images) == SHAKEN


@pytest.mark.photos
@pytest.mark.parametrize("radius", [2, 8])
def test_photos_out_of_focus_are_found_and_no_others(brighton, radius):
    images = list(brighton)
    for index in SHAKEN:
        images[index] = images[index].filter(ImageFilter.GaussianBlur(radius))

    assert judged(images) == SHAKEN


@pytest.mark.photos
def test_whether_a_photo_is_light_or_dark_says_nothing_of_its_focus(brighton):
    images = list(brighton)
    for index, gain in zip(SHAKEN, (0.3, 0.5, 0.7, 1.3), strict=True):
        images[index] = images[index].point(lambda value, gain=gain: value * gain)

    assert judged(images) == []


def test_a_flight_in_which_every_photo_is_as_soft_has_no_blurred_ones():
    assert blurred([0.1, 0.11, 0.09, 0.1, 0.105]) == [False] * 5
    assert blurred([1.0, 0.01]) == [False, False]  # of two nobody knows which is usual
    assert blurred([1.0] * 5 + [0.0]) == [False] * 5 + [True]


def test_the_blurriest_go_and_never_two_neighbours():
    is_blurred = [False, True, True, True, False, True, False]
    sharpnesses = [1.0, 0.2, 0.1, 0.2, 1.0, 0.3, 1.0]

    assert droppable(is_blurred, sharpnesses, keep=3) == [False, False, True, False, False, True, False]
    assert sum(droppable([True] * 9, [0.1] * 9, keep=3)) == 5
    assert sum(droppable([True, False, True, False], [0.1] * 4, keep=3)) == 1
    assert droppable([True] * 3, [0.1] * 3, keep=3) == [False] * 3


def photo(number: int, sharpness: float, body: str = "DJI FC6310") -> Photo:
    name = f"{number:04}.jpg"
    return Photo(name=name, source=name, width=1600, height=1200, body=body, sharpness=sharpness)


def test_blurred_photos_are_warned_of_and_left_out_only_on_request():
    photos = [photo(number, 0.1 if number in {3, 4, 9} else 1.0) for number in range(12)]

    warned, refused = blurred_photos(photos, drop=False)
    assert [(told.name, told.code) for told in warned] == [
        (f"{number:04}.jpg", "blurred") for number in (3, 4, 9)
    ]
    assert refused == []

    warned, refused = blurred_photos(photos, drop=True)
    assert [told.name for told in refused] == ["0003.jpg", "0009.jpg"]
    assert [told.name for told in warned] == ["0004.jpg"]
    assert "gap" in warned[0].reason


def test_a_stretch_of_water_is_soft_and_stays():
    # Given a flight that crosses water for four photos, and one photo that is shaken
    photos = [photo(number, 0.1 if number in {3, 4, 5, 6, 10} else 1.0) for number in range(14)]

    warned, refused = blurred_photos(photos, drop=True)

    assert [told.name for told in refused] == ["0010.jpg"]
    assert [(told.name, told.code) for told in warned] == [(f"{n:04}.jpg", "soft") for n in (3, 4, 5, 6)]
    assert "water" in warned[0].reason


def test_each_photo_is_judged_by_those_of_its_own_camera():
    # Given a phone whose photos are all softer than the drone's
    photos = [photo(number, 1.0) for number in range(8)]
    photos += [photo(number, 0.2, "Apple iPhone") for number in range(8, 14)]

    assert blurred_photos(photos, drop=True) == ([], [])


@pytest.mark.photos
def test_a_whole_flight_with_shaken_photos_is_taken_in_without_them_on_request(brighton, tmp_path):
    # Given a folder of the flight, four photos of it shaken
    (tmp_path / "flight").mkdir()
    for index, image in enumerate(brighton):
        shown = moved(image, 9) if index in SHAKEN else image
        shown.save(tmp_path / "flight" / f"{index:02}.jpg", quality=95)

    def take(drop_blurred: bool):
        return take_in(
            tmp_path / "flight",
            tmp_path / f"photos-{drop_blurred}",
            800,
            drop_blurred=drop_blurred,
            threads=2,
            progress=lambda *_, **__: None,
        )

    kept, dropped = take(False), take(True)

    assert [told.name for told in kept.warned] == [f"{index:02}.jpg" for index in SHAKEN]
    assert len(kept.photos) == 18
    gone = {told.name for told in dropped.refused}
    assert gone in ({"02.jpg", "07.jpg", "13.jpg"}, {"02.jpg", "08.jpg", "13.jpg"})  # 7 and 8 are neighbours
    assert len(dropped.photos) == len(list((tmp_path / "photos-True").iterdir())) == 15
