"""What an engine has done since its last save: an append-only file that a kill can't take back.

The state is saved as a whole every few seconds; what somebody was told in between is here, a line for each
change, written before the change is told. A save makes the lines before it superfluous:

    segments = journal.rotate()    # later changes go into a new segment
    ...save everything...
    journal.forget(segments)       # what they hold is in the save

Changes are applied again in order at the next start, on top of a save that may hold some of them already:
each entry must tell what became, not how it changed. Lines reach the operating system, not the disk's
platter: they survive the end of the process, not the loss of power.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SUFFIX = ".jsonl"
BEGUN, DONE = "begun", "done"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """Work that was promised when a caller was answered: it is done again after a kill."""

    id: int
    kind: str
    details: Any


@dataclass
class Journal:
    """The journal in `folder`. Entries and details are JSON.

    `lock` may be held around a change and its entry, so that no reader sees the one without the other.
    """

    folder: Path
    lock: threading.RLock = field(default_factory=threading.RLock)
    _open: dict[int, Task] = field(default_factory=dict)
    _file: int | None = None

    def __post_init__(self) -> None:
        """Read what earlier engines left."""
        self._segments = sorted(self.folder.glob(f"*{SUFFIX}"))
        self._entries = [entry for segment in self._segments for entry in _lines(segment)]
        for kind, content in self._entries:
            if kind == BEGUN:
                task = Task(*content)
                self._open[task.id] = task
            elif kind == DONE:
                self._open.pop(content, None)
        self._ids = itertools.count(max(self._open, default=0) + 1)
        last = self._segments[-1].stem if self._segments else "0"
        self._numbers = itertools.count(int(last) + 1)

    def earlier(self, kind: str) -> list[Any]:
        """The entries of a kind that earlier engines left and no save has made superfluous, oldest first."""
        return [content for found, content in self._entries if found == kind]

    def append(self, kind: str, content: Any) -> None:
        """Write an entry. When this returns, a kill of the process doesn't lose it.

        Raises:
            OSError: it could not be written, as on a full disk; then nothing of it is.
        """
        line = json.dumps([kind, content], separators=(",", ":"))
        with self.lock:
            file = self._begin_segment() if self._file is None else self._file
            _write(file, line.encode() + b"\n")

    def append_or_log(self, kind: str, content: Any) -> None:
        """As `append`, for what is done and must be told even where a kill would take it back."""
        try:
            self.append(kind, content)
        except OSError:
            logger.exception("a kill would lose this: %s %.300r", kind, content)

    def begin(self, kind: str, details: Any) -> Task:
        """Promise work; until `finish` it is among the `unfinished` of a next engine."""
        with self.lock:
            task = Task(next(self._ids), kind, details)
            self.append(BEGUN, [task.id, task.kind, task.details])
            self._open[task.id] = task
        return task

    def finish(self, task: Task) -> None:
        with self.lock:
            if self._open.pop(task.id, None):
                self.append_or_log(DONE, task.id)

    def unfinished(self) -> list[Task]:
        """The work that is promised and not done."""
        with self.lock:
            return list(self._open.values())

    def rotate(self) -> list[Path]:
        """Begin a new segment; the earlier ones, which a save that begins now makes superfluous."""
        with self.lock:
            earlier = list(self._segments)
            self._begin_segment()
            for task in self._open.values():
                self.append(BEGUN, [task.id, task.kind, task.details])
        return earlier

    def forget(self, segments: list[Path]) -> None:
        """Remove segments that a finished save has made superfluous; `earlier` has nothing more to tell."""
        with self.lock:
            self._entries.clear()
            for segment in segments:
                segment.unlink(missing_ok=True)
                self._segments.remove(segment)

    def _begin_segment(self) -> int:
        """The file that is written to from now on; where it can't be made, the last one stays that."""
        self.folder.mkdir(parents=True, exist_ok=True)
        segment = self.folder / f"{next(self._numbers):012d}{SUFFIX}"
        last, self._file = self._file, os.open(segment, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._segments.append(segment)
        if last is not None:
            os.close(last)
        return self._file


def _write(file: int, line: bytes) -> None:
    """Write `line`, or nothing: the next line would be lost with what is torn before it."""
    end = os.fstat(file).st_size
    try:
        while line:  # a write may take only a part
            line = line[os.write(file, line) :]
    except OSError:
        os.ftruncate(file, end)
        raise


def _lines(segment: Path) -> Iterator[tuple[str, Any]]:
    """A segment's entries; the last line may be torn: nobody was told of it."""
    for line in segment.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):
            kind, content = json.loads(line)
            yield kind, content
