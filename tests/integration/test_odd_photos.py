"""Bad and odd photos through the real program: what becomes of each, and what its owner is told.

Each zip or folder ("flight") goes through `python -m spaceport_sfm` once; the cases look at what came of it.
Whatever goes in, the program ends in time with an answer, nothing of it stays behind, and no good photo is
lost. `docs/odd-photos.md` is the table of the cases; SPACEPORT_WRITE_DOCS=1 writes it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from odd_files import (
    HOSTILE_XMP,
    Frame,
    animation,
    declaring,
    deflated_bomb,
    encrypted,
    flat,
    floating_point,
    noise,
    overwritten,
    saved,
    with_broken_bytes,
    with_link,
    with_packed,
    zipped,
)
from PIL import ImageOps

from spaceport.quality import SfmReport
from spaceport_sfm.placement.gps import Position, from_enu

pytestmark = pytest.mark.photos

TABLE = Path(__file__).parents[2] / "docs" / "odd-photos.md"
TIMEOUT_S = 120
WIDTH = 640  # pixels at which all 18 photos of the flight find their place in seconds
# The photos of the flight that have most in common, enough for flights about something else.
CORE = range(6, 14)


@dataclass(frozen=True)
class Outcome:
    """How one run ended.

    Attributes:
        out: the folder of its results.
        report: None where it failed.
        error: the code of the failure, and what was said of it.
        left: command lines of processes that outlived it.
    """

    exit_code: int
    out: Path
    report: SfmReport | None
    error: str
    said: str
    left: list[str]


@dataclass(frozen=True)
class Case:
    """One odd thing.

    Attributes:
        about: it in words, for the table.
        flight: the run it is in, see FLIGHTS.
        fate: used; refused; warned (used if it fits); left over (it fits nowhere); ignored; error (of the
            whole run); advice.
        code: of the refusal, warning, error or advice.
        file: the photo.
    """

    about: str
    flight: str
    fate: str
    code: str = ""
    file: str = ""


CASES = (
    # One photo is odd, in a flight that is not
    Case("A photo on its side (EXIF orientation 6)", "oddities", "used", file="01 on its side.jpg"),
    Case("16 bits of grey (PNG)", "oddities", "used", file="02.png"),
    Case("CMYK (JPEG)", "oddities", "used", file="03.jpg"),
    Case("Greyscale (JPEG)", "oddities", "used", file="04.jpg"),
    Case("Half transparent (PNG)", "oddities", "used", file="05.png"),
    Case("WebP", "oddities", "used", file="06.webp"),
    Case("HEIC", "oddities", "used", file="07.HEIC"),
    Case("DNG (raw), without GPS", "oddities", "used", file="09.dng"),
    Case("MPO: a second picture behind the first", "oddities", "used", file="10.jpg"),
    Case("EXIF of over 55 kB", "oddities", "used", file="11.jpg"),
    Case("XMP that would read files and fill the memory", "oddities", "used", file="12.jpg"),
    Case("A name in Cyrillic with a helicopter", "oddities", "used", file="13 берег 🚁.jpg"),
    Case("The same name in two folders", "oddities", "used", file="15/DJI_0001.JPG"),
    Case("Another camera, of another size", "oddities", "used", file="16.jpg"),
    Case("16 bits a colour (PNG), without EXIF", "oddities", "used", file="17.png"),
    Case("A blurred photo", "oddities", "warned", "blurred", "20 blurred.jpg"),
    Case("An all black photo", "oddities", "refused", "blank", "21 black.jpg"),
    Case("A photo of somewhere else", "oddities", "left over", file="22 elsewhere.jpg"),
    Case("Random bytes named .jpg", "oddities", "refused", "not_an_image", "23.jpg"),
    Case("Text named .jpg", "oddities", "refused", "not_an_image", "24.jpg"),
    Case("A JPEG cut short", "oddities", "refused", "truncated", "25.jpg"),
    Case("A JPEG whose header is damaged", "oddities", "refused", "damaged", "26.jpg"),
    Case("An empty file", "oddities", "refused", "empty_file", "27.jpg"),
    Case("2 × 20,000 pixels", "oddities", "refused", "extreme_aspect", "28.png"),
    Case("A thumbnail", "oddities", "refused", "too_small", "29.jpg"),
    Case("Floating-point pixels (TIFF)", "oddities", "refused", "unsupported_pixels", "30.tif"),
    Case("An animation (WebP)", "oddities", "refused", "animation", "31.webp"),
    Case("The same file twice", "oddities", "refused", "duplicate", "32.jpg"),
    Case("A file that is damaged in the zip", "oddities", "refused", "damaged", "33.jpg"),
    Case("A file that the zip says is smaller than it is", "oddities", "refused", "damaged", "34.jpg"),
    Case("A file of 64 MB that the zip says has 50 kB", "oddities", "refused", "damaged", "37.jpg"),
    Case("A JPEG overwritten in the middle", "oddities", "refused", "damaged", "38.jpg"),
    Case("A DNG cut short", "oddities", "refused", "damaged", "35.dng"),
    Case("A film, and what a Mac leaves in zips", "oddities", "ignored", file="36.MOV"),
    # GPS is odd
    Case("No GPS at all, photos in a folder", "no gps", "advice", "no_gps"),
    Case("GPS in the ocean for one photo", "wrong gps", "advice", "gps_contradicts", "08.jpg"),
    Case("A GPS altitude of 4 km for one photo", "wrong gps", "advice", "gps_altitudes_contradict", "11.jpg"),
    Case("GPS of anywhere for every photo", "random gps", "advice", "gps_too_little"),
    Case("One straight line of photos", "one line", "advice", "single_line"),
    # The flight is odd
    Case("Two places in one zip", "two sites", "advice", "several_sites"),
    Case("Photos that don't overlap", "no overlap", "error", "too_few_registered"),
    Case("All photos from one place, turning", "hover", "error", "too_few_registered"),
    Case("All photos blurred", "all blurred", "error", "too_few_registered"),
    Case("One photo five times", "duplicates", "error", "duplicates"),
    Case("Five broken photos", "all broken", "error", "too_few_photos"),
    # Ground control is odd
    Case("A gcp_list.txt that is none", "broken control", "error", "bad_ground_control"),
    Case(
        "A ground control point with another one's place",
        "wrong mark",
        "advice",
        "ground_control_contradicts",
    ),
    # The zip is odd
    Case("A zip of 5,000 files, 8 of them photos", "5000 entries", "used", file="06.jpg"),
    Case("Nothing in the zip", "empty zip", "error", "empty_zip"),
    Case("A zip that is none", "no zip", "error", "not_a_zip"),
    Case("A zip cut short", "cut zip", "error", "truncated_zip"),
    Case("Only two photos", "two photos", "error", "too_few_photos"),
    Case("3,001 photos", "3001 photos", "error", "too_many_photos"),
    Case("A zip in the zip", "zip in zip", "error", "nested_archive"),
    Case("A zip bomb", "bomb", "error", "zip_bomb"),
    Case("A zip with a password", "encrypted", "error", "encrypted"),
    Case("A name that leads out of the folder", "traversal", "error", "unsafe_name"),
    Case("A symbolic link", "link", "error", "link"),
    Case("Packed by bzip2", "bzip2", "error", "unusual_compression"),
)


def oddities(frame: Callable[[int], Frame]) -> bytes:
    """The flight of 18, most of them in another form, and files that are no part of it."""
    plain = {number: frame(number).jpeg() for number in (0, 8, 14, 15)}
    good = {
        "00.jpg": plain[0],
        "01 on its side.jpg": frame(1).turned(),
        "02.png": frame(2).sixteen_bit(),
        "03.jpg": saved(frame(3).picture.convert("CMYK"), exif=frame(3).exif),
        "04.jpg": saved(frame(4).picture.convert("L"), exif=frame(4).exif),
        "05.png": saved(frame(5).half_transparent(), "PNG", exif=frame(5).exif),
        "06.webp": saved(frame(6).picture, "WEBP", quality=95, exif=frame(6).exif.tobytes()),
        "07.HEIC": frame(7).heic(),
        "08.jpg": plain[8],
        "09.dng": frame(9).dng(),
        "10.jpg": frame(10).mpo(),
        "11.jpg": frame(11).with_long_exif(),
        "12.jpg": frame(12).jpeg(xmp=HOSTILE_XMP),
        "13 берег 🚁.jpg": frame(13).jpeg(),
        "14/DJI_0001.JPG": plain[14],
        "15/DJI_0001.JPG": plain[15],
        "16.jpg": frame(16).of_another_camera(),
        "17.png": frame(17).sixteen_bit_colour(),
    }
    odd = {
        "20 blurred.jpg": frame(8).blurred(),
        "21 black.jpg": flat((WIDTH, 360), 3),
        "22 elsewhere.jpg": saved(ImageOps.flip(frame(3).picture), exif=frame(3).at(46.9, -91.9, 200).exif),
        "23.jpg": noise(1).tobytes()[:50_000],
        "24.jpg": b"This is no photo.\n" * 500,
        "25.jpg": plain[0][: len(plain[0]) // 2],
        "26.jpg": plain[0][:4] + b"\xff" * 400 + plain[0][404:],
        "27.jpg": b"",
        "28.png": saved(noise(2, (2, 20_000)), "PNG"),
        "29.jpg": saved(noise(3, (160, 120))),
        "30.tif": floating_point(),
        "31.webp": animation(),
        "32.jpg": plain[8],
        "33.jpg": saved(noise(4)),
        "34.jpg": saved(noise(5)),
        "35.dng": frame(9).dng()[:-60_000],
        "36.MOV": b"a film",
        "38.jpg": overwritten(plain[15]),
        "__MACOSX/._00.jpg": b"a resource fork",
    }
    archive = with_broken_bytes(with_packed(zipped({**good, **odd}), "37.jpg", zeros=64 << 20), "33.jpg")
    return declaring(declaring(archive, "34.jpg", 4_000), "37.jpg", 50_000)


def core(
    frame: Callable[[int], Frame], change: Callable[[Frame, int], object] = lambda *_: None
) -> dict[str, bytes]:
    """The photos of CORE as JPEGs, each after `change`."""
    frames = {number: frame(number) for number in CORE}
    for number, one in frames.items():
        change(one, number)
    return {f"{number:02}.jpg": one.jpeg() for number, one in frames.items()}


def wrong_gps(frame: Callable[[int], Frame]) -> bytes:
    def spoil(one: Frame, number: int) -> None:
        if number == 8:
            one.at(-40.0, -120.0, 0.0)  # the Pacific
        if number == 11:
            one.climbed(4000.0)

    return zipped(core(frame, spoil))


def random_gps(frame: Callable[[int], Frame]) -> bytes:
    places = {number: (46.84 + number * number % 7 / 90, -91.99 + number * 5 % 8 / 70) for number in CORE}
    return zipped(core(frame, lambda one, number: one.at(*places[number], 100.0 + 37 * (number % 3))))


def two_sites(frame: Callable[[int], Frame]) -> bytes:
    """The flight's two ends, the second mirrored and 5 km away: neither shows what the other does."""
    there = {}
    for number in (14, 15, 16, 17):
        one = frame(number).moved(0.045, 0.0)
        one.picture = ImageOps.mirror(one.picture)
        there[f"{number}.jpg"] = one.jpeg()
    return zipped({**core(frame), **there})


