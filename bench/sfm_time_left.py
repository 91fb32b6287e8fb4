"""How honest is "about N s left": what a run was told of its time left, and what it then took?

    python bench/sfm_time_left.py [PHOTOS.zip | TRACE.json ...] [--set sfm_max_size=640 ...] [--keep FOLDER]
        [--phase matching=10.3/18.8 ...]

Runs SfM on each zip and notes when each step told how far it was; `--keep` writes these traces, which are
small. Then plays each trace to `pace.Pace` by a clock of its own and prints Markdown: the seconds left that
were told when 10, 25, 50, 75 and 90 % of the run's time had passed, beside the seconds that it did take from
then on; and the longest time in which the progress stood still. A kept trace can be played again, so that a
change of the estimate is judged by the same runs; `--phase` plays it as if a phase had taken so many wall /
CPU seconds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from machine import machine
from pydantic import BaseModel, ConfigDict

from spaceport.time_left import SECONDS_LEFT
from spaceport.tuning import Tuning, parse_request, resolve
from spaceport_sfm.intake.photo_intake import Intake
from spaceport_sfm.mapping.matching import matched_features
from spaceport_sfm.pace import TICK_S, Moment, Pace
from spaceport_sfm.pairing.pairs import plan_pairs
from spaceport_sfm.phases import Ledger, Phase
from spaceport_sfm.plan import ReconstructionPlan
from spaceport_sfm.reconstruction import available_cores, reconstruct
from spaceport_sfm.steps import CHECKING, MAPPING, Step, step_of
from spaceport_sfm.workload import Workload, expected_efforts, expected_efforts_after_matching

SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)  # of a run's time


class Trace(BaseModel):
    """What the steps of one run told, and when.

    Attributes:
        name: of the photos and settings.
        machine: which one it was, and its load.
        told: seconds since the run began, CPU-seconds, step, fraction of it.
        seconds: of the whole run.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    machine: str
    work: Workload
    matched_features: int
    told: tuple[tuple[float, float, Phase, float], ...]
    seconds: float

    def stretched(self, times: Mapping[Phase, Moment]) -> Trace:
        """The trace as if phases had taken the seconds in `times`: a busy machine's as of a quiet one."""
        phases = list(dict.fromkeys(phase for _, _, phase, _ in self.told))
        began = [next(Moment(at, cpu) for at, cpu, of, _ in self.told if of == phase) for phase in phases]
        told: list[tuple[float, float, Phase, float]] = []
        wall = cpu = 0.0
        for phase, begin, end in zip(
            phases, began, [*began[1:], Moment(self.seconds, self.told[-1][1])], strict=True
        ):
            took = end.since(begin)
            now = times.get(phase, took)
            paces = Moment(now.wall / took.wall, now.cpu / took.cpu if took.cpu else 1.0)
            for at, cpu_at, of, fraction in self.told:
                if of == phase:
                    since = Moment(at, cpu_at).since(begin)
                    told.append((wall + paces.wall * since.wall, cpu + paces.cpu * since.cpu, of, fraction))
            wall, cpu = wall + now.wall, cpu + now.cpu
        return self.model_copy(update={"told": tuple(told), "seconds": wall})


@dataclass(frozen=True)
class Told:
    """One progress line: when, how much of the stage, and the seconds left if they were known."""

    at: float
    fraction: float
    left: float | None


class RecordingPace(Pace):
    """A pace that notes what it is told."""

    def __init__(self) -> None:
        super().__init__(lambda fraction, message="", **metrics: None)
        self._start, self._start_cpu = time.monotonic(), time.process_time()
        self.noted: list[tuple[float, float, Phase, float]] = []

    def __call__(self, step: Step, fraction: float, **metrics: float) -> None:
        cpu = time.process_time() - self._start_cpu
        self.noted.append((round(self.passed(), 2), round(cpu, 2), step.phase, round(fraction, 3)))
        super().__call__(step, fraction, **metrics)

    def passed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._start


