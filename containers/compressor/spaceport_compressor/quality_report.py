"""`quality.json`: what SfM, training and delivery measured, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from spaceport.errors import UserError
from spaceport.quality import DeliveryNumbers, ModelQuality, SfmReport, TrainingReport

Report = TypeVar("Report", bound=BaseModel)


def read_report(path: Path, kind: type[Report]) -> Report:
    """An earlier stage's report.

    Raises:
        UserError: `bad_report`, where the file is missing or not what that stage writes.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise _bad(path, "is missing") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _bad(path, f"can't be used: {place} {first['msg'].lower()}") from error


def assemble(
    sfm: SfmReport | None, training: TrainingReport | None, delivery: DeliveryNumbers, pictures: list[str]
) -> ModelQuality:
    """The whole report, less what only the end of the pipeline knows (the stages' times)."""
    return ModelQuality(
        photos=sfm.photos if sfm else None,
        sfm=sfm.sfm if sfm else None,
        georef=sfm.georef if sfm else None,
        training=training,
        delivery=delivery,
        advice=sfm.advice if sfm else [],
        pictures=pictures,
    )


def _bad(path: Path, what: str) -> UserError:
    return UserError(
        "bad_report", f"{path.name} {what}.", "Run the stage before this one again; it writes it."
    )
