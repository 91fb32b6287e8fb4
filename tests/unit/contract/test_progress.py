"""Progress lines: what programs write is what `record_progress` reads, and nothing else is."""

from __future__ import annotations

import io

import pytest

from spaceport.progress import ProgressWriter, parse_line
from spaceport.stages import JOB_STAGES, SFM, STAGES, TRAINING, overall_progress


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_written_line_is_parsed_back():
    # Given a writer of the training stage
    out = io.StringIO()
    # When it reports
    ProgressWriter(TRAINING, out)(0.42, "iteration 630", psnr=24.1, gaussians=412000)
    # Then the line says so
    line = parse_line(out.getvalue())
    assert line is not None
    assert (line.stage, line.progress, line.message) == ("3dgs", 0.42, "iteration 630")
    assert line.metrics == {"psnr": 24.1, "gaussians": 412000.0}


def test_writes_at_most_one_line_a_second_but_always_the_last():
    clock, out = Clock(), io.StringIO()
    write = ProgressWriter(SFM, out, clock)
    for step in range(10):
        clock.now = step / 10
        write(step / 100, points=step)
    write(1.0)
    lines = [parse_line(text) for text in out.getvalue().splitlines()]
    assert [line.progress for line in lines if line] == [0.0, 1.0]
    assert lines[-1] is not None
    assert lines[-1].metrics == {"points": 9.0}  # held back, not lost


def test_numbers_that_are_none_are_left_out():
    out = io.StringIO()
    ProgressWriter(SFM, out)(0.5, "x", psnr=float("nan"), good=1.0)
    line = parse_line(out.getvalue())
    assert line is not None
    assert line.metrics == {"good": 1.0}


@pytest.mark.parametrize(
    "text",
    [
        "Epoch 1: loss 0.3",
        "{",
        "[" * 100_000,
        "[1]",
        '{"spaceport": 2, "stage": "sfm", "progress": 0.1}',
        '{"spaceport": 1, "stage": "brewing", "progress": 0.1}',
        '{"spaceport": 1, "stage": "sfm", "progress": 1.5}',
        '{"spaceport": 1, "stage": "sfm", "progress": NaN}',
        '{"spaceport": 1, "stage": "sfm", "progress": true}',
        '{"spaceport": 1, "stage": "sfm"}',
        '{"spaceport": 1, "stage": "sfm", "progress": 0.1, "metrics": [1]}',
    ],
)
def test_anything_else_is_an_ordinary_log_line(text: str):
    assert parse_line(text) is None


def test_metrics_with_unfit_names_or_values_are_dropped():
    line = parse_line(
        '{"spaceport": 1, "stage": "sfm", "progress": 0.1, '
        '"metrics": {"a.b": 1, "ok": 2, "big": 1e300, "s": "x"}}'
    )
    assert line is not None
    assert line.metrics == {"ok": 2.0}


def test_overall_progress_rises_through_the_stages_to_one():
    seen = [overall_progress(stage, fraction) for stage in STAGES for fraction in (0.0, 0.5, 1.0)]
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1.0)
    assert sum(stage.weight for stage in JOB_STAGES) < 1.0  # the set-up has its share
