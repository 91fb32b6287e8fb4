"""What the HTTP API answers: the shapes that its document (`spaceport.openapi`) promises."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from spaceport.archive import Limits as ZipLimits
from spaceport.batches import MAX_JOBS
from spaceport.bodies import MAX_BODY_BYTES
from spaceport.connections import MAX_SUBSCRIPTIONS
from spaceport.history import JobEvent
from spaceport.job import MAX_RUNS, JobError, JobId, Kind, Outputs, PipelineStep
from spaceport.stages import Status
from spaceport.tickets import TICKET_LIFE_S
from spaceport.tuning import Preset
from spaceport.uploads import ADDRESS_LIFE_S, MAX_UPLOAD_BYTES


class _Answer(BaseModel):
    # A call needs one of all these: the others are never built, which would delay a handler's start.
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)

    def told(self) -> dict[str, Any]:
        """The JSON object that a handler answers with."""
        return self.model_dump(mode="json", by_alias=True)


class StageStatus(_Answer):
    """One stage: ISO 8601 times, wall seconds, progress 0..1, cost in USD where the price is known."""

    started: str | None
    ended: str | None
    progress: float
    instance: str | None
    spot: bool
    billable_seconds: float | None = Field(description="as SageMaker bills them, where it tells")
    cost: float | None
    seconds: float | None


class Retuned(_Answer):
    """A setting of the first run and of the last; null: left to the photos."""

    was: Any
    now: Any


class JobStatus(_Answer):
    """The status contract, as `JobRecord.status_view` makes it. Progress is 0..1, over all stages."""

    job_id: JobId = Field(alias="jobId")
    kind: Kind = Field(description="a batch has members, and counts of them as its metrics")
    batch_id: str | None = Field(alias="batchId")
    members: list[str] = Field(description="of a batch: its jobs' ids")
    job_name: str = Field(alias="jobName")
    status: Status
    stage: str
    progress: float
    message: str
    detail: str
    version: int = Field(description="rises with each change")
    queue_position: int | None = Field(
        alias="queuePosition", description="while QUEUED, 1 starts next; of the first hundred"
    )
    next_try_at: str | None = Field(alias="nextTryAt")
    created_at: str = Field(alias="createdAt")
    updated_at: str = Field(alias="updatedAt")
    started_at: str | None = Field(alias="startedAt")
    stages: dict[str, StageStatus]
    metrics: dict[str, float]
    warnings: list[str]
    error: JobError | None
    outputs: Outputs | None = Field(
        description="an earlier run's, until a retry of a completed job has its own"
    )
    earlier_costs: dict[str, float | None] = Field(
        alias="earlierCosts", description="USD, by stage, of earlier runs' work that was done anew"
    )
    retuned: dict[str, Retuned] = Field(description="the settings that retries changed since the first run")


class JobPage(_Answer):
    """Jobs, newest first; `next` is the next page's `before`, null on the last."""

    jobs: list[JobStatus]
    next: str | None


class Started(_Answer):
    """The zip's job; `created` tells whether this call made it, or a new run of it."""

    job_id: JobId = Field(alias="jobId")
    status: Status
    created: bool


class Retried(_Answer):
    """The new run, and the step that it begins with."""

    job_id: JobId = Field(alias="jobId")
    run: int
    pipeline_step: PipelineStep = Field(alias="pipelineStep")


class Deleted(_Answer):
    """The job is gone for everybody; what it left is erased within minutes."""

    job_id: JobId = Field(alias="jobId")


class Shared(_Answer):
    """A link to the job's result: `url` shows it to whoever has it, until `expiresAt`."""

    token: str = Field(description="told this once, and kept nowhere")
    url: str
    expires_at: str = Field(alias="expiresAt")


class Unshared(_Answer):
    """All links of the job were taken back; `links` is how many there were."""

    job_id: JobId = Field(alias="jobId")
    links: int


