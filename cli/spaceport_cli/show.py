"""How a job is shown while it runs: a bar on a terminal, plain lines elsewhere, JSON lines for programs."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from spaceport_cli.job_status import JobStatus
from spaceport_cli.plain_text import printable
from spaceport_cli.wording import duration, elapsed, headline, live, size

LINE_INTERVAL_S = 5.0  # plain lines end in log files: one in five seconds tells enough
_WIDTH = 40  # columns of the bar; leaves room for the figures beside it on a terminal of 80


class Presenter(Protocol):
    """Shows one job from its upload to its end; used as a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def note(self, text: str) -> None:
        """Say something once."""

    def uploading(self, sent: int, total: int) -> None:
        """Tell how many bytes of the zip have been sent; called from several threads."""

    def update(self, status: JobStatus) -> None:
        """Show a newer status."""


def presenter_for(out: TextIO, err: TextIO, as_json: bool) -> Presenter:
    """The presenter that suits `out`: a terminal, a file or pipe, or a program that reads JSON."""
    if as_json:
        return JsonLines(out, err)
    return Bar(out) if out.isatty() else PlainLines(out)


class _Quiet:
    """A presenter that has nothing to put up or take down."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class JsonLines(_Quiet):
    """One JSON line on `out` for each status, as the cloud told it, and nothing else; words go to `err`."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out, self._err = out, err

    def note(self, text: str) -> None:
        print(printable(text), file=self._err, flush=True)

    def uploading(self, sent: int, total: int) -> None:
        return None

    def update(self, status: JobStatus) -> None:
        print(json.dumps(status.told), file=self._out, flush=True)


class PlainLines(_Quiet):
    """Lines without control codes: one for each change of stage or headline, else one in five seconds."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._out, self._clock = out, clock
        self._due = -math.inf
        self._shown: tuple[str, ...] = ()

    def note(self, text: str) -> None:
        print(printable(text), file=self._out, flush=True)

    def uploading(self, sent: int, total: int) -> None:
        if sent >= total or self._clock() >= self._due:
            self._line(f"Uploading: {size(sent)} of {size(total)}")

    def update(self, status: JobStatus) -> None:
        shown = (status.stage, headline(status))
        if shown == self._shown and not status.is_terminal and self._clock() < self._due:
            return
        self._shown = shown
        about = live(status)
        self._line(f"{status.progress:4.0%}  {headline(status)}" + (f": {about}" if about else ""))

    def _line(self, text: str) -> None:
        self._due = self._clock() + LINE_INTERVAL_S
        self.note(text)


class Bar:
    """A bar that stays at the foot of the terminal, with the stage, its live numbers and the time."""

    def __init__(self, out: TextIO, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._sent: tuple[int, int] | None = None
        self._status: JobStatus | None = None
        self._console = Console(file=out, highlight=False)
        self._live = Live(
            console=self._console, get_renderable=self._render, refresh_per_second=5, transient=True
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def note(self, text: str) -> None:
        self._console.print(printable(text), markup=False)

    def uploading(self, sent: int, total: int) -> None:
        self._sent = (sent, total)

    def update(self, status: JobStatus) -> None:
        self._status = status

    def _render(self) -> RenderableType:
        # Drawn by the bar's own thread: read each field once.
        status, sent = self._status, self._sent
        if status is not None:
            clock = duration(elapsed(status, self._now()))
            return _drawing(headline(status), status.progress, clock, live(status))
        if sent is not None:
            done, total = sent
            return _drawing(
                "Uploading your photos", done / max(total, 1), "", f"{size(done)} of {size(total)}"
            )
        return ""


def _drawing(title: str, fraction: float, clock: str, about: str) -> RenderableType:
    line = Table.grid(padding=(0, 1))
    line.add_row(ProgressBar(total=1.0, completed=fraction, width=_WIDTH), f"{fraction:4.0%}", clock)
    return Group(
        Text(title, style="bold", overflow="ellipsis", no_wrap=True),
        line,
        Text(about, style="dim", overflow="ellipsis", no_wrap=True),
    )
