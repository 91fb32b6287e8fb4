"""Promised work: begun again after a kill, once."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from spaceport_local.journal import Journal
from spaceport_local.patches.durability import _Deliveries


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
