"""The command for one machine: killed at any moment, it ends with the same model when it is given again."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from spaceport.quality import SfmReport
from spaceport_sfm.phases import Phase

SETTINGS = ("--set", "sfm_max_size=640")
MODEL = ("cameras.bin", "images.bin", "points3D.bin")


@pytest.fixture(scope="module")
def tiny_flight(brighton_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight photos of the flight, at 640 pixels."""
    archive = tmp_path_factory.mktemp("tiny") / "tiny.zip"
    with zipfile.ZipFile(brighton_zip) as given, zipfile.ZipFile(archive, "w") as small:
        for name in sorted(given.namelist())[8:16]:
            small.writestr(name, scaled(given.read(name), 640))
    return archive


@pytest.fixture(scope="module")
def scattered_flight(brighton_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole flight at 480 pixels, by GPS at two places 1.8 km apart: a first try leaves photos over."""
    archive = tmp_path_factory.mktemp("scattered") / "scattered.zip"
    with zipfile.ZipFile(brighton_zip) as given, zipfile.ZipFile(archive, "w") as small:
        for index, name in enumerate(sorted(given.namelist())):
            small.writestr(name, scaled(given.read(name), 480, minutes_north=index // 2 % 2))
    return archive


def scaled(photo: bytes, width: int, minutes_north: int = 0) -> bytes:
    """A photo of 16:9 made smaller, its EXIF kept but for its place."""
    content = io.BytesIO()
    with Image.open(io.BytesIO(photo)) as image:
        exif = image.getexif()
        place = exif.get_ifd(ExifTags.IFD.GPSInfo)
        degrees, minutes, seconds = place[ExifTags.GPS.GPSLatitude]
        place[ExifTags.GPS.GPSLatitude] = (degrees, minutes + minutes_north, seconds)
        small = image.resize((width, width * 9 // 16), Image.Resampling.LANCZOS)
        small.save(content, "JPEG", quality=95, exif=exif)
    return content.getvalue()


def command(photos: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "spaceport_sfm", str(photos), str(out), *SETTINGS, *more]


def model_digests(out: Path) -> dict[str, str]:
    """Of each file of the model and its training input: comparing the bytes in words takes hours."""
    files = [out / "colmap" / "sparse" / name for name in MODEL]
    files += sorted((out / "colmap" / "dense").rglob("*.*"))
    return {str(file.relative_to(out)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@dataclass(frozen=True)
class Undisturbed:
    out: Path
    lines: list[dict]
    told: str


@pytest.fixture(scope="module")
def undisturbed(tiny_flight: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    done = subprocess.run(command(tiny_flight, out), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return Undisturbed(out, [json.loads(line) for line in done.stdout.splitlines()], done.stderr)


@pytest.mark.photos
def test_the_command_leaves_results_says_so_and_removes_its_work(undisturbed):
    report = SfmReport.model_validate_json((undisturbed.out / "colmap" / "sfm.json").read_text())

    assert report.photos.registered == 8
    assert {entry.name for entry in undisturbed.out.iterdir()} == {"extracted", "colmap"}
    assert "8 of 8 photos placed" in undisturbed.told
    assert undisturbed.lines[-1]["progress"] == 1.0
    ended = [phase.name for phase in report.sfm.phases]
    assert ended[:4] == ["photos", "features", "matching", "mapping"]
    assert sum(phase.seconds for phase in report.sfm.phases) <= report.sfm.seconds


def killed_in(phase: Phase, after_s: float, program_line: list[str], out: Path) -> None:
    """Start the command and kill all its processes `after_s` seconds after `phase` has begun."""
    running = out / "work" / "ledger" / "running"
    program = subprocess.Popen(
        program_line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
    )
    while program.poll() is None and not (running.exists() and running.read_text() == phase.value):
        time.sleep(0.002)
    time.sleep(after_s)
    os.killpg(program.pid, signal.SIGKILL)
    program.wait()


@pytest.mark.photos
def test_killed_at_every_phase_it_ends_with_the_same_model(undisturbed, tiny_flight, tmp_path):
    # Given a run that is killed at the beginning of each phase, and in the middle of the longer ones, and
    # each time started again on what is left
    out = tmp_path / "out"
    seconds = phase_seconds(undisturbed.out)
    for phase in filter(lambda phase: phase.value in seconds, Phase):
        killed_in(phase, 0.0, command(tiny_flight, out), out)
        if seconds[phase.value] > 0.2:
            killed_in(phase, seconds[phase.value] / 2, command(tiny_flight, out), out)

    # When it is left alone
    done = subprocess.run(command(tiny_flight, out), capture_output=True, text=True, check=False, timeout=120)

    # Then it goes on where it was, and ends as if nothing had been
    assert done.returncode == 0, done.stderr
    assert "going on where an earlier run stopped" in done.stderr
    assert model_digests(out) == model_digests(undisturbed.out)
    assert list(phase_seconds(out)) == list(seconds)


@pytest.mark.photos
def test_killed_in_a_second_try_and_in_the_seeds_it_ends_with_the_same_model(scattered_flight, tmp_path):
    # Given a flight whose first try leaves photos over
    more = ("--set", "sfm_max_size=480", "--set", "dense_seeds=true")
    whole, out = tmp_path / "whole", tmp_path / "out"
    subprocess.run(command(scattered_flight, whole, *more), capture_output=True, check=True, timeout=120)
    seconds = phase_seconds(whole)
    assert {Phase.MATCHING_MORE, Phase.MAPPING_MORE, Phase.SEEDS} <= seconds.keys()

    # When it is killed at the beginning and in the middle of what that adds, and then left alone
    for phase in (Phase.MATCHING_MORE, Phase.MAPPING_MORE, Phase.SEEDS):
        for after_s in (0.0, seconds[phase.value] / 2):
            killed_in(phase, after_s, command(scattered_flight, out, *more), out)
    subprocess.run(command(scattered_flight, out, *more), capture_output=True, check=True, timeout=120)

    # Then it ends as if nothing had been
    assert model_digests(out) == model_digests(whole)
    assert list(phase_seconds(out)) == list(seconds)


def phase_seconds(out: Path) -> dict[str, float]:
    """The phases that the run in `out` went through, in order, and how long each took."""
    report = SfmReport.model_validate_json((out / "colmap" / "sfm.json").read_text())
    return {phase.name: phase.seconds for phase in report.sfm.phases}


def at_a_terminal(program: list[str]) -> tuple[int, str]:
    """The exit code of `program`, and all that a terminal shows of it."""
    ours, theirs = pty.openpty()
    running = subprocess.Popen(program, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # Linux tells the end of a terminal so
            break
    os.close(ours)
    return running.wait(60), shown.decode()


FAULTY = """
import sys
from spaceport_sfm import command

def build_scene(*_, **__):
    raise RuntimeError("out of luck")

command.build_scene = build_scene
sys.exit(command.main(sys.argv[1:]))
"""


def test_at_a_terminal_the_log_tells_of_a_fault_of_ours(tmp_path):
    (tmp_path / "photos").mkdir()
    arguments = [str(tmp_path / "photos"), str(tmp_path / "out")]

    code, text = at_a_terminal([sys.executable, "-c", FAULTY, *arguments])

    assert code == 70
    assert text.strip() == f"This is a fault of ours; the log above or in {tmp_path}/out/log.txt tells more."
    assert "RuntimeError: out of luck" in (tmp_path / "out" / "log.txt").read_text()


@pytest.mark.photos
def test_a_person_at_a_terminal_sees_one_line_and_the_end(tiny_flight, tmp_path):
    code, text = at_a_terminal(command(tiny_flight, tmp_path / "out", "--keep"))

    assert code == 0
    assert re.search(r"\r +\d+% \w", text)  # which steps are shown, the machine's speed decides
    assert 'spaceport":' not in text
    assert "INFO" not in text
    assert "8 of 8 photos placed" in text
    assert (tmp_path / "out" / "work" / "database.db").is_file()


@pytest.mark.photos
def test_ctrl_c_keeps_the_work(tiny_flight, tmp_path):
    program = subprocess.Popen(command(tiny_flight, tmp_path / "out"), stderr=subprocess.PIPE, text=True)
    running = tmp_path / "out" / "work" / "ledger" / "running"
    while program.poll() is None and not (running.exists() and running.read_text() == Phase.FEATURES.value):
        time.sleep(0.01)
    children = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()

    program.send_signal(signal.SIGINT)
    told = program.communicate(timeout=10)[1]

    assert program.returncode == 130
    assert "same command goes on" in told
    assert (tmp_path / "out" / "work" / "ledger" / "photos.json").is_file()
    assert not any(Path(f"/proc/{child}").exists() for child in children)


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., str]:
    """Give arguments to the command; return what it says when it refuses them, and nothing may change."""

    def run(*arguments: object, code: int = 1) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "spaceport_sfm", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            timeout=60,
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr

    return run


def test_wrong_arguments_are_told_in_words(refused, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"not a photo")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.doc").write_text("years of work")

    assert "usage" in refused("photos", code=2)
    assert "key=value" in refused("photos", "out", "--set", "seed", code=2)
    assert "no setting 'sede'" in refused("photos", "out", "--set", "sede=1")
    assert "can't be read" in refused("missing.zip", "out")
    assert "not of an unfinished run" in refused("photos", "full")
    assert "results would be taken for photos" in refused("photos", "photos/out")
    assert "can't take the results" in refused("photos", "full/thesis.doc/out")
    assert [entry.name for entry in (tmp_path / "full").iterdir()] == ["thesis.doc"]


@pytest.mark.photos
def test_results_of_a_finished_run_are_not_overwritten(undisturbed, tiny_flight, refused, tmp_path):
    assert "holds the results of a finished run" in refused(tiny_flight, undisturbed.out)
