"""What SfM made of the photos, looked at before a GPU is paid for. Pure.

What the row is told while the job still runs: the numbers, and SfM's own advice. And a scene that training
would refuse is refused here, in the same words.
"""

from __future__ import annotations

from dataclasses import dataclass

from spaceport.errors import UserError
from spaceport.quality import SfmReport

MIN_POINTS = 50  # fewer cover no scene: training would only smear them over the photos
MIN_PHOTOS = 2  # one photo says nothing of depth


@dataclass(frozen=True)
class SceneFindings:
    """What the row is told of a scene: numbers by their names in `metrics`, and advice in sentences."""

    metrics: dict[str, float]
    advice: list[str]


def check_scene(report: SfmReport) -> SceneFindings:
    """What to tell of the scene that `report` is of.

    Raises:
        UserError: `too_few_photos`, `too_few_points` where it can't be trained.
    """
    if report.photos.registered < MIN_PHOTOS:
        raise UserError(
            "too_few_photos",
            f"Training needs at least {MIN_PHOTOS} photos, but only {report.photos.registered} of "
            f"{report.photos.given} found a place in the model.",
            "Add photos that overlap by 70 % or more.",
        )
    points = report.sfm.points + report.sfm.dense_seeds
    if points < MIN_POINTS:
        raise too_few_points(points)
    numbers = {
        "photos": report.photos.given,
        "registered": report.photos.registered,
        "points": report.sfm.points,
        "reprojection_px": report.sfm.reprojection_px,
        "rms_horizontal_m": report.georef.rms_horizontal_m if report.georef else None,
        "rms_vertical_m": report.georef.rms_vertical_m if report.georef else None,
    }
    return SceneFindings(
        metrics={name: float(value) for name, value in numbers.items() if value is not None},
        advice=[advice.text for advice in report.advice],
    )


def too_few_points(points: int) -> UserError:
    """That `points` points, which the photos share, are too few to train from."""
    return UserError(
        "too_few_points",
        f"The photos share only {points} points in space, and training needs {MIN_POINTS}.",
        "Take photos that overlap by 70 % or more and show textured ground.",
    )
