"""`sfm.json`: what was measured, for the compression stage's `quality.json`."""

from __future__ import annotations

from collections.abc import Sequence

from spaceport.quality import Photos, SfmNumbers, SfmReport
from spaceport_sfm.phases import RunTimes
from spaceport_sfm.plan import ReconstructionOutcome


def report(unregistered: Sequence[str], outcome: ReconstructionOutcome, times: RunTimes) -> SfmReport:
    """The report of a run that left the photos `unregistered` over."""
    intake = outcome.intake
    return SfmReport(
        photos=Photos(
            given=len(intake.photos) + len(intake.refused),
            refused=list(intake.refused),
            warned=list(intake.warned),
            registered=len(outcome.registered),
            unregistered=list(unregistered),
        ),
        sfm=SfmNumbers(
            seconds=round(times.seconds, 2),
            cpu_seconds=round(times.cpu_seconds, 2),
            reprojection_px=outcome.reprojection_px,
            points=outcome.points,
            mean_track=outcome.mean_track,
            phases=list(times.phases),
            lenses=outcome.lenses,
            other_models=outcome.other_models,
            dense_seeds=outcome.dense_seeds,
        ),
        georef=outcome.georef.numbers if outcome.georef else None,
        advice=outcome.advice,
    )
