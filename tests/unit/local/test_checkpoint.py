"""A save of the local cloud's state is of whole stacks, whatever begins, or kills it, in its middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ministack import app
from ministack.core import persistence
from ministack.core.responses import AccountRegionScopedDict
from ministack.services import cloudformation
from ministack.services.cloudformation import stacks

from spaceport_local.journal import Journal
from spaceport_local.patches import checkpoint

STACK, STACK_ID = "one", "arn:aws:cloudformation:us-east-1:000000000000:stack/one/1"
KILLED = f"""
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_checkpoint import Engine
engine = Engine(Path(sys.argv[1]), setattr)
engine.save(1)
engine.save(2, then=lambda: os.kill(os.getpid(), signal.SIGKILL))
"""


class Engine:
    """Two services, one of which is asked for its state after the other, and a stack that is made of both."""

    def __init__(self, folder: Path, replace: Callable[[Any, str, Any], None]) -> None:
        replace(persistence, "STATE_DIR", str(folder))
        replace(stacks, "_add_event", lambda *event, **options: None)
        replace(app, "save_all", None)
        self._folder = folder
        self._replace = replace
        checkpoint.install(Journal(folder / "journal"))

    def save(self, number: int, then: Callable[[], None] = lambda: None) -> bool:
        """Save; between the first service's state and the second's, `then` happens, once."""
        happens = [then]

        def second() -> dict[str, int]:
            if happens:
                happens.pop()()
            return {"number": number}

        self._replace(
            app, "_build_persistence_save_dict", lambda: {"a": lambda: {"number": number}, "b": second}
        )
        return checkpoint.save()

    @property
    def saved(self) -> list[int]:
        """The number of the save that each service's file is of."""
        return [json.loads((self._folder / f"{name}.json").read_text())["payload"]["number"] for name in "ab"]

    def step(self, status: str, of: str = STACK) -> None:
        """The stack comes to a status, or a resource of it does."""
        if of == STACK:
            cloudformation._stacks[STACK] = {"StackName": STACK, "StackId": STACK_ID, "StackStatus": status}
        stacks._add_event(STACK_ID, STACK, of, "AWS::CloudFormation::Stack", status)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setattr(checkpoint, "_journal", None)
    engine = Engine(tmp_path, monkeypatch.setattr)
    assert engine.save(1)
    yield engine
    cloudformation._stacks.pop(STACK, None)


def test_nothing_is_saved_while_a_stack_is_made(engine: Engine) -> None:
    engine.step("CREATE_IN_PROGRESS")
    assert not engine.save(2)
    assert engine.saved == [1, 1]


def test_a_stack_that_begins_in_a_saves_middle_makes_it_void(engine: Engine) -> None:
    # When it begins between two services' states
    assert not engine.save(2, then=lambda: engine.step("CREATE_IN_PROGRESS"))
    # Then both are as they were before, and a kill now finds no half of it
    assert engine.saved == [1, 1]
    # And its end, which is a save of its own, is saved whole
    engine.step("CREATE_COMPLETE")
    assert engine.saved == [2, 2]


def test_a_stack_that_is_made_in_a_saves_middle_makes_it_void(engine: Engine, monkeypatch) -> None:
    # Given an end that can't be saved, or a save would follow at once
    def made() -> None:
        with monkeypatch.context() as full_disk:
            full_disk.setattr(checkpoint, "save", lambda: False)
            engine.step("CREATE_IN_PROGRESS")
            engine.step("CREATE_COMPLETE")

    # When it begins and ends between two services' states
    assert not engine.save(2, then=made)
    # Then the save of before stays, and the next one is whole
    assert engine.saved == [1, 1]
    assert engine.save(3)
    assert engine.saved == [3, 3]


def test_a_kill_in_a_saves_middle_leaves_the_save_of_before(tmp_path: Path) -> None:
    # Given an engine that is killed when it has written one service's state of two
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], env=os.environ, timeout=120, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    # Then what the next one reads is all of one save
    left = [json.loads((tmp_path / f"{name}.json").read_text())["payload"]["number"] for name in "ab"]
    assert left == [1, 1]
    # And the journal still has what came after it
    assert Journal(tmp_path / "journal").rotate()


def test_a_state_in_pieces_is_the_same_and_no_piece_is_long() -> None:
    # Given a service with many streams of log lines, and what is no JSON by itself
    groups = AccountRegionScopedDict()
    streams = {f"stream {n} »": {"events": [{"message": "x" * 100}] * 3} for n in range(1000)}
    groups.set_scoped("000000000000", "us-east-1", "group", {"streams": streams, "tags": {}})
    state = {"log_groups": groups, "none": None, "bytes": b"\x00\xff", "numbers": {1: [2.5, True]}}
    # When it is written
    pieces = list(checkpoint._pieces({"payload": state}))
    # Then it is what MiniStack would have written
    whole = json.dumps({"payload": state}, default=persistence._json_default)
    assert json.loads("".join(pieces)) == json.loads(whole)
    assert max(map(len, pieces)) < 1000
