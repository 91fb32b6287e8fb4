"""`spaceport doctor`: how the checks of a local cloud are told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from spaceport_cli.__main__ import main
from spaceport_cli.commands import doctor
from spaceport_cli.exits import ExitCode


@dataclass(frozen=True)
class Found:
    name: str
    passed: bool | None
    told: str
    mend: str = ""


GOOD, NOTE = Found("disk", True, "34 GB free"), Found("cuda", None, "no device")
BAD = Found(
    "viewer", False, "it is not installed: there is no /a/long/and/longer/folder/name/viewer", "Run it."
)


@pytest.fixture
def checked(monkeypatch):
    """Gives the local cloud these checks."""

    def give(*checks: Found) -> None:
        def run() -> Iterator[Found]:
            yield from checks

        monkeypatch.setattr(doctor, "local_cloud", lambda: SimpleNamespace(checks=run))

    return give


def test_each_check_is_a_line_and_what_is_only_good_to_know_fails_nothing(checked, capsys):
    checked(GOOD, NOTE)

    assert main(["doctor"]) == ExitCode.DONE

    assert capsys.readouterr().out == "✓ disk           34 GB free\n– cuda           no device\n"


def test_what_must_be_mended_says_how_and_fails(checked, capsys):
    checked(GOOD, BAD)

    assert main(["doctor"]) == ExitCode.FAULT

    out = capsys.readouterr().out
    assert "✗ viewer         it is not installed:" in out
    assert "                 → Run it." in out
    assert "1 of these must be mended" in out
    assert max(len(line) for line in out.splitlines()) < 80


def test_programs_get_a_line_a_check(checked, capsys):
    checked(GOOD, BAD)

    assert main(["doctor", "--json"]) == ExitCode.FAULT

    good, bad = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert good == {"check": "disk", "passed": True, "told": "34 GB free", "mend": None}
    assert (bad["passed"], bad["mend"]) == (False, "Run it.")


def test_of_a_stack_what_nobody_could_tell_is_a_question_and_fails_nothing(monkeypatch, capsys):
    found = [GOOD, Found("quotas", None, "not told: a right is missing", "Allow it.")]
    monkeypatch.setattr(doctor, "findings", lambda account, stack: iter(found))

    assert main(["doctor", "--stack", "drones"]) == ExitCode.DONE

    assert "? quotas         not told: a right is missing" in capsys.readouterr().out


def test_of_a_stack_what_must_be_mended_fails(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "findings", lambda account, stack: iter([GOOD, BAD]))

    assert main(["doctor", "--stack", "drones"]) == ExitCode.FAULT

    assert "before drones can make a model" in capsys.readouterr().out
