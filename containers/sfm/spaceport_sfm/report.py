"""`sfm.json`: what was measured, for the compression stage's `quality.json`."""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from spaceport.quality import Photos, RefusedPhoto, SfmNumbers, SfmReport
from spaceport_sfm.plan import ReconstructionOutcome


def _cpu_seconds() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


@dataclass(frozen=True)
class Stopwatch:
    """Wall and CPU seconds since it was made; CPU seconds are ours and those of children that ended."""

    _wall: float = field(default_factory=time.monotonic)
    _cpu: float = field(default_factory=_cpu_seconds)

    def wall(self) -> float:
        return time.monotonic() - self._wall

    def cpu(self) -> float:
        return _cpu_seconds() - self._cpu


def report(
    given: int,
    refused: Sequence[RefusedPhoto],
    unregistered: Sequence[str],
    outcome: ReconstructionOutcome,
    stopwatch: Stopwatch,
) -> SfmReport:
    """The report of a run: `given` photos, `refused` of them left out, `unregistered` fitting nowhere."""
    return SfmReport(
        photos=Photos(
            given=given,
            refused=list(refused),
            registered=len(outcome.registered),
            unregistered=list(unregistered),
        ),
        sfm=SfmNumbers(
            seconds=round(stopwatch.wall(), 2),
            cpu_seconds=round(stopwatch.cpu(), 2),
            reprojection_px=outcome.reprojection_px,
            points=outcome.points,
            mean_track=outcome.mean_track,
        ),
        georef=outcome.georef.numbers if outcome.georef else None,
    )
