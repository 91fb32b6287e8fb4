"""`training.log`: one JSON object a line, for people and for plots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LOG = "training.log"


class TrainingLog:
    """Appends to `file`; lines after iteration `resumed_at` are dropped, they will be written again.

    Each line has `iteration`, `event` and what the event tells.
    """

    def __init__(self, file: Path, resumed_at: int) -> None:
        self._file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        kept = _lines_up_to(file, resumed_at) if resumed_at else []
        file.write_text("".join(kept))

    def write(self, iteration: int, event: str, **values: Any) -> None:
        with self._file.open("a") as out:
            out.write(json.dumps({"iteration": iteration, "event": event, **values}) + "\n")


def _lines_up_to(file: Path, iteration: int) -> list[str]:
    if not file.exists():
        return []
    kept = []
    for line in file.read_text().splitlines():
        try:
            if json.loads(line)["iteration"] <= iteration:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            continue  # half a line, from a process that was killed while it wrote
    return kept
