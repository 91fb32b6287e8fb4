"""What is kept from a kill: promised work is begun again once, and a full disk holds nothing up."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from spaceport_local.journal import Journal
from spaceport_local.patches.durability import _Deliveries
from spaceport_local.sagemaker import plugin
from spaceport_local.sagemaker.record import COMPLETED, PROCESSING, Job, Scope


def test_only_what_an_earlier_engine_left_is_begun_again(tmp_path: Path) -> None:
    # Given work that a killed engine had promised
    Journal(tmp_path).begin("call", ["000000000000", "us-east-1", "left"])
    journal, done, go_on = Journal(tmp_path), [], threading.Event()
    deliveries = _Deliveries(journal)

    def call(name: str) -> None:
        go_on.wait(10)
        done.append(name)

    deliveries.add("call", call)
    # When the next engine is asked for more before it resumes that
    deliveries.start("call", "new")
    deliveries.resume()
    go_on.set()
    # Then each is done once
    deadline = time.monotonic() + 10
    while journal.unfinished():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.1)
    assert sorted(done) == ["left", "new"]
    assert Journal(tmp_path).unfinished() == []


def test_a_job_that_ends_on_a_full_disk_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a journal that can't be written
    folder = tmp_path / "journal"
    folder.write_text("in the way")
    monkeypatch.setattr(plugin, "_journal", Journal(folder))
    request = {"ProcessingJobName": "j-sfm-1-0"}
    job = Job.accepted(PROCESSING, Scope("000000000000", "us-east-1"), request, plugin.announce)
    # When a job ends
    job.end(COMPLETED)
    # Then whoever waits for it learns so, and the log tells what a kill would lose
    assert job.ended.is_set()
    assert job.status == COMPLETED
    assert "a kill would lose this: sagemaker job" in caplog.text
