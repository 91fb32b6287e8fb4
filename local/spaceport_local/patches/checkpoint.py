"""Save the engine's state while it runs: MiniStack saves only when it is stopped in good order.

A save is of one moment for each service, and makes the journal of what came before it superfluous
(`durability.py`). While a stack is made, changed or deleted nothing is saved: half a stack in a save could
neither be finished nor be made again. A change that begins while a save is under way makes that save void:
all services' states are written beside those of the last one, and take their places only if none has begun.
The end of a change is saved before anybody can see it.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ministack import app
from ministack.core import persistence
from ministack.core.responses import AccountRegionScopedDict, AccountScopedDict
from ministack.services import cloudformation
from ministack.services.cloudformation import stacks

from spaceport_local.journal import Journal
from spaceport_local.patches.seams import Seam

SEAMS = (
    Seam("app:_build_persistence_save_dict", "9a6393cc953d"),
    Seam("core.persistence:save_all", "ea253a04fd05"),
    Seam("core.persistence:save_state", "58a955110973"),
    Seam("core.persistence:_json_default", "495d9abe01cb"),
    Seam("core.persistence:_state_format_version", "049e2cc0f75d"),
    Seam("services.cloudformation.stacks:_deploy_stack_async", "34c0aed718d8"),
    Seam("services.cloudformation.stacks:_add_event", "0adea13d13a6"),
)
IN_PROGRESS = "_IN_PROGRESS"
DRAFT = ".tmp"
# How deep a state is taken apart: a hundred thousand log lines in one piece keep every other thread waiting
# for 0.12 s.
# CloudWatch has its streams below payload, groups, scope, group and "streams".
LEVELS = 7
ATTEMPTS = 3  # a service may change its state while it is read

logger = logging.getLogger(__name__)
_saving = threading.Lock()
_journal: Journal | None = None
_stack_events = 0  # so far; each step of a stack's change makes one or more


def install(journal: Journal) -> None:
    global _journal  # noqa: PLW0603  MiniStack calls module functions: the journal must be found from them
    _journal = journal
    add_event = stacks._add_event

    def add_event_and_save(
        stack_id: str, stack: str, logical_id: str, kind: str, status: str, *rest: Any, **options: Any
    ) -> None:
        global _stack_events  # noqa: PLW0603  as above
        add_event(stack_id, stack, logical_id, kind, status, *rest, **options)
        _stack_events += 1  # by the one loop that changes stacks
        if logical_id == stack and not status.endswith(IN_PROGRESS):
            save()  # in the loop that answers requests: none can tell of the end before this returns

    stacks._add_event = add_event_and_save
    app.save_all = lambda services: save()


def save() -> bool:
    """Write every service's state, each file as a whole; whether that was done."""
    with _saving:
        before = _stack_events
        if _journal is None or _is_changing_a_stack():
            return False
        try:
            superfluous = _journal.rotate()
        except OSError as error:  # the disk is full: the next save may find room
            logger.warning("the journal could not begin a new segment: %r", error)
            return False
        drafts, are_all = _drafts(app._build_persistence_save_dict())
        # A change that has begun since then is not over yet, or has made events.
        if _is_changing_a_stack() or _stack_events != before:
            return False
        try:
            for draft in drafts:
                draft.replace(draft.with_suffix(""))
        except OSError as error:
            logger.warning("the state could not be saved: %r", error)
            return False
        if not are_all:
            return False  # what the journal holds may be only there
        _journal.forget(superfluous)
    return True


def _is_changing_a_stack() -> bool:
    return any(
        stack.get("StackStatus", "").endswith(IN_PROGRESS)
        and stack["StackStatus"] != "REVIEW_IN_PROGRESS"  # a change set that nobody has executed
        for stack in list(cloudformation._stacks._data.values())
    )


def _drafts(services: Mapping[str, Callable[[], Any]]) -> tuple[list[Path], bool]:
    """Each service's state, in a file beside that of its last save; and whether all could be written."""
    drafts, are_all = [], True
    for name, get_state in services.items():
        try:
            draft = _draft(name, get_state)
        except Exception as error:
            logger.warning("the state of %s could not be saved: %r", name, error)
            are_all = False
        else:
            drafts += [draft] if draft else []
    return drafts, are_all


def _draft(name: str, get_state: Callable[[], Any]) -> Path | None:
    """As MiniStack's own `save_state`, which hides a failure, but beside the file; None: it has no state."""
    for _ in range(ATTEMPTS - 1):
        with suppress(Exception):
            return _written(name, get_state())
    return _written(name, get_state())


def _written(name: str, state: Any) -> Path | None:
    if state is None:
        return None
    content = {"__ministack_format__": persistence._state_format_version(name), "payload": state}
    draft = Path(persistence.STATE_DIR, f"{name}.json{DRAFT}")
    draft.parent.mkdir(parents=True, exist_ok=True)
    with draft.open("w") as out:
        out.writelines(_pieces(content))
    return draft


def _pieces(value: Any, levels: int = LEVELS) -> Iterator[str]:
    """`value` as JSON, in pieces between which other threads have their turn."""
    if isinstance(value, AccountRegionScopedDict | AccountScopedDict):
        value = persistence._json_default(value)
    if not levels or not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        yield json.dumps(value, default=persistence._json_default)
        return
    before = "{"
    for key, part in value.items():
        yield f"{before}{json.dumps(key)}:"
        yield from _pieces(part, levels - 1)
        before = ","
    yield "}" if value else "{}"
