"""What is compressed: the model, and all that is known of it. Only the model must be there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spaceport.errors import UserError
from spaceport.quality import ControlPointNumbers, Origin, SfmReport, TrainingReport
from spaceport_compressor.cleaning.broken import without_broken
from spaceport_compressor.cleaning.flight import Flight
from spaceport_compressor.formats.y_up import turned
from spaceport_compressor.judging.fidelity import (
    Reference,
    references_of,
    references_without_photos,
    split_views,
)
from spaceport_compressor.judging.orbit import OVERVIEWS, orbit_around
from spaceport_compressor.origin import check_near_origin
from spaceport_compressor.quality_report import read_report
from spaceport_compressor.viewer.camera import WORLD_TO_VIEWER
from spaceport_render.camera import Camera
from spaceport_render.gaussians import Gaussians
from spaceport_render.holdout import fixed_subset
from spaceport_render.ply import read_ply
from spaceport_render.scene import View, read_scene


class Up(StrEnum):
    """The axis that points up: ours is z, that of most trainers on COLMAP's poses about -y."""

    Z = "z"
    Y = "y"
    MINUS_Y = "-y"

    @property
    def to_ours(self) -> NDArray[np.float64]:
        """(3, 3), the turn after which z is up."""
        return {Up.Z: np.eye(3), Up.Y: WORLD_TO_VIEWER.T, Up.MINUS_Y: WORLD_TO_VIEWER}[self]


@dataclass(frozen=True)
class Source:
    """Where the model and what is known of it are.

    Attributes:
        model: the trained splat, a PLY file.
        metrics: training's report; None: another trainer's model, which has none.
        scene: the folder of the photos and poses that it was trained on, undistorted; None: not at hand.
        sfm: SfM's report of them; None: poses of other origin.
        up: which way is up in the model's file. Of a model with a scene it is z.
    """

    model: Path
    metrics: Path | None = None
    scene: Path | None = None
    sfm: Path | None = None
    up: Up = Up.Z


@dataclass(frozen=True)
class Subject:
    """The model, and what tells how good it is.

    Attributes:
        trained_on: views that may steer what is delivered; empty where no scene was given.
        held: views kept away from training, which judge at the end and steer nothing.
        broken: how many Gaussians of the model could not be drawn, and are not in `trained`.
        points: (M, 3) SfM's; none where no scene was given.
        orbit: made-up cameras to look from where there is no scene; else empty.
    """

    trained: Gaussians
    sfm: SfmReport | None
    training: TrainingReport | None
    trained_on: tuple[View, ...]
    held: tuple[View, ...]
    broken: int
    points: NDArray[np.float32]
    orbit: tuple[Camera, ...]

    @property
    def views(self) -> tuple[View, ...]:
        """All of the scene's, by name."""
        return tuple(sorted((*self.trained_on, *self.held), key=lambda view: view.camera.name))

    @property
    def cameras(self) -> tuple[Camera, ...]:
        """Where to see the model from: the flight's cameras where it is known; at least one."""
        return tuple(view.camera for view in self.views) or self.orbit

    @property
    def steering_cameras(self) -> tuple[Camera, ...]:
        """Where the model may be looked at from to choose what is delivered: never a held-out photo's."""
        return tuple(view.camera for view in self.trained_on) or self.orbit

    @property
    def flight(self) -> Flight | None:
        """What may tell which Gaussians are wrong; None where the scene was not given, or has no points."""
        if not self.trained_on or not len(self.points):
            return None
        return Flight(tuple(view.camera for view in self.trained_on), self.points)

    @property
    def origin(self) -> Origin | None:
        """Where on Earth the model's zero is; None where nothing tells."""
        return self.sfm.georef.origin if self.sfm and self.sfm.georef else None

    @property
    def control_points(self) -> tuple[ControlPointNumbers, ...]:
        """Ground control that was found in the scene; empty without any."""
        georef = self.sfm.georef if self.sfm else None
        return tuple(georef.control.points) if georef and georef.control else ()

    @property
    def judged_views(self) -> tuple[View, ...]:
        """What judges the delivered model: the held-out views, else a fixed few; without a scene none."""
        return self.held or fixed_subset(self.trained_on)

    def steering_references(self, model: Gaussians) -> tuple[Reference, ...]:
        """Pictures of `model` by which its file's precision is chosen: at no held-out view."""
        return self._references(model, fixed_subset(self.trained_on))

    def judging_references(self, model: Gaussians) -> tuple[Reference, ...]:
        """Pictures of `model` that what became of it is held against."""
        return self._references(model, self.judged_views)

    def _references(self, model: Gaussians, views: tuple[View, ...]) -> tuple[Reference, ...]:
        if not views:
            return references_without_photos(model, self.orbit[OVERVIEWS:])
        return references_of(model, views)


def read_subject(source: Source, max_size: int) -> Subject:
    """Read all that `source` names.

    Args:
        max_size: longer side of the pictures that judge, pixels; training's own.

    Raises:
        UserError: something named is missing or not what it should be.
    """
    sfm = None if source.sfm is None else read_report(source.sfm, SfmReport)
    training = None if source.metrics is None else read_report(source.metrics, TrainingReport)
    model = _read_model(source.model)
    trained = without_broken(model, source.model.name)
    check_near_origin(trained, source.model.name)
    broken = len(model) - len(trained)
    if source.scene is None:
        trained = trained if source.up is Up.Z else turned(trained, source.up.to_ours)
        nowhere = np.empty((0, 3), np.float32)
        return Subject(trained, sfm, training, (), (), broken, nowhere, orbit_around(trained, max_size))
    scene = read_scene(source.scene, max_size)
    if training:
        _check_is_trainings(scene.views, training)
    trained_on, held = split_views(scene.views, training.holdout if training else ())
    return Subject(trained, sfm, training, trained_on, held, broken, scene.points, ())


def _check_is_trainings(views: Sequence[View], training: TrainingReport) -> None:
    """Raises UserError `bad_training_report` where a photo that training measured is not among `views`: with
    another scene the model would be cropped to a flight that never was, and judged by what it does not show.
    """
    missing = {view.name for view in training.views} - {view.camera.name for view in views}
    if missing:
        raise UserError(
            "bad_training_report",
            f"Training knew {min(missing)}, which is not in the scene.",
            "Give the scene that the model was trained on.",
        )


def _read_model(path: Path) -> Gaussians:
    try:
        gaussians = read_ply(path)
    except FileNotFoundError as error:
        raise UserError(
            "no_model", f"Training left no {path.name}.", "Run the training stage again; it writes it."
        ) from error
    if len(gaussians) == 0:
        raise UserError("empty_model", f"{path.name} holds no Gaussians.", "Train again, with more photos.")
    return gaussians
