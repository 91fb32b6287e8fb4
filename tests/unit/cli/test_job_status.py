"""Which of two tellings of a job is the later one."""

from __future__ import annotations

import pytest

from spaceport.errors import UserError
from spaceport.stages import Status
from spaceport_cli.job_status import JobStatus, latest

JOB = "job-0123456789abcdef0123"


def test_a_first_status_is_taken_whole(told):
    message = told(version=3, progress=0.5, metrics={"psnr": 21.5}, detail="matching")

    view = latest(None, message, JOB)

    assert view is not None
    assert (view.version, view.stage, view.metrics, view.detail) == (3, "sfm", {"psnr": 21.5}, "matching")
    assert view.progress == pytest.approx(0.02 + 0.38 * 0.5)


def test_what_was_told_is_kept_word_for_word_for_programs(told):
    message = told(version=3)

    view = latest(None, message, JOB)

    assert view is not None
    assert {"type": "status", **view.told} == message


@pytest.mark.parametrize("version", [1, 4, 5])
def test_older_and_repeated_versions_are_dropped(told, version):
    view = latest(None, told(version=5, progress=0.5), JOB)

    assert latest(view, told(version=version, progress=0.9), JOB) is view


def test_a_newer_version_replaces_the_view(told):
    view = latest(None, told(version=5), JOB)

    newer = latest(view, told(version=6, stage="3dgs"), JOB)

    assert newer is not None
    assert newer.stage == "3dgs"


@pytest.mark.parametrize("end", [Status.COMPLETED, Status.FAILED, Status.STOPPED, Status.REJECTED])
def test_nothing_follows_a_terminal_status(told, end):
    view = latest(None, told(version=5, status=end), JOB)

    assert view is not None
    assert view.is_terminal
    assert latest(view, told(version=6, status=Status.RUNNING), JOB) is view


@pytest.mark.parametrize(
    "message",
    [{"type": "subscribed", "jobId": JOB}, {"type": "pong"}, {"type": "status", "jobId": "another"}],
)
def test_other_messages_and_other_jobs_change_nothing(told, message):
    view = latest(None, told(version=5), JOB)

    assert latest(view, message, JOB) is view
    assert latest(None, message, JOB) is None


def test_a_status_that_this_client_does_not_know_is_an_error_that_says_what(told):
    message = {**told(), "status": "TELEPORTING"}

    with pytest.raises(UserError, match="status: Input should be") as error:
        JobStatus.from_message(message)
    assert "update spaceport" in error.value.hint
