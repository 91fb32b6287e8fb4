"""Photos made in the test, and the real flight made small enough to be reconstructed in seconds."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spaceport_sfm.intake.photo_intake import Intake, take_in


@dataclass(frozen=True)
class ProgramRun:
    """How one run of `python -m spaceport_sfm` ended."""

    root: Path
    code: int
    lines: list[dict]
    log: str

    @property
    def colmap(self) -> Path:
        return self.root / "processing" / "output" / "colmap"

    @property
    def message(self) -> dict:
        return json.loads((self.root / "output" / "message").read_text())


def noise(seed: int, size: tuple[int, int] = (400, 300)) -> Image.Image:
    """A picture of coloured noise, `size` = (width, height): unlike every other seed's."""
    width, height = size
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8))


def jpeg(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.fixture
def make_zip(tmp_path: Path) -> Callable[[dict[str, bytes]], Path]:
    """Write files into a new zip and return its path."""

    def make(files: dict[str, bytes]) -> Path:
        archive = tmp_path / "photos.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
            for name, content in files.items():
                opened.writestr(name, content)
        return archive

    return make


@pytest.fixture
def take(make_zip: Callable[[dict[str, bytes]], Path], tmp_path: Path) -> Callable[..., Intake]:
    """Take files in through a real zip, with enough good photos beside them for the zip to be accepted.

    What became of those is not told; files of the others are in `tmp_path / "photos"`.
    """

    def run(files: dict[str, bytes], max_size: int = 1600, drop_blurred: bool = False) -> Intake:
        padding = {f"~good/{seed}.jpg": jpeg(noise(seed)) for seed in range(3)}
        taken = take_in(
            make_zip({**files, **padding}),
            tmp_path / "photos",
            max_size,
            drop_blurred=drop_blurred,
            threads=2,
            progress=lambda *_, **__: None,
        )
        photos = tuple(photo for photo in taken.photos if not photo.source.startswith("~good/"))
        assert len(taken.photos) == len(photos) + len(padding)
        return taken.model_copy(update={"photos": photos})

    return run


@pytest.fixture(scope="session")
def run_sfm() -> Callable[[Path, Path], ProgramRun]:
    """Run the job program as SageMaker does, on the tree under `root`, with `archive` as its input."""

    def run(root: Path, archive: Path, **tuning: str) -> ProgramRun:
        photos = root / "processing" / "input" / "photos"
        photos.mkdir(parents=True)
        (photos / archive.name).write_bytes(archive.read_bytes())
        done = subprocess.run(
            [sys.executable, "-m", "spaceport_sfm"],
            env={**os.environ, "SPACEPORT_ML_ROOT": str(root), **tuning},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"spaceport"')]
        return ProgramRun(root, done.returncode, lines, done.stderr)

    return run


@pytest.fixture(scope="session")
def small_flight(brighton_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 18 real photos at 640 pixels, EXIF and all, in two folders, with what a Mac leaves in zips."""
    archive = tmp_path_factory.mktemp("flight") / "flight.zip"
    with zipfile.ZipFile(brighton_zip) as given, zipfile.ZipFile(archive, "w") as small:
        for index, name in enumerate(sorted(given.namelist())):
            with Image.open(io.BytesIO(given.read(name))) as photo:
                small_photo = photo.resize((640, 360), Image.Resampling.LANCZOS)
                content = jpeg(small_photo, quality=95, exif=photo.getexif())
            # The camera starts a new folder and counts from 1 again.
            small.writestr(f"{100 + index // 9}MEDIA/DJI_{index % 9 + 1:04}.JPG", content)
        small.writestr("__MACOSX/100MEDIA/._DJI_0001.JPG", b"a resource fork")
        small.writestr("notes.txt", b"windy")
    return archive
