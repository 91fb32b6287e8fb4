"""What the cloud tells of a job, and which of two tellings is the later one. Pure: no sockets, no clocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spaceport.errors import UserError
from spaceport.job import JobError, Kind, Outputs, StageRecord
from spaceport.stages import TERMINAL, Status


class Retuned(BaseModel):
    """A setting as the job's first run had it, and as its last has; None: left to the photos."""

    model_config = ConfigDict(frozen=True)

    was: Any
    now: Any


class JobStatus(BaseModel):
    """One telling of the status contract (`JobRecord.status_view`), as a client sees it.

    `told` is the same message as it came, for whoever passes it on unchanged. Progress is 0..1.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    job_id: str = Field(alias="jobId")
    kind: Kind = Kind.JOB
    batch_id: str | None = Field(None, alias="batchId")
    members: list[str] = Field(default_factory=list)
    job_name: str = Field("", alias="jobName")
    status: Status
    stage: str
    progress: float
    message: str
    detail: str = ""
    version: int
    queue_position: int | None = Field(None, alias="queuePosition")
    next_try_at: str | None = Field(None, alias="nextTryAt")
    created_at: str = Field(alias="createdAt")
    updated_at: str = Field(alias="updatedAt")
    started_at: str | None = Field(None, alias="startedAt")
    stages: dict[str, StageRecord] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)
    warnings: list[str] = Field(default_factory=list)
    error: JobError | None = None
    outputs: Outputs | None = None
    earlier_costs: dict[str, float | None] = Field(default_factory=dict, alias="earlierCosts")
    retuned: dict[str, Retuned] = Field(default_factory=dict)
    told: dict[str, Any] = Field(default_factory=dict, exclude=True, repr=False)

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> JobStatus:
        """The status that a WebSocket message carries, or an answer of the HTTP API.

        Raises:
            UserError: `unknown_status` where the message does not fit the contract that this client knows.
        """
        told = {name: value for name, value in message.items() if name != "type"}
        try:
            return cls.model_validate({**told, "told": told})
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise UserError(
                "unknown_status",
                f"The cloud's status of the job can't be read: {field}: {first['msg']}.",
                "The cloud may be newer than this command: update spaceport.",
            ) from error


class NotDoneError(UserError):
    """The job has no `result` (model, report) yet."""

    def __init__(self, status: JobStatus, result: str) -> None:
        super().__init__(
            "not_done",
            f"The job {status.job_id} has no {result} yet: it is {status.progress:.0%} done.",
            f"Follow it with `spaceport watch {status.job_id}`.",
        )


def latest(
    view: JobStatus | None, message: Mapping[str, Any], job_id: str, after_version: int = 0
) -> JobStatus | None:
    """What is known of the job after `message`, given what was known before (`view`, None at first).

    Messages come late, twice and out of order: only a higher version counts, and a job's end is final.
    `after_version` was known before all this: the end of an earlier run must not count as that of a new one.
    """
    if message.get("type") != "status" or message.get("jobId") != job_id:
        return view
    if view is not None and view.is_terminal:
        return view
    told = JobStatus.from_message(message)
    return told if told.version > (after_version if view is None else view.version) else view
