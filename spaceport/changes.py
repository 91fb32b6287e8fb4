"""Which writes of a job's row others are told of: its creation, those of status, stage, run or deletion, and
a stop's wish that what the job has made be deleted.

Pure; `publish_changes` puts each into the job's history and on the event bus. Progress, the most frequent
write, is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from spaceport.job import JobId, JobRecord, Kind
from spaceport.jobs import record_from_image
from spaceport.stages import Status

DETAIL_TYPE = "Job Changed"  # of the event, for rules
_OF_HISTORY = ("status", "stage", "run", "deletedAt")
_WISH = "discardArtifacts"


class JobChanged(BaseModel):
    """The event's `detail`: for rules to choose by. Its hearers decide by the row as they find it."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, defer_build=True)

    job_id: JobId = Field(alias="jobId")
    kind: Kind
    run: int
    version: int
    status: Status
    before: Status | None = Field(description="the status before; None: the row is new")
    stage: str
    owner: str
    batch_id: str | None = Field(alias="batchId")
    deleted: bool
    discards: bool = Field(False, description="a stop asked to delete what the job had made until `time`")
    time: str = Field(description="ISO 8601: when the row was written")


@dataclass(frozen=True)
class Change:
    """The row as a write made it, and its status before: None where there was no row."""

    row: JobRecord
    before: Status | None
    is_of_history: bool = True  # a wish alone, that comes after the stop, is no change of what the job is

    def detail(self) -> JobChanged:
        """What the event tells of it."""
        row = self.row
        return JobChanged(
            job_id=row.job_id,
            kind=row.kind,
            run=row.run,
            version=row.version,
            status=row.status,
            before=self.before,
            stage=row.stage,
            owner=row.owner,
            batch_id=row.batch_id,
            deleted=row.deleted_at is not None,
            discards=row.discard_artifacts,
            time=row.updated_at,
        )


def change_in(record: Mapping[str, Any]) -> Change | None:
    """The change that a stream record's `dynamodb` part tells of; None where it is none.

    Raises:
        pydantic.ValidationError: the new row is no JobRecord.
    """
    new, old = record["NewImage"], record.get("OldImage", {})
    is_of_history = any(new.get(name) != old.get(name) for name in _OF_HISTORY)
    is_wish = new.get(_WISH) == {"BOOL": True} != old.get(_WISH)
    if not (is_of_history or is_wish):
        return None
    before = old.get("status", {}).get("S")
    return Change(record_from_image(new), Status(before) if before else None, is_of_history)
