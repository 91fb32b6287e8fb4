"""The guarded child: how its death is told, and that none is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spaceport.errors import UserError
from spaceport_sfm.guard import run_guarded

CHILD = "import sys, time; from spaceport_sfm.guard import end_with_parent; end_with_parent(); "


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def gone(pid: int, within_s: float = 10.0) -> bool:
    """Whether the process `pid` has ended (or is a zombie that its new parent has yet to reap)."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            if "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("code", [0, 1, 70])
def test_an_ordinary_end_gives_the_exit_code(code):
    assert run_guarded(python(f"{CHILD} sys.exit({code})"), 30, "working") == code


@pytest.mark.parametrize(
    ("by", "code"),
    [
        (signal.SIGSEGV, "sfm_crashed"),
        (signal.SIGABRT, "sfm_crashed"),
        (signal.SIGKILL, "sfm_out_of_memory"),
    ],
)
def test_a_death_by_signal_is_told_in_words(by, code):
    with pytest.raises(UserError) as told:
        run_guarded(python(f"import os; os.kill(os.getpid(), {int(by)})"), 30, "placing the photos")

    assert told.value.code == code
    assert by.name in told.value.message
    assert "placing the photos" in told.value.message
    assert told.value.hint


def test_a_hang_is_ended_and_told(tmp_path):
    pid_file = tmp_path / "pid"
    hang = python(f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(600)")

    with pytest.raises(UserError) as told:
        run_guarded(hang, 2.0, "placing the photos")

    assert told.value.code == "sfm_timeout"
    assert gone(int(pid_file.read_text()))


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_no_child_outlives_its_parent(tmp_path, by):
    # Given a program that ends on SIGTERM as ours does, with a child deep inside native code
    pid_file = tmp_path / "pid"
    child = f"{CHILD} import os; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    program = (
        "import signal, sys; from spaceport_sfm.guard import run_guarded\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        f"run_guarded([sys.executable, '-c', {child!r}], 600, 'sleeping')\n"
    )
    parent = subprocess.Popen(python(program))
    deadline = time.monotonic() + 20
    while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)

    # When the parent is stopped, or killed without a word
    parent.send_signal(by)

    # Then it ends, and the child with it
    assert parent.wait(10) == (143 if by == signal.SIGTERM else -signal.SIGKILL)
    assert gone(int(pid_file.read_text()))
