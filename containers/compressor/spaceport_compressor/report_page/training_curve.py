"""How training went: PSNR and the number of Gaussians over iterations, read from `training.log`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

# The drawing's size and the room around its axes, in its own pixels: narrow, so that it reads on a phone.
WIDTH, HEIGHT = 460, 250
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 26, 34
TICKS = 4  # about so many marks an axis


@dataclass(frozen=True)
class Entry:
    """One line of the log.

    Attributes:
        psnr_running: dB, running mean over the training photos at the size of this phase.
        psnr_tested: dB, over the fixed subset of training photos at full size, where it was tested.
        scale: of the photos in this phase, 1 = full size.
    """

    iteration: int
    psnr_running: float
    psnr_tested: float | None
    gaussians: int
    scale: float


@dataclass(frozen=True)
class Mark:
    """A tick of an axis: where, and what it says."""

    at: float
    label: str


@dataclass(frozen=True)
class Phase:
    """A stretch of the x axis with photos of one size."""

    start: float
    width: float
    label: str


@dataclass(frozen=True)
class Line:
    """`points` as an SVG polyline takes them; `kind` is its CSS class."""

    points: str
    kind: str


@dataclass(frozen=True)
class Chart:
    """All that one chart's SVG needs, in pixels of WIDTH × HEIGHT."""

    title: str
    described: str
    phases: tuple[Phase, ...]
    across: tuple[Mark, ...]
    up: tuple[Mark, ...]
    lines: tuple[Line, ...]
    dots: tuple[tuple[float, float], ...] = ()


def read_entries(log: Path) -> list[Entry]:
    """The steps that the log tells of, oldest first; lines of another kind or version are left out."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return [entry for line in lines if (entry := _entry(line))]


def draw_curves(entries: Sequence[Entry]) -> list[Chart]:
    """The charts of PSNR and of the Gaussians; none where the log tells of fewer than two steps."""
    if len(entries) < 2:
        return []
    last = entries[-1]
    tested = [(e.iteration, e.psnr_tested) for e in entries if e.psnr_tested is not None]
    running = [(e.iteration, e.psnr_running) for e in entries]
    counts = [(e.iteration, float(e.gaussians)) for e in entries]
    spread = [value for _, value in [*tested, *running]]
    x = _axis(0, last.iteration, LEFT, WIDTH - RIGHT)
    quality = _axis(min(spread), max(spread), HEIGHT - BOTTOM, TOP, whole=True)
    number = _axis(0, max(value for _, value in counts), HEIGHT - BOTTOM, TOP, whole=True)
    phases = tuple(_phases(entries, x))
    across = tuple(Mark(x(v), f"{v:,.0f}") for v in x.ticks)
    return [
        Chart(
            "PSNR of training photos, dB",
            f"From {running[0][1]:.1f} to {running[-1][1]:.1f} dB in {last.iteration:,} iterations.",
            phases,
            across,
            tuple(Mark(quality(v), f"{v:g}") for v in quality.ticks),
            (Line(_points(running, x, quality), "faint"), Line(_points(tested, x, quality), "strong")),
            tuple((round(x(i), 1), round(quality(v), 1)) for i, v in tested),
        ),
        Chart(
            "Gaussians in the model",
            f"From {counts[0][1]:,.0f} to {counts[-1][1]:,.0f} in {last.iteration:,} iterations.",
            phases,
            across,
            tuple(Mark(number(v), _thousands(v)) for v in number.ticks),
            (Line(_points(counts, x, number), "strong"),),
        ),
    ]


@dataclass(frozen=True)
class _Axis:
    """From values to pixels, with round values to mark."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def _axis(low: float, high: float, start: float, end: float, whole: bool = False) -> _Axis:
    """An axis over `low` to `high`; `whole` widens it to the marks around them."""
    span = (high - low) or 1.0
    power = 10.0 ** math.floor(math.log10(span / TICKS))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= span / TICKS)
    first, last = math.floor(low / step), math.ceil(max(high, low + span) / step)
    ticks = tuple(round(i * step, 10) for i in range(first, last + 1))
    if whole:
        return _Axis(ticks[0], ticks[-1], start, end, ticks)
    return _Axis(low, low + span, start, end, tuple(t for t in ticks if low <= t <= low + span))


def _phases(entries: Sequence[Entry], x: Callable[[float], float]) -> Iterator[Phase]:
    start = 0
    for scale, group in groupby(entries, key=lambda entry: entry.scale):
        end = max(entry.iteration for entry in group)
        yield Phase(x(start), x(end) - x(start), "full size" if scale == 1 else f"{100 * scale:.0f} %")
        start = end


def _points(
    values: Sequence[tuple[int, float]], x: Callable[[float], float], y: Callable[[float], float]
) -> str:
    return " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in values)


def _thousands(count: float) -> str:
    return f"{count / 1000:g}k" if count >= 1000 else f"{count:g}"


def _entry(line: str) -> Entry | None:
    try:
        told = json.loads(line)
        if told["event"] != "step":
            return None
        tested = told["psnr_subset"]
        return Entry(
            iteration=int(told["iteration"]),
            psnr_running=_finite(told["psnr_running"]),
            psnr_tested=None if tested is None else _finite(tested),
            gaussians=int(told["gaussians"]),
            scale=_finite(told["scale"]),
        )
    except (ValueError, KeyError, TypeError, OverflowError):
        return None  # a log is for people; a page without one curve beats no page


def _finite(value: Any) -> float:
    """`value` as a number that can be drawn. Raises ValueError for NaN and infinity, which JSON logs hold."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} can't be drawn")
    return number
