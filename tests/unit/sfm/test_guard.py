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
from spaceport_sfm import memory
from spaceport_sfm.guard import Limits, run_guarded

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


def guarded(code: str, **limits: float) -> int:
    seconds = limits.pop("seconds", 60.0)
    return run_guarded(python(code), Limits(lambda: seconds, **limits), lambda: "placing the photos")


@pytest.mark.parametrize("code", [0, 1, 70])
def test_an_ordinary_end_gives_the_exit_code(code):
    assert guarded(f"{CHILD} sys.exit({code})") == code


@pytest.mark.parametrize(
    ("death", "by", "code"),
    [
        ("import ctypes; ctypes.string_at(0)", signal.SIGSEGV, "sfm_crashed"),
        ("import os; os.abort()", signal.SIGABRT, "sfm_crashed"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", None, "sfm_out_of_memory"),
    ],
)
def test_a_death_is_told_in_words(death, by, code):
    with pytest.raises(UserError) as told:
        guarded(death)

    assert told.value.code == code
    assert by is None or by.name in told.value.message
    assert "placing the photos" in told.value.message
    assert told.value.hint


def test_a_child_that_takes_too_long_is_ended_and_told(tmp_path):
    pid_file = tmp_path / "pid"

    with pytest.raises(UserError) as told:
        guarded(
            f"import os\nopen({str(pid_file)!r}, 'w').write(str(os.getpid()))\nwhile True: pass", seconds=2
        )

    assert told.value.code == "sfm_timeout"
    assert gone(int(pid_file.read_text()))


def test_a_child_that_does_nothing_is_told_to_hang():
    with pytest.raises(UserError) as told:
        guarded(f"{CHILD} time.sleep(600)", idle_seconds=2.0)

    assert told.value.code == "sfm_hung"
    assert "placing the photos" in told.value.message


def test_a_child_that_waits_for_its_own_working_child_does_not_hang():
    work = "import time\nwhile time.process_time() < 4: pass"

    assert (
        guarded(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}])", idle_seconds=1.5)
        == 0
    )


def test_a_child_that_takes_all_memory_is_ended_before_the_kernel_does_it(monkeypatch):
    # Given a machine on which a GB is left when the child starts
    measure = memory.available_bytes
    taken = measure() - (1 << 30)
    monkeypatch.setattr(memory, "available_bytes", lambda: max(0, measure() - taken))

    with pytest.raises(UserError) as told:
        guarded("kept = []\nwhile True: kept.append(bytearray(b'x' * (1 << 24)))")

    assert told.value.code == "sfm_out_of_memory"
    assert "GB" in told.value.message


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_no_child_outlives_its_parent(tmp_path, by):
    # Given a program that notes SIGTERM as ours does, with a child deep inside native code, and its child
    pid_files = [tmp_path / "child", tmp_path / "grandchild"]
    grandchild = f"import os, time; open({str(pid_files[1])!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    child = (
        f"{CHILD} import os, subprocess; subprocess.Popen([sys.executable, '-c', {grandchild!r}]); "
        f"open({str(pid_files[0])!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    )
    program = (
        "import signal, sys\n"
        "from spaceport_sfm.guard import Limits, run_guarded\n"
        "from spaceport.stop_signal import Interrupted, StopSignal\n"
        "stop = StopSignal()\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        f"command = [sys.executable, '-c', {child!r}]\n"
        "try:\n"
        "    run_guarded(command, Limits(lambda: 600), str, leave_if_requested=stop.leave_if_requested)\n"
        "except Interrupted as interrupted:\n"
        "    sys.exit(interrupted.exit_code)\n"
    )
    parent = subprocess.Popen(python(program))
    deadline = time.monotonic() + 20
    while not all(file.exists() and file.read_text() for file in pid_files) and time.monotonic() < deadline:
        time.sleep(0.05)

    # When the parent is stopped, or killed without a word
    parent.send_signal(by)

    # Then it ends, and the child and the grandchild with it
    assert parent.wait(10) == (143 if by == signal.SIGTERM else -signal.SIGKILL)
    assert all(gone(int(file.read_text())) for file in pid_files)


def test_output_that_is_no_text_or_that_nobody_can_take_does_not_stop_the_child():
    # Given a child that prints bytes of a broken file name, then more than a pipe holds, to a terminal that
    # has gone away
    told = []

    def output(line: str) -> None:
        told.append(line)
        raise OSError(5, "Input/output error")

    code = "import sys; sys.stdout.buffer.write(b'\\xff\\n' + b'line\\n' * 100_000); sys.exit(3)"
    limits = Limits(lambda: 20.0, idle_seconds=5.0)

    assert run_guarded(python(code), limits, lambda: "placing the photos", output=output) == 3
    assert told == ["\ufffd\n"]


def test_the_lines_of_a_child_are_handed_on_and_none_is_lost(tmp_path):
    lines: list[str] = []
    with (tmp_path / "log").open("w") as log:
        code = run_guarded(
            python("import sys; print('one'); print('two', end=''); print('oops', file=sys.stderr)"),
            Limits(lambda: 60),
            lambda: "talking",
            output=lines.append,
            log=log,
        )

    assert code == 0
    assert lines == ["one\n", "two"]
    assert (tmp_path / "log").read_text() == "oops\n"


def test_memory_that_others_took_is_not_held_against_a_small_child():
    assert not memory.MemoryState(held=300 << 20, available=100 << 20).is_nearly_out()
    assert memory.MemoryState(held=7 << 30, available=700 << 20).is_nearly_out()
    assert not memory.MemoryState(held=100 << 30, available=9 << 30).is_nearly_out()
