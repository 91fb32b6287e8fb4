"""The one line that a person at a terminal watches."""

from __future__ import annotations

import io

from spaceport.program_command import StatusLine


def test_the_time_left_is_there_from_when_it_is_known_to_the_end(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    terminal = io.StringIO()

    with StatusLine(terminal) as line:
        line(0.05, "Checking the photos")
        line(0.2, "Finding features", seconds_left=42)
        line(0.3, "Finding features")
        line(1.0, "Photos placed", seconds_left=0)

    assert [told.rstrip() for told in terminal.getvalue().split("\r")[1:]] == [
        "  5% Checking the photos",
        " 20% Finding features · about 45 s left",
        " 30% Finding features · about 45 s left",
        "100% Photos placed",
    ]