class SharedResult(_Answer):
    """What a link tells of a job, and where it shows it: without an account, until `expiresAt`."""

    name: str
    status: Status
    created_at: str = Field(alias="createdAt")
    expires_at: str = Field(alias="expiresAt")
    viewer_url: str = Field(alias="viewerUrl")
    poster_url: str = Field(alias="posterUrl", description="a picture of what the viewer opens with")
    quality: dict[str, float] = Field(description="the job's metrics")


class JobEvents(_Answer):
    """A job's changes of status, stage or run, oldest first; `next` is the next page's `after`."""

    events: list[JobEvent]
    next: int | None


class Ticket(_Answer):
    """What a WebSocket connection is let in by, once, for `expiresIn` seconds."""

    ticket: str
    expires_in: int = Field(TICKET_LIFE_S, alias="expiresIn")


class UploadBegun(_Answer):
    """An upload in `parts` parts of `partBytes`, the last one shorter. Later calls take `key`, too."""

    upload_id: str = Field(alias="uploadId")
    key: str
    part_bytes: int = Field(alias="partBytes")
    parts: int


class PartAddress(_Answer):
    """Where to PUT a part's bytes, without a token; the answer's `ETag` completes the upload."""

    number: int
    url: str


class PartAddresses(_Answer):
    """Addresses that are good for `expiresIn` seconds."""

    parts: list[PartAddress]
    expires_in: int = Field(ADDRESS_LIFE_S, alias="expiresIn")


class SentPart(_Answer):
    """A part that is there."""

    number: int
    size: int = Field(alias="bytes")
    etag: str


class SentParts(_Answer):
    """The parts that are there, for going on after a reload."""

    upload_id: str = Field(alias="uploadId")
    key: str
    parts: list[SentPart]


class Uploaded(_Answer):
    """The zip, and its job, which starts by itself."""

    job_id: JobId = Field(alias="jobId")
    s3_url: str = Field(alias="s3Url")


class Forgotten(_Answer):
    """An upload that is no more."""

    upload_id: str = Field(alias="uploadId")
    key: str


class ZipPolicy(_Answer):
    """What a zip may hold (`spaceport.archive`)."""

    min_photos: int = Field(ZipLimits().min_photos, alias="minPhotos")
    max_photos: int = Field(ZipLimits().max_photos, alias="maxPhotos")
    max_entries: int = Field(ZipLimits().max_entries, alias="maxEntries")
    max_unpacked_bytes: int = Field(ZipLimits().max_unpacked_bytes, alias="maxUnpackedBytes")


class Queue(_Answer):
    """How many jobs may run at once, in all and of one owner; and how many run and wait now, of all."""

    max_running: int = Field(alias="maxRunning")
    max_running_per_owner: int = Field(alias="maxRunningPerOwner")
    running: int
    waiting: int


class Limits(_Answer):
    """What this stack takes: for programs that would rather know than be refused."""

    queue: Queue
    zip: ZipPolicy = Field(default_factory=ZipPolicy)
    max_upload_bytes: int = Field(MAX_UPLOAD_BYTES, alias="maxUploadBytes")
    presets: list[Preset] = list(Preset)
    max_runs: int = Field(MAX_RUNS, alias="maxRuns", description="of one job, retries included")
    max_batch_jobs: int = Field(MAX_JOBS, alias="maxBatchJobs", description="in one manifest")
    max_body_bytes: int = Field(MAX_BODY_BYTES, alias="maxBodyBytes")
    max_subscriptions: int = Field(MAX_SUBSCRIPTIONS, alias="maxSubscriptions", description="a connection")
    ticket_seconds: int = Field(TICKET_LIFE_S, alias="ticketSeconds")


class Problem(_Answer):
    """A refusal (RFC 9457); `code` is for programs, `detail` and `hint` are for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str


class GatewayMessage(BaseModel):
    """What API Gateway itself answers, which knows no codes of ours."""

    message: str | None