def hover(frame: Callable[[int], Frame]) -> bytes:
    """One photo, seen by a camera that turns about its own place."""
    return zipped({f"{step}.jpg": frame(8).rotated(6.0 * step).jpeg() for step in range(6)})


def control_list(colmap: Path) -> bytes:
    """A list of six points that the model in `colmap` has, the fifth 40 m from where it is."""
    model = pycolmap.Reconstruction(colmap / "sparse")
    origin = Position.model_validate(json.loads((colmap / "sparse" / "georef.json").read_text())["origin"])
    seen_often = sorted(model.points3D.values(), key=lambda point: -point.track.length())[:200]
    east = sorted(seen_often, key=lambda point: point.xyz[0])
    lines = ["EPSG:4326"]
    for number, point in enumerate(east[:: len(east) // 5][:5] + east[-1:], start=1):
        place = from_enu(point.xyz + np.array([0.0, 40.0 * (number == 5), 0.0]), origin)
        for element in point.track.elements:
            image = model.images[element.image_id]
            x, y = image.project_point(point.xyz) - 0.5
            photo = f"{image.name.split('_')[1]}"
            lines.append(
                f"{place.lon:.9f} {place.lat:.9f} {place.alt:.3f} {x:.2f} {y:.2f} {photo} point{number}"
            )
    return "\n".join(lines).encode()


def flights(
    outcome_of: Callable[[str], Outcome],
) -> dict[str, Callable[[Callable[[int], Frame]], bytes | dict[str, bytes]]]:
    """What each flight is made of: the bytes of a zip, or the files of a folder."""
    small = {f"{seed}.jpg": saved(noise(seed)) for seed in range(5)}
    return {
        "oddities": oddities,
        "no gps": lambda frame: core(frame, lambda one, _: one.without_gps()),
        "wrong gps": wrong_gps,
        "random gps": random_gps,
        "one line": lambda frame: zipped({f"{n:02}.jpg": frame(n).jpeg() for n in range(6, 12)}),
        "two sites": two_sites,
        "no overlap": lambda _: zipped(small),
        "hover": hover,
        "all blurred": lambda frame: zipped({f"{n:02}.jpg": frame(n).blurred() for n in CORE}),
        "duplicates": lambda _: zipped({f"{n}.jpg": small["0.jpg"] for n in range(5)}),
        "all broken": lambda _: zipped({name: content[:900] for name, content in small.items()}),
        "broken control": lambda _: zipped({**small, "gcp_list.txt": b"EPSG:4326\nnonsense\n"}),
        "wrong mark": lambda frame: zipped(
            {**core(frame), "gcp_list.txt": control_list(outcome_of("5000 entries").out / "colmap")}
        ),
        "5000 entries": lambda frame: zipped(
            {**core(frame), **{f"log/{n}.txt": b"a line\n" for n in range(4_992)}}
        ),
        "empty zip": lambda _: zipped({}),
        "no zip": lambda _: b"This is no zip.\n" * 99,
        "cut zip": lambda _: zipped(small)[:-500],
        "two photos": lambda _: zipped({name: small[name] for name in ("0.jpg", "1.jpg")}),
        "3001 photos": lambda _: zipped({f"{n}.jpg": b"." for n in range(3001)}),
        "zip in zip": lambda _: zipped({"photos.zip": zipped(small)}),
        "bomb": lambda _: deflated_bomb(megabytes=64),
        "encrypted": lambda _: encrypted(zipped(small)),
        "traversal": lambda _: zipped({**small, "../../evil.jpg": small["0.jpg"]}),
        "link": lambda _: with_link(small, "link.jpg", "/etc/passwd"),
        "bzip2": lambda _: zipped(small, zipfile.ZIP_BZIP2),
    }


@pytest.fixture(scope="module")
def outcome_of(brighton_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Outcome]:
    """`outcome_of(flight)`: how the program's one run on it ended."""
    with zipfile.ZipFile(brighton_zip) as archive:
        photos = [archive.read(name) for name in sorted(archive.namelist())]

    @cache
    def run(name: str) -> Outcome:
        folder = tmp_path_factory.mktemp(name.replace(" ", "_"))
        made = flights(run)[name](lambda number: Frame(photos[number], WIDTH))
        given = folder / ("photos" if isinstance(made, dict) else "photos.zip")
        if isinstance(made, dict):
            given.mkdir()
            for file, content in made.items():
                (given / file).write_bytes(content)
        else:
            given.write_bytes(made)
        return ended(given, folder / "out")

    return run


def ended(given: Path, out: Path) -> Outcome:
    command = [sys.executable, "-m", "spaceport_sfm", str(given), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    left = [line for line in command_lines() if str(out) in line]
    if done.returncode == 0:
        report = SfmReport.model_validate_json((out / "colmap" / "sfm.json").read_bytes())
        return Outcome(0, out, report, "", "", left)
    codes = re.findall(r"^ERROR \S+ (\w+): ", done.stderr, re.MULTILINE)
    said = " ".join(done.stderr.splitlines()[-2:])
    return Outcome(done.returncode, out, None, codes[-1] if codes else done.stderr, said, left)


def command_lines() -> list[str]:
    """Of every process there is."""
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # it has just ended
            continue
    return lines


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.about)
def test_what_becomes_of(case: Case, outcome_of: Callable[[str], Outcome]) -> None:
    outcome = outcome_of(case.flight)
    assert outcome.left == []
    if case.fate == "error":
        assert (outcome.exit_code, outcome.error) == (1, case.code), outcome.said
        return
    assert outcome.exit_code == 0, outcome.said
    assert outcome.report is not None
    photos = outcome.report.photos
    refused = {photo.name: photo.code for photo in photos.refused}
    warned = {(photo.name, photo.code) for photo in photos.warned}
    if case.fate == "refused":
        assert refused[case.file] == case.code
    elif case.fate == "left over":
        assert case.file in photos.unregistered
    elif case.fate == "warned":
        assert (case.file, case.code) in warned
    elif case.fate == "advice":
        assert case.code in {advice.code for advice in outcome.report.advice}
    if case.fate in {"used", "ignored", "advice"}:
        assert case.file not in {*refused, *photos.unregistered}


@pytest.mark.parametrize("flight", sorted({case.flight for case in CASES if case.fate != "error"}))
def test_no_good_photo_is_lost(flight: str, outcome_of: Callable[[str], Outcome]) -> None:
    report = outcome_of(flight).report
    assert report is not None
    photos = report.photos
    assert photos.given == photos.registered + len(photos.refused) + len(photos.unregistered)
    if flight != "two sites":  # one of them is left over
        fitting_nowhere = {case.file for case in CASES if case.fate in {"left over", "warned"}}
        assert set(photos.unregistered) <= fitting_nowhere


def test_the_table_in_the_docs_is_what_happened(outcome_of: Callable[[str], Outcome]) -> None:
    table = table_of(outcome_of)
    if os.environ.get("SPACEPORT_WRITE_DOCS") == "1":
        TABLE.write_text(table)
    assert TABLE.read_text() == table


def table_of(outcome_of: Callable[[str], Outcome]) -> str:
    head = """\
# Bad and odd photos

Written by `SPACEPORT_WRITE_DOCS=1 pytest tests/integration/test_odd_photos.py`, which sends every case
through `python -m spaceport_sfm` and compares it with this table: don't edit it by hand. A refused photo is
left out and named in the report; the others go on without it.

| what comes in | what becomes of it | what you are told |
| --- | --- | --- |
"""
    rows = (f"| {case.about} | {case.fate} | {told(case, outcome_of(case.flight))} |\n" for case in CASES)
    return head + "".join(rows)


def told(case: Case, outcome: Outcome) -> str:
    """What the run said of the case; of advice the hint alone, for its message has measured numbers."""
    report = outcome.report
    if report is None:
        return f"`{case.code}` {outcome.said}"
    for photo in (*report.photos.refused, *report.photos.warned):
        if photo.name == case.file:
            return f"`{photo.code}` {photo.name} {photo.reason}"
    if case.fate == "left over":
        return " ".join(
            f"{case.file} {words}"
            for advice in report.advice
            for words in re.findall(rf"{re.escape(case.file)} ([^;]*?)[;.]", advice.message)
        )
    if case.fate == "advice":
        return " ".join(f"`{one.code}` {one.hint}" for one in report.advice if one.code == case.code)
    return "nothing"
