"""A job's output on its way to CloudWatch Logs, through a real pipe to moto's logs."""

from __future__ import annotations

import os
import time
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from spaceport_local.sagemaker.logs import LogStream

GROUP, STREAM = "/aws/sagemaker/ProcessingJobs", "job-1-sfm-1-0/algo-1-1"


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        yield boto3.client("logs", region_name="eu-west-1")


def test_a_log_that_takes_no_more_lines_does_not_hold_up_the_program(logs, tmp_path: Path):
    reading, writing = os.pipe()
    copy = tmp_path / "output.log"
    with os.fdopen(reading, "rb"), LogStream(logs, GROUP, STREAM, reading, copy):
        # Given a log that somebody deletes while the job runs
        logs.delete_log_group(logGroupName=GROUP)
        # When the program writes more than a pipe holds, which waits for the reader
        os.set_blocking(writing, False)
        written = write_patiently(writing, b"a line of the program\n" * 20_000)
        os.close(writing)
    # Then all of it went through
    assert copy.stat().st_size == written


def test_a_pipe_that_is_closed_before_it_has_ended_is_still_read_and_no_other(
    logs, tmp_path: Path, monkeypatch
):
    # Given a process that holds its output open for longer than anybody waits for it
    monkeypatch.setattr("spaceport_local.sagemaker.logs.READER_WAIT_S", 0.01)
    reading, writing = os.pipe()
    copy = tmp_path / "output.log"
    with os.fdopen(reading, "rb"), LogStream(logs, GROUP, STREAM, reading, copy):
        os.write(writing, b"first\n")
    # When the number of its pipe is given to another
    other_reading, other_writing = os.pipe()
    assert reading in (other_reading, other_writing)
    # Then its lines still arrive, and the other pipe's don't
    os.write(other_writing, b"another's\n")
    os.write(writing, b"last\n")
    os.close(writing)
    deadline = time.monotonic() + 10
    while b"last" not in copy.read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert os.read(other_reading, 100) == b"another's\n"
    assert copy.read_bytes() == b"first\nlast\n"
    os.close(other_reading)
    os.close(other_writing)


def write_patiently(pipe: int, text: bytes, seconds: float = 10.0) -> int:
    """Write `text` to a pipe that does not block; give up after `seconds`. Returns the bytes written."""
    deadline, written = time.monotonic() + seconds, 0
    while written < len(text):
        assert time.monotonic() < deadline, "nobody reads the pipe"
        try:
            written += os.write(pipe, text[written : written + 65_536])
        except BlockingIOError:
            time.sleep(0.01)
    return written
