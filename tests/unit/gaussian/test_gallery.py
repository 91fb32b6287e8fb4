"""The pictures of a run: photos beside renders, the thumbnail, and a film that plays."""

import os
import stat
import subprocess
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from imageio_ffmpeg import get_ffmpeg_exe
from PIL import Image

from spaceport.pictures import HELD_OUT, TRAINED_ON
from spaceport.tuning import Preset, Tuning
from spaceport_gaussian.job import start
from spaceport_gaussian.material import prepare
from spaceport_gaussian.pictures.comparisons import GAP, spread
from spaceport_gaussian.pictures.flight_video import Film, film_for, write_video
from spaceport_gaussian.pictures.gallery import write_gallery

CPU = torch.device("cpu")
TUNING = Tuning(preset="preview", train_max_size=96, max_gaussians=500, sh_degree=1, holdout=4)


def ignore(*_: object, **__: object) -> None:
    pass


def gallery_of(survey, folder, tuning=TUNING):
    material = prepare(survey, tuning, CPU)
    write_gallery(folder, start(material).splat, material, ignore)
    return material


@pytest.fixture(scope="module")
def gallery(survey, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gallery")
    return folder, gallery_of(survey, folder)


def frames_of(video) -> list[np.ndarray]:
    """RGB, decoded by another library than the encoder's."""
    film = cv2.VideoCapture(str(video))
    frames = []
    while (read := film.read())[0]:
        frames.append(read[1][:, :, ::-1])
    return frames


def test_each_held_out_photo_lies_beside_its_render(gallery):
    folder, material = gallery

    assert sorted(file.name for file in (folder / HELD_OUT).iterdir()) == ["02.png.jpg", "20.png.jpg"]
    assert not (folder / TRAINED_ON).exists()
    for photo in material.held.at(1.0):
        picture = np.asarray(Image.open(folder / HELD_OUT / f"{photo.name}.jpg")).astype(int)
        assert picture.shape == (64, 2 * 96 + GAP, 3)
        assert np.abs(picture[:, :96] - photo.pixels.numpy()).mean() < 8  # as well as JPEG keeps it
        assert (picture[:, 96 + 2 : 96 + GAP - 2] > 240).all()
        assert picture[:, 96 + GAP :].std() > 10  # the render is there


def test_where_no_photo_is_held_out_the_folders_name_says_so(gallery, survey, tmp_path):
    # Given a folder with an earlier run's pictures
    (tmp_path / HELD_OUT).mkdir()

    gallery_of(survey, tmp_path, TUNING.model_copy(update={"holdout": 0, "video": False}))

    assert not (tmp_path / HELD_OUT).exists()
    assert len(list((tmp_path / TRAINED_ON).iterdir())) == 8


def test_of_a_large_flight_some_photos_are_shown():
    assert spread(range(100), 4) == [0, 25, 50, 75]
    assert spread(range(3), 4) == [0, 1, 2]


def test_the_thumbnail_shows_the_scene(gallery):
    folder, _ = gallery

    picture = np.asarray(Image.open(folder / "thumbnail.jpg"))
    assert picture.shape == (427, 640, 3)
    assert picture.std() > 10


def test_the_film_has_the_frames_that_it_says_and_moves_calmly(gallery):
    folder, _ = gallery

    frames = frames_of(folder / "flight.mp4")
    film = cv2.VideoCapture(str(folder / "flight.mp4"))

    assert len(frames) == 5 * 24
    assert film.get(cv2.CAP_PROP_FPS) == 24
    assert frames[0].shape == (72, 128, 3)
    steps = [np.abs(after.astype(int) - before).mean() for before, after in pairwise(frames)]
    assert np.median(steps) > 0
    assert max(steps) < 4 * np.median(steps)


def test_the_film_is_one_that_browsers_play(gallery):
    folder, _ = gallery
    data = (folder / "flight.mp4").read_bytes()

    assert b"avc1" in data  # H.264
    assert data.index(b"moov") < data.index(b"mdat")  # it begins before it is loaded whole


def test_colours_come_through_as_they_are(tmp_path):
    # Given a film of one strong green
    film = Film(64, 36, 10, 1.0)
    green = np.tile(np.uint8([40, 150, 60]), (36, 64, 1))

    write_video(tmp_path / "film.mp4", film, [green] * 10)

    # Then it is decoded as that, by the colour matrix that the file names
    assert b"colrnclx\0\1\0\1\0\1" in (tmp_path / "film.mp4").read_bytes()  # all three BT.709
    luma = 16 + 219 / 255 * (0.2126 * 40 + 0.7152 * 150 + 0.0722 * 60)  # BT.709
    decode = [get_ffmpeg_exe(), "-loglevel", "error", "-i", tmp_path / "film.mp4", "-f", "rawvideo", "-"]
    planes = subprocess.run(decode, check=True, capture_output=True).stdout
    assert planes[0] == pytest.approx(luma, abs=2)


@pytest.mark.parametrize(
    ("preset", "side", "size", "frames"),
    [
        (Preset.PREVIEW, 480, (640, 360), 120),
        (Preset.BALANCED, 1024, (1280, 720), 240),
        (Preset.QUALITY, 1600, (1920, 1080), 300),
        (Preset.QUALITY, 96, (128, 72), 300),
    ],
)
def test_the_film_is_as_large_as_the_model_is_sharp(preset, side, size, frames):
    film = film_for(preset, [(side, side * 2 // 3), (side // 2, side // 2)])

    assert (film.width, film.height) == size
    assert len(film.times) == frames


def test_without_video_there_is_none_not_even_an_earlier_one(survey, tmp_path):
    (tmp_path / "flight.mp4").write_bytes(b"of another model")

    gallery_of(survey, tmp_path, TUNING.model_copy(update={"video": False}))

    assert not (tmp_path / "flight.mp4").exists()
    assert (tmp_path / "thumbnail.jpg").exists()


def test_an_encoder_that_fails_costs_the_job_nothing_but_the_film(survey, tmp_path, monkeypatch, caplog):
    # Given an FFmpeg that knows no H.264
    encoder = tmp_path / "ffmpeg"
    encoder.write_text("#!/bin/sh\necho Unknown encoder libx264 >&2\nexit 1\n")
    encoder.chmod(encoder.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setitem(os.environ, "IMAGEIO_FFMPEG_EXE", str(encoder))

    gallery_of(survey, tmp_path)

    assert "Unknown encoder libx264" in caplog.text
    assert (tmp_path / "thumbnail.jpg").exists()
    assert not list(tmp_path.glob("*.mp4"))
