"""What the program hands to its guarded child process and gets back: two JSON files."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from spaceport.quality import Advice, Lens
from spaceport.tuning import Tuning
from spaceport_sfm.intake.photo_intake import Intake
from spaceport_sfm.placement.georeference import GeoReference


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReconstructionPlan(_Frozen):
    """The work of the child process.

    Attributes:
        source: the photos as they were given.
        tuning: of the job.
        photo_folder: where the normalised photos go.
        work: a folder of our own for the ledger, the database and the models on the way.
        output: where `sparse/` and `dense/` go.
    """

    source: Path
    tuning: Tuning
    photo_folder: Path
    work: Path
    output: Path

    @property
    def database(self) -> Path:
        return self.work / "database.db"

    @property
    def refined(self) -> Path:
        """The model after the last adjustment, in the mapper's own frame."""
        return self.work / "refined"

    @property
    def sparse(self) -> Path:
        """The model as delivered."""
        return self.output / "sparse"

    @property
    def dense(self) -> Path:
        """The undistorted photos and the model that fits them."""
        return self.output / "dense"

    @property
    def outcome_file(self) -> Path:
        return self.work / "outcome.json"

    @property
    def message_file(self) -> Path:
        """Where the child leaves the text of its failure (`spaceport.errors.ErrorText`)."""
        return self.work / "message"


class ReconstructionOutcome(_Frozen):
    """What the child process measured.

    Attributes:
        intake: the photos that were used, and those that were refused.
        registered: names of the photos that have a pose, sorted.
        other_models: photos in each of the models that could not be joined with the one delivered.
        lenses: what was found out about each camera.
        points, mean_track, reprojection_px: of the delivered points.
        georef: None where nothing tells where on Earth the scene is.
        advice: for the pilot.
        dense_seeds: how many points stereo added.
    """

    intake: Intake
    registered: list[str]
    other_models: list[int]
    lenses: list[Lens]
    points: int
    mean_track: float
    reprojection_px: float
    georef: GeoReference | None
    advice: list[Advice]
    dense_seeds: int = 0
