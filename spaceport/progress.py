"""The progress line: one JSON object on a job program's standard output.

Job programs know nothing of AWS: they print, CloudWatch Logs carries the line, `record_progress` parses it.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TextIO

from spaceport.stages import JOB_STAGES, Stage

MARK = "spaceport"  # the subscription filter is { $.spaceport = 1 }
MAX_MESSAGE = 200  # characters; it is one line on a phone
MAX_METRIC = 1e100  # far above any measure, far below what DynamoDB refuses
_METRIC_NAME = re.compile(r"^[a-z][a-z0-9_]{0,39}$")
MIN_INTERVAL_S = 1.0  # at most one line a second: every line is one write to the job's row


class Progress(Protocol):
    """The callback that everything below a program's edge reports to."""

    def __call__(self, fraction: float, message: str = "", **metrics: float) -> None:
        """Tell that `fraction` (0..1) of the stage is done; `metrics` are named numbers to show."""


def part_of(progress: Progress, first: float, last: float) -> Progress:
    """`progress` for a piece of the stage that lies between the fractions `first` and `last`."""

    def tell(fraction: float, message: str = "", **metrics: float) -> None:
        progress(first + fraction * (last - first), message, **metrics)

    return tell


@dataclass(frozen=True)
class ProgressLine:
    """One progress line: which stage, how far (0..1), what is being done, and live numbers."""

    stage: str
    progress: float
    message: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(
            {
                MARK: 1,
                "stage": self.stage,
                "progress": round(self.progress, 4),
                "message": self.message,
                "metrics": dict(self.metrics),
            }
        )


def parse_line(text: str) -> ProgressLine | None:
    """The progress line that `text` is, or None where it is an ordinary log line.

    Lines come from outside (the log groups belong to the whole account), so anything that
    does not fit the contract exactly is None, never an error.
    """
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):  # the latter of what is nested too deep
        return None
    if not isinstance(raw, dict) or raw.get(MARK) != 1:
        return None
    stage, fraction = raw.get("stage"), _number(raw.get("progress"))
    message, metrics = raw.get("message", ""), raw.get("metrics", {})
    if stage not in {known.name for known in JOB_STAGES} or fraction is None or not 0.0 <= fraction <= 1.0:
        return None
    if not isinstance(message, str) or not isinstance(metrics, dict):
        return None
    numbers = {name: _number(value) for name, value in metrics.items() if _METRIC_NAME.match(name)}
    return ProgressLine(
        stage, fraction, message[:MAX_MESSAGE], {k: v for k, v in numbers.items() if v is not None}
    )


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < MAX_METRIC:
        return None
    return round(float(value), 9)


class ProgressWriter:
    """Writes progress lines to `out`, at most one a second; the line that ends the stage always gets out."""

    def __init__(self, stage: Stage, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stage = stage
        self._out = out
        self._clock = clock
        self._written_at = -math.inf
        self._metrics: dict[str, float] = {}

    def __call__(self, fraction: float, message: str = "", **metrics: float) -> None:
        """Write one line, unless the last was written under a second ago and this is not the end.

        Numbers of a line that is held back go out with the next one.
        """
        finite = {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
        self._metrics.update(finite)
        now = self._clock()
        if fraction < 1.0 and now - self._written_at < MIN_INTERVAL_S:
            return
        self._written_at = now
        line = ProgressLine(self._stage.name, min(max(fraction, 0.0), 1.0), message, self._metrics)
        self._out.write(line.to_json() + "\n")
        self._out.flush()
        self._metrics = {}