def record(photos: Path, settings: Sequence[str]) -> Trace:
    """The trace of a run on `photos`, in this process."""
    tuning: Tuning = resolve(parse_request(dict(setting.split("=", 1) for setting in settings)))
    with tempfile.TemporaryDirectory(prefix="sfm-time-left-") as folder:
        out = Path(folder)
        plan = ReconstructionPlan(
            source=photos.absolute(),
            tuning=tuning,
            photo_folder=out / "extracted",
            output=out / "colmap",
            work=out / "work",
        )
        plan.output.mkdir()
        ledger = Ledger.open(plan.work, inputs=str(photos))
        pace = RecordingPace()
        reconstruct(plan, pace)
        seconds = pace.passed()
        intake = ledger.result(Phase.PHOTOS, Intake)
        assert intake is not None
        pairs = plan_pairs(intake.photos, tuning.sfm_pairs).pairs
        return Trace(
            name=" ".join([photos.stem, *settings]),
            machine=machine("pycolmap"),
            work=Workload.of(intake.photos, len(pairs), available_cores()),
            matched_features=matched_features(plan.database),
            told=tuple(pace.noted),
            seconds=round(seconds, 2),
        )


def replay(trace: Trace) -> list[Told]:
    """What the run would be told now: `reconstruct`'s calls of its `Pace`, at the trace's times."""
    now = cpu = 0.0
    lines: list[Told] = []

    def note(fraction: float, message: str = "", **metrics: float) -> None:
        lines.append(Told(now, fraction, metrics.get(SECONDS_LEFT)))

    pace = Pace(note, lambda: now, lambda: cpu)
    begun: set[Step] = set()
    for at, told in _with_ticks(trace):
        now = at
        if told is None:
            pace.tick()
            continue
        cpu, step, fraction = told
        if step != CHECKING and begun == {CHECKING}:
            pace.expect(expected_efforts(trace.work, seeds=False))
        if step == MAPPING and step not in begun:
            pace.expect(expected_efforts_after_matching(trace.matched_features))
        begun.add(step)
        pace(step, fraction)
    return lines


def _with_ticks(trace: Trace) -> Iterator[tuple[float, tuple[float, Step, float] | None]]:
    """The trace's time and what was told then; None for a tick between."""
    tick = TICK_S
    for at, cpu, phase, fraction in trace.told:
        while tick < at:
            yield tick, None
            tick += TICK_S
        yield at, (cpu, step_of(phase), fraction)
    while tick < trace.seconds:
        yield tick, None
        tick += TICK_S


def told_and_true(trace: Trace, share: float) -> tuple[float | None, float]:
    """Seconds left, as told last when `share` of the run's time had passed, and as they were."""
    at = share * trace.seconds
    last = [line for line in replay(trace) if line.at <= at][-1]
    left = None if last.left is None else last.left - (at - last.at)
    return left, trace.seconds - at


def longest_standstill(trace: Trace) -> float:
    """Seconds without a rise of the progress."""
    rises = [0.0]
    risen = 0.0
    for line in replay(trace):
        if line.fraction > risen:
            risen = line.fraction
            rises.append(line.at)
    return max(later - earlier for earlier, later in pairwise([*rises, trace.seconds]))


def table(traces: Sequence[Trace]) -> str:
    """What was told over what was true, as Markdown."""
    lines = [
        f"| told / true s left after | {' | '.join(f'{share:.0%}' for share in SHARES)} | standstill s |",
        f"| --- |{' ---: |' * (len(SHARES) + 1)}",
    ]
    for trace in traces:
        cells = []
        for share in SHARES:
            told, true = told_and_true(trace, share)
            cells.append("unknown" if told is None else f"{told:.0f} / {true:.0f} ({told / true - 1:+.0%})")
        lines.append(
            f"| {trace.name}, {trace.seconds:.0f} s | {' | '.join(cells)} | {longest_standstill(trace):.1f} |"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="*", type=Path, default=[Path("../shared/data/brighton_beach.zip")])
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--phase", dest="phases", action="append", default=[], metavar="NAME=WALL/CPU")
    parser.add_argument("--keep", type=Path, help="write the traces of the runs here")
    given = parser.parse_args()
    traces = []
    for source in given.sources:
        if source.suffix == ".json":
            traces.append(Trace.model_validate_json(source.read_bytes()))
            continue
        trace = record(source, given.settings)
        traces.append(trace)
        if given.keep:
            given.keep.mkdir(parents=True, exist_ok=True)
            (given.keep / f"{trace.name}.json").write_text(trace.model_dump_json())
    phases = dict(phase.split("=", 1) for phase in given.phases)
    if phases:
        times = {Phase(name): Moment(*map(float, text.split("/"))) for name, text in phases.items()}
        traces = [trace.stretched(times) for trace in traces]
    print("\n".join(f"{trace.name}: {trace.machine}" for trace in traces), table(traces), sep="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
