"""What a person at a terminal sees when the photos are placed: a few lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from spaceport.quality import GeorefNumbers, SfmReport

NAMED = 5  # photos that are named in a list; sfm.json has them all


def summary(report: SfmReport, out: Path) -> str:
    """The headline numbers of a finished run, what was left out, and what to do better next time."""
    return "\n".join(_lines(report, out))


def _lines(report: SfmReport, out: Path) -> Iterator[str]:
    photos, sfm = report.photos, report.sfm
    yield (
        f"{photos.registered} of {photos.given} photos placed, {sfm.points:,} points, "
        f"{sfm.reprojection_px:.2f} px, in {sfm.seconds:.0f} s ({sfm.cpu_seconds:.0f} CPU-seconds)"
    )
    yield _place(report.georef)
    yield from _named("refused", [f"{photo.name} {photo.reason}" for photo in photos.refused])
    yield from _named("used, but", [f"{photo.name} {photo.reason}" for photo in photos.warned])
    yield from _named("not placed", photos.unregistered)
    for advice in report.advice:
        yield f"{advice.message} {advice.hint}"
    yield f"Results are in {out / 'colmap'}"


def _place(georef: GeorefNumbers | None) -> str:
    if georef is None:
        return "No place on Earth and no north: GPS does not tell them."  # the advice tells of the size
    if (control := georef.control) is None:
        return f"On Earth by GPS: {_off(georef.rms_horizontal_m, georef.rms_vertical_m)} off it (RMS)"
    # How far the GPS is off would be read as the error of points that are surveyed to centimetres.
    off_points = _off(control.rms_horizontal_m, control.rms_vertical_m)
    told = f"On Earth by ground control: {off_points} off its {len(control.used)} points"
    if control.check_rms_horizontal_m is not None and control.check_rms_vertical_m is not None:
        told += f", {_off(control.check_rms_horizontal_m, control.check_rms_vertical_m)} off check points"
    return f"{told} (RMS)"


def _off(horizontal_m: float, vertical_m: float) -> str:
    return f"{horizontal_m:.2f} m horizontally and {vertical_m:.2f} m vertically"


def _named(what: str, entries: Sequence[str]) -> Iterator[str]:
    for entry in entries[:NAMED]:
        yield f"  {what}: {entry}"
    if len(entries) > NAMED:
        yield f"  {what}: {len(entries) - NAMED} more"
