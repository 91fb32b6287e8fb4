"""What a user reads while a job runs."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import pytest

from spaceport.stages import Status
from spaceport_cli.job_status import JobStatus
from spaceport_cli.show import Bar, JsonLines, PlainLines, presenter_for
from spaceport_cli.wording import counted, duration, ordinal, size


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """A clock that the test moves, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def status(told):
    return lambda **fields: JobStatus.from_message(told(**fields))


def test_the_presenter_suits_where_the_output_goes():
    assert isinstance(presenter_for(Terminal(), io.StringIO(), as_json=False), Bar)
    assert isinstance(presenter_for(io.StringIO(), io.StringIO(), as_json=False), PlainLines)
    assert isinstance(presenter_for(Terminal(), io.StringIO(), as_json=True), JsonLines)


def test_plain_lines_tell_stage_detail_and_numbers(status):
    out = io.StringIO()

    PlainLines(out).update(
        status(
            stage="3dgs",
            message="Training",
            detail="step 600",
            metrics={"psnr": 24.13, "gaussians": 41200, "seconds_left": 197},
        )
    )

    assert out.getvalue() == " 40%  Training: step 600 · 24.1 dB · 41,200 Gaussians · about 4 min left\n"


@pytest.mark.parametrize(
    ("metrics", "read"),
    [
        ({}, ""),
        ({"seconds_left": 0}, ""),
        ({"seconds_left": 42}, " · about 45 s left"),
        ({"registered": 12, "seconds_left": 437}, " · 12 photos placed · about 8 min left"),
    ],
)
def test_the_time_left_is_told_roughly_and_only_where_it_is_known(status, metrics, read):
    out = io.StringIO()

    PlainLines(out).update(
        status(stage="sfm", message="Camera poses", detail="Matching photos", metrics=metrics)
    )

    assert out.getvalue() == f"  2%  Camera poses: Matching photos{read}\n"


def test_plain_lines_come_once_in_five_seconds_but_at_every_change_of_stage(status):
    out, clock = io.StringIO(), Clock()
    lines = PlainLines(out, clock)

    for clock.now, version in ((0.0, 1), (1.0, 2), (4.9, 3), (5.1, 4)):
        lines.update(status(version=version, progress=version / 10))
    lines.update(status(version=5, stage="3dgs", message="Training"))
    lines.update(status(version=6, stage="3dgs", message="Training", status=Status.STOPPED))

    assert [line[:4].strip() for line in out.getvalue().splitlines()] == ["6%", "17%", "40%", "40%"]


def test_plain_lines_never_hold_control_codes(status):
    out = io.StringIO()
    lines = PlainLines(out)

    with lines:
        lines.note("a\x1b[31mred\rname")
        lines.uploading(10, 10)
        lines.update(status(detail="photo \x1b]0;title\x07.jpg"))

    assert not [code for code in out.getvalue() if ord(code) < 32 and code != "\n"]


def test_the_upload_is_told_in_sizes(status):
    out, clock = io.StringIO(), Clock()
    lines = PlainLines(out, clock)

    for sent in (1_000_000, 2_000_000, 8_000_000):
        lines.uploading(sent, 8_000_000)

    assert out.getvalue().splitlines() == ["Uploading: 1.0 MB of 8.0 MB", "Uploading: 8.0 MB of 8.0 MB"]


def test_json_lines_are_the_statuses_as_told_and_words_go_elsewhere(told):
    out, err = io.StringIO(), io.StringIO()
    message = told(version=7)

    with JsonLines(out, err) as lines:
        lines.note("Sent 3 photos.")
        lines.uploading(1, 2)
        lines.update(JobStatus.from_message(message))

    assert [{"type": "status", **json.loads(line)} for line in out.getvalue().splitlines()] == [message]
    assert err.getvalue() == "Sent 3 photos.\n"


def test_the_bar_shows_message_share_time_and_numbers(status, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    out = Terminal()

    with Bar(out, now=lambda: datetime(2026, 3, 1, 10, 1, 5, tzinfo=UTC)) as bar:
        bar.uploading(5, 10)
        bar.update(status(progress=0.5, detail="matching", metrics={"registered": 12}))

    text = out.getvalue()
    for part in ("Extracting features from uploaded images", "21%", "1:05", "matching · 12 photos placed"):
        assert part in text


def test_waiting_and_stopping_are_said(told):
    out = io.StringIO()
    lines = PlainLines(out)

    lines.update(JobStatus.from_message({**told(status=Status.QUEUED, stage="setup"), "queuePosition": 2}))
    waiting = told(version=2, status=Status.WAITING_CAPACITY, stage="3dgs", detail="No free ml.g5.xlarge")
    lines.update(JobStatus.from_message({**waiting, "nextTryAt": "2026-11-23T12:34:56.000Z"}))
    lines.update(JobStatus.from_message(told(version=3, status=Status.STOPPING)))

    assert "2nd in the queue" in out.getvalue()
    assert "Waiting for a free machine, next try at " in out.getvalue()
    assert ":34" in out.getvalue()
    assert "No free ml.g5.xlarge" in out.getvalue()
    assert "Stopping" in out.getvalue()


def test_places_in_words():
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 22, 100, 101, 111)] == [
        *("1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "100th", "101st", "111th")
    ]


def test_numbers_in_words():
    assert [duration(s) for s in (7, 760, 3723, -1)] == ["0:07", "12:40", "1:02:03", "0:00"]
    assert [size(n) for n in (999, 1500, 12_300_000, 2.5e9)] == ["999 bytes", "1.5 kB", "12.3 MB", "2.50 GB"]
    assert [counted(n, "photo") for n in (1, 2000)] == ["1 photo", "2,000 photos"]
