"""A job's models: what a caller asks for, what the state machine is given, what its row holds.

Field names are those of the contract (ARCHITECTURE.md), so that a hand-written execution input works.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Self, TypeGuard

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from spaceport.stages import JOB_STAGES, SETUP, SFM, TERMINAL, Status, overall_progress, stage_named
from spaceport.tuning import TuningRequest, resolve

JOB_ID_PATTERN = r"^[a-zA-Z0-9](-*[a-zA-Z0-9])*$"
JOB_ID_LENGTH = 40
JOB_NAME_LENGTH = 200
REQUEST_METADATA = "spaceport"  # the dropped zip's object metadata that holds its JobRequest as JSON
OPERATOR = "operator"  # who owns what nobody else does
JOBS_COLLECTION = "jobs"
DELETED_COLLECTION = "deleted"  # of the rows that are hidden, until all that their jobs left is erased
MAX_RUNS = 999  # the run is a part of SageMaker job names, which have 63 characters

JobId = Annotated[str, StringConstraints(pattern=JOB_ID_PATTERN, max_length=JOB_ID_LENGTH)]
# Nothing that is no text: names go into programs' environments, which know no NUL, and into tables and logs.
_TEXT = r"[^\x00-\x1f\x7f]*"
JobName = Annotated[str, StringConstraints(pattern=f"^{_TEXT}$", max_length=JOB_NAME_LENGTH)]
# A plain ASCII address and nothing around it, so that no header reads as two, or as another's. Without "?" in
# it, which is rare, no encoded word (RFC 2047) hides anything.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=^_`{|}~-]+"
EMAIL_PATTERN = rf"^{_ATOM}(\.{_ATOM})*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$"
Email = Annotated[str, StringConstraints(pattern=EMAIL_PATTERN, max_length=254)]
# As SageMaker takes them: up to 1024 characters.
S3Uri = Annotated[
    str,
    StringConstraints(pattern=rf"^s3://[a-z0-9][a-z0-9.-]{{1,61}}[a-z0-9](/{_TEXT})?$", max_length=1024),
]


def bucket_and_key(s3_uri: str) -> tuple[str, str]:
    """The two parts of an S3Uri; the key is empty where it names a bucket only."""
    bucket, _, key = s3_uri.removeprefix("s3://").partition("/")
    return bucket, key


class Kind(StrEnum):
    """What a row of the Jobs table is: a job, or the sum of a batch of them (`spaceport.batches`)."""

    JOB = "job"
    BATCH = "batch"


class PipelineStep(StrEnum):
    """Where a job begins: at a later step it uses the artifacts already there."""

    SFM = "sfm"
    TRAINING = "3dgs"
    COMPRESSION = "compression"


def is_job_id(value: object) -> TypeGuard[str]:
    """Whether `value` can be a job's id; nothing after it either, not even a line break."""
    return (
        isinstance(value, str)
        and len(value) <= JOB_ID_LENGTH
        and re.fullmatch(JOB_ID_PATTERN, value) is not None
    )


def job_id_for(bucket: str, key: str, version_id: str) -> str:
    """The id of the job that this very object version is: the same event twice is the same job."""
    return f"job-{_digest(bucket, key, version_id)}"


def batch_id_for(bucket: str, key: str, version_id: str) -> str:
    """The id of the batch that this version of a manifest is."""
    return f"batch-{_digest(bucket, key, version_id)}"


def _digest(bucket: str, key: str, version_id: str) -> str:
    return hashlib.sha256(f"{bucket}\n{key}\n{version_id}".encode()).hexdigest()[:20]


def owner_of(key: str) -> str:
    """The owner that an upload's key names: `uploads/{owner}/{name}.zip`, else the operator."""
    parts = key.split("/")
    owned = len(parts) >= 3 and parts[0] == "uploads" and parts[1]
    return parts[1] if owned else OPERATOR


def archive_name(key: str) -> str:
    """What the owner calls the archive at `key`."""
    return key.rsplit("/", 1)[-1]


def awaits_manifest(key: str) -> bool:
    """Whether the zip at `key` is in a folder called `*.batch`: it is for a manifest to start its job.

    The owner's own folder is none, whatever they are called.
    """
    folders = key.removeprefix(f"uploads/{owner_of(key)}/").split("/")[:-1]
    return any(folder.endswith(".batch") for folder in folders)


def zip_job_name(key: str) -> str:
    """What the job of the zip at `key` is called where nobody gave it a name."""
    return archive_name(key).rsplit(".", 1)[0][:JOB_NAME_LENGTH]


class JobRequest(TuningRequest):
    """What a caller may say of a job: in `POST /start-job`, or as `spaceport` metadata on the dropped zip."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)

    job_name: JobName | None = Field(None, alias="jobName")
    email: Email | None = None
    pipeline_step: PipelineStep = Field(PipelineStep.SFM, alias="pipelineStep")

    def tuning(self) -> TuningRequest:
        """Only the tuning fields."""
        return TuningRequest.model_validate(self.model_dump(include=set(TuningRequest.model_fields)))


class JobInput(TuningRequest):
    """The execution input. Only the zip is needed; PrepareJob fills what is missing from the template.

    `s3Url` and `inputS3Uri` are two names of one thing, kept because callers use both: they must agree.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)

    job_id: JobId | None = Field(None, alias="jobId")
    run: int = Field(1, ge=1, le=MAX_RUNS)
    job_name: JobName | None = Field(None, alias="jobName")
    s3_url: S3Uri | None = Field(None, alias="s3Url")
    input_s3_uri: S3Uri | None = Field(None, alias="inputS3Uri")
    email: str | None = Field(None, max_length=254)
    timestamp: str | None = None
    pipeline_step: PipelineStep = Field(PipelineStep.SFM, alias="pipelineStep")
    extracted_s3_uri: S3Uri | None = Field(None, alias="extractedS3Uri")
    colmap_output_s3_uri: S3Uri | None = Field(None, alias="colmapOutputS3Uri")
    gaussian_output_s3_uri: S3Uri | None = Field(None, alias="gaussianOutputS3Uri")
    compressed_output_s3_uri: S3Uri | None = Field(None, alias="compressedOutputS3Uri")
    extractor_image_uri: str | None = Field(None, alias="extractorImageUri")
    sfm_image_uri: str | None = Field(None, alias="sfmImageUri")
    gaussian_image_uri: str | None = Field(None, alias="gaussianImageUri")
    compressor_image_uri: str | None = Field(None, alias="compressorImageUri")

    @model_validator(mode="after")
    def _one_zip(self) -> Self:
        if self.s3_url and self.input_s3_uri and self.s3_url != self.input_s3_uri:
            raise ValueError("s3Url and inputS3Uri name different files; give one, or the same twice")
        if not (self.s3_url or self.input_s3_uri):
            raise ValueError("s3Url is missing: it names the zip of photos")
        return self

    @property
    def zip_uri(self) -> str:
        """The zip, by whichever name it was given."""
        return self.s3_url or self.input_s3_uri or ""

    @property
    def name(self) -> str:
        """What the job is called: as it was given, else after its zip."""
        return self.job_name or zip_job_name(self.zip_uri)

    def tuning(self) -> TuningRequest:
        """Only the tuning fields."""
        return TuningRequest.model_validate(self.model_dump(include=set(TuningRequest.model_fields)))


class JobError(BaseModel):
    """Why a job did not end well, in words its owner understands."""

    code: str
    message: str
    hint: str = ""


class Try(BaseModel):
    """A SageMaker job of a stage that had a machine and failed: wall seconds, and those billed if told."""

    model_config = ConfigDict(frozen=True)

    instance: str
    spot: bool = False
    seconds: float
    billable_seconds: float | None = None


class StageRecord(BaseModel):
    """One stage of one job: ISO 8601 times, wall seconds, progress 0..1, cost in USD once it is done.

    A cost of None: not done, or a machine whose price is not known.

    Attributes:
        spot: whether it ran on a spot instance.
        billable_seconds: what SageMaker bills of it, where it tells that: for a spot instance, as many as
            cost the same on demand.
        tries: those that failed before the stage last waited for a machine: before `started`, and in `cost`.
    """

    started: str | None = None
    ended: str | None = None
    progress: float = 0.0
    instance: str | None = None
    spot: bool = False
    billable_seconds: float | None = None
    cost: float | None = None
    tries: tuple[Try, ...] = ()

    @field_validator("tries", mode="before")
    @classmethod
    def _read(cls, tries: Any) -> Any:
        return json.loads(tries) if isinstance(tries, str) else tries  # as the state machine writes them

    @field_validator("billable_seconds")
    @classmethod
    def _told(cls, seconds: float | None) -> float | None:
        return seconds or None  # the state machine writes 0 where it was not told

    @property
    def was_entered(self) -> bool:
        """Whether its work has begun, so that it may have overwritten what an earlier run's left."""
        return self.started is not None or bool(self.tries)

    @property
    def seconds(self) -> float | None:
        if self.started is None or self.ended is None:
            return None  # a stage that a job skipped has an end, but no beginning
        return round((_time(self.ended) - _time(self.started)).total_seconds(), 3)


class LaidAside(BaseModel):
    """What a job had of the stages that its new run does anew: the job's, until they are overwritten.

    Fields are those of its row, as they were before the run.
    """

    model_config = ConfigDict(populate_by_name=True)

    request: dict[str, Any]
    stages: dict[str, StageRecord]
    model_s3_uri: str | None = Field(None, alias="modelS3Uri")
    metrics: dict[str, float] = Field(default_factory=dict)
    advice: list[str] = Field(default_factory=list)
    earlier_costs: dict[str, float | None] = Field(default_factory=dict, alias="earlierCosts")


class Outputs(BaseModel):
    """Where a finished job's results are: S3 URIs, and the link to the viewer."""

    model_config = ConfigDict(populate_by_name=True)

    viewer_url: str | None = Field(None, alias="viewerUrl")
    sog: str | None = None
    lod: str | None = None
    quality: str | None = None
    report: str | None = None
    video: str | None = None
    thumbnail: str | None = None
    ply: str | None = None
    spz: str | None = None
    gltf: str | None = None
    tiles: str | None = None
    georef: str | None = None
    cameras: str | None = None
    points: str | None = None


class NotificationState(StrEnum):
    """How far the letter about a job's end is."""

    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    SKIPPED = "skipped"


class Notification(BaseModel):
    """The letter that tells a job's owner that its `run` ended as `status`; `at` is ISO 8601."""

    run: int
    status: Status
    state: NotificationState
    at: str
    reason: str = Field("", description="why it was not sent")
    event: str = Field("", description="the id of the event that has it written, while it is SENDING")


class JobRecord(BaseModel):
    """A row of the Jobs table: the only truth about a job."""

    model_config = ConfigDict(populate_by_name=True, extra="ignore")

    job_id: JobId = Field(alias="jobId")
    kind: Kind = Field(Kind.JOB, description="a batch's row sums up its members' rows")
    owner: str = OPERATOR
    run: int = 1
    batch_id: str | None = Field(None, alias="batchId", description="the batch that this job is a member of")
    members: list[str] = Field(default_factory=list, description="of a batch: its jobs' ids")
    member_versions: list[str] = Field(
        default_factory=list,
        alias="memberVersions",
        description="of each member's zip, in order: a zip that is uploaded anew is none of the batch",
    )
    job_name: str = Field("", alias="jobName")
    email: str | None = None
    source: str = Field("", description="s3:// URI of the zip")
    source_version: str | None = Field(None, alias="sourceVersion")
    source_digest: str | None = Field(
        None,
        alias="sourceDigest",
        description="of the zip's files: by it SfM knows that it got this very zip",
    )
    collection: str = Field(JOBS_COLLECTION, description="key of the index that lists all jobs by time")
    request: dict[str, Any] = Field(default_factory=dict, description="the JobRequest as it was given")
    first_request: dict[str, Any] | None = Field(
        None, alias="firstRequest", description="`request` as it was before any retry; None: it still is"
    )
    status: Status = Status.QUEUED
    queue_position: int | None = Field(
        None,
        alias="queuePosition",
        description="while QUEUED: 1 starts next; None: far back, or not known yet",
    )
    stage: str = SETUP.name
    stage_index: int = Field(SETUP.index, alias="stageIndex")
    task: str | None = Field(None, description="current SageMaker job's name less its attempt")
    first_attempt: int = Field(
        0, alias="firstAttempt", description="where the attempts of the stage's current entry begin"
    )
    next_try_at: str | None = Field(
        None, alias="nextTryAt", description="when a job that waits for a machine asks for one again"
    )
    execution_arn: str | None = Field(None, alias="executionArn")
    model_s3_uri: str | None = Field(
        None, alias="modelS3Uri", description="where training put its model: a retry may begin after it"
    )
    discard_artifacts: bool = Field(
        False, alias="discardArtifacts", description="a stop that asked to delete what the job had made"
    )
    artifacts_discarded: bool = Field(
        False, alias="artifactsDiscarded", description="what discardArtifacts asked for is done, for good"
    )
    discard_intermediates: bool = Field(
        False, alias="discardIntermediates", description="no run may begin with what its stages left"
    )
    intermediates_discarded: bool = Field(
        False, alias="intermediatesDiscarded", description="what its stages left for each other is deleted"
    )
    message: str = SETUP.message
    detail: str = Field("", description="what the current stage's program last said it is doing")
    version: int = 1
    created_at: str = Field(alias="createdAt")
    queued_at: str | None = Field(None, alias="queuedAt", description="of this run; None: the first")
    updated_at: str = Field(alias="updatedAt")
    started_at: str | None = Field(None, alias="startedAt")
    stages: dict[str, StageRecord] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)
    warnings: list[str] = Field(default_factory=list)
    advice: list[str] = Field(default_factory=list, description="what SfM says could be flown better")
    error: JobError | None = None
    outputs: Outputs | None = None
    deleted_at: str | None = Field(
        None, alias="deletedAt", description="since when nobody sees the job, and what it left is erased"
    )
    notification: Notification | None = None
    earlier_results: bool = Field(
        False, alias="earlierResults", description="outputs are an earlier run's, until this one has its own"
    )
    earlier_costs: dict[str, float | None] = Field(
        default_factory=dict,
        alias="earlierCosts",
        description="USD, by stage, of earlier runs' work that was done anew; None: a price is not known",
    )
    laid_aside: LaidAside | None = Field(
        None, alias="laidAside", description="what this run does anew, as it was before"
    )

    @property
    def progress(self) -> float:
        """Overall progress, 0..1."""
        if self.status is Status.COMPLETED:
            return 1.0
        if self.kind is Kind.BATCH:
            return self.metrics.get("ended", 0) / max(1, len(self.members))
        current = stage_named(self.stage)
        record = self.stages.get(current.name)
        return overall_progress(current, record.progress if record else 0.0)

    def status_view(self) -> dict[str, Any]:
        """The status contract: what GET /jobs/{id} and every WebSocket message carry."""
        told = self.as_before_it_began() if self.is_terminal else self
        return {
            "jobId": self.job_id,
            "kind": self.kind.value,
            "batchId": self.batch_id,
            "members": self.members,
            "jobName": self.job_name,
            "status": self.status.value,
            "stage": self.stage,
            "progress": self.progress,
            "message": self.message,
            "detail": self.detail,
            "version": self.version,
            "queuePosition": self.queue_position if self.status is Status.QUEUED else None,
            "nextTryAt": self.next_try_at if self.status is Status.WAITING_CAPACITY else None,
            "createdAt": self.created_at,
            "updatedAt": self.updated_at,
            "startedAt": self.started_at,
            "stages": {
                name: {**record.model_dump(exclude={"tries"}), "seconds": record.seconds}
                for name, record in told.stages.items()
            },
            "metrics": told.metrics,
            "warnings": [*self.warnings, *told.advice],
            "error": self.error.model_dump() if self.error else None,
            "outputs": self.outputs.model_dump(by_alias=True) if self.outputs else None,
            "earlierCosts": told.earlier_costs,
            "retuned": self.retuned,
        }

    @property
    def retuned(self) -> dict[str, Any]:
        """The settings that this run has and the first had not: `{name: {"was", "now"}}`; None: left open."""
        if self.first_request is None:
            return {}
        was, now = _tuning_of(self.first_request), _tuning_of(self.request)
        changed = [name for name in TuningRequest.model_fields if getattr(was, name) != getattr(now, name)]
        first, last = (resolve(each).model_dump(mode="json") for each in (was, now))
        return {
            name: {"was": first[name], "now": last[name]} for name in changed if first[name] != last[name]
        }

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def wants_letter(self) -> bool:
        """Whether its owner asked to be told of its end, which has come; a batch tells of its members'."""
        is_member = self.kind is Kind.JOB and self.batch_id is not None
        return self.is_terminal and bool(self.email) and self.deleted_at is None and not is_member

    @property
    def is_queued(self) -> bool:
        """Whether it is to start when its turn comes."""
        return self.status is Status.QUEUED and self.deleted_at is None

    @property
    def awaits_discard(self) -> bool:
        """Whether this job was stopped, and what it had made is still to be deleted for good."""
        asked = self.discard_artifacts and self.deleted_at is None  # of a deleted job nothing is kept at all
        return self.status is Status.STOPPED and asked and not self.artifacts_discarded

    @property
    def keeps_artifacts(self) -> bool:
        """Whether what its steps left is neither deleted nor about to be."""
        return not (self.discard_artifacts or self.discard_intermediates)

    @property
    def first_step(self) -> PipelineStep:
        """Where this run begins."""
        return PipelineStep(self.request.get("pipelineStep", PipelineStep.SFM))

    @property
    def next_step(self) -> PipelineStep:
        """The step that a retry goes on with: the first whose artifacts are not all there by its last run."""
        if not self.keeps_artifacts:
            return PipelineStep.SFM
        done = {name for name, record in self.stages.items() if record.ended is not None}
        if SFM.name not in done:
            return PipelineStep.SFM
        return PipelineStep.TRAINING if self.model_s3_uri is None else PipelineStep.COMPRESSION

    def as_without_machine(self) -> JobRecord:
        """This row, whose stage got no machine: has that not begun otherwise, it has not begun at all."""
        record = self.stages.get(self.stage)
        if record is None or record.started != self.updated_at:  # entered, and left by a try that ran
            return self
        return self.model_copy(
            update={"stages": {**self.stages, self.stage: record.model_copy(update={"started": None})}}
        )

    def as_before_it_began(self) -> JobRecord:
        """This row with what is laid aside where it was, if its run ended before any of its stages began.

        Also where what the stages left for each other has been tidied away: the results stay.
        """
        left = self.laid_aside
        if left is None or self.discard_artifacts or self.stages[self.first_step].was_entered:
            return self
        return self._with_put_back(left)

    def with_all_that_is_there(self) -> JobRecord:
        """This ended row with all that is laid aside and not overwritten where it was.

        A stage writes where the run before wrote, so what it replaces is lost once it has begun. Not so
        training, which has a folder a run: until it has ended, the model before is there. What the attempt
        cost joins `earlier_costs`.
        """
        left, step = self.laid_aside, self.first_step
        if left is None or not self.keeps_artifacts or not self.stages[step].was_entered:
            return self.as_before_it_began()
        if step is not PipelineStep.TRAINING or self.model_s3_uri is not None:
            return self
        spent = {**left.earlier_costs, step.value: _sum(left.earlier_costs, self.stages, step)}
        return self._with_put_back(left.model_copy(update={"earlier_costs": spent}))

    def _with_put_back(self, left: LaidAside) -> JobRecord:
        fields = {name: getattr(left, name) for name in LaidAside.model_fields}
        return self.model_copy(
            update={**fields, "stages": {**self.stages, **left.stages}, "laid_aside": None}
        )

    def reopened(
        self, step: PipelineStep, request: dict[str, Any], now: str, execution_arn: str | None = None
    ) -> JobRecord:
        """This job with a new run that begins at `step`: waiting for dispatch, or run by an execution.

        What the steps before `step` left stays: their times, and their artifacts in the bucket. The others'
        is laid aside. So do the results of a run that finished, until this one has its own; and what the
        others cost. Not the numbers of what is done anew, which this run's own come among: the results have
        theirs in `quality.json`.
        """
        was = self.with_all_that_is_there()
        first = stage_named(step.value)
        kept = {name: left for name, left in was.stages.items() if stage_named(name).index < first.index}
        redone = {name: left for name, left in was.stages.items() if name not in kept and left.was_entered}
        laid_aside = LaidAside(
            stages=redone, **{name: getattr(was, name) for name in LaidAside.model_fields.keys() - {"stages"}}
        )
        results = self.outputs if self.status is Status.COMPLETED or self.earlier_results else None
        costs = {name: _sum(was.earlier_costs, redone, name) for name in redone}
        return self.model_copy(
            update={
                "run": self.run + 1,
                "request": {**request, "pipelineStep": step.value},
                "first_request": self.request if self.first_request is None else self.first_request,
                "status": Status.QUEUED if execution_arn is None else Status.RUNNING,
                "queue_position": None,
                "stage": SETUP.name,
                "stage_index": SETUP.index,
                "message": SETUP.message,
                "detail": "",
                "task": None,
                "first_attempt": 0,
                "next_try_at": None,
                "execution_arn": execution_arn,
                "model_s3_uri": was.model_s3_uri if step is PipelineStep.COMPRESSION else None,
                "discard_artifacts": False,
                "artifacts_discarded": False,
                "discard_intermediates": False,
                "intermediates_discarded": False,
                "stages": {**empty_stages(), **kept},
                "metrics": {} if step is PipelineStep.SFM else was.metrics,
                "advice": [] if step is PipelineStep.SFM else was.advice,
                "error": None,
                "outputs": results,
                "earlier_results": results is not None,
                "earlier_costs": {**was.earlier_costs, **costs},
                "laid_aside": laid_aside if redone and self.keeps_artifacts else None,
                "version": self.version + 1,
                "queued_at": now,
                "started_at": None if execution_arn is None else now,
                "updated_at": now,
            }
        )

    def belongs_to(self, execution_arn: str, name: str) -> bool:
        """Whether the execution called `name` runs this job.

        A queued row names no execution yet: it belongs to the one that `dispatch_jobs` names after it.
        """
        if self.kind is Kind.BATCH:  # an execution that somebody started by hand, under the batch's name
            return False
        if self.execution_arn is None:
            return name == execution_name(self.job_id, self.run)
        return self.execution_arn == execution_arn


def _tuning_of(request: dict[str, Any]) -> TuningRequest:
    return TuningRequest.model_validate({k: v for k, v in request.items() if k in TuningRequest.model_fields})


def _sum(earlier: dict[str, float | None], stages: dict[str, StageRecord], name: str) -> float | None:
    """What earlier runs of a stage and this one have cost, USD; None where the price of one is not known."""
    before, last = earlier.get(name, 0.0), stages[name].cost
    return None if before is None or last is None else before + last


def empty_stages() -> dict[str, StageRecord]:
    """The `stages` of a job that has not begun: one record a stage that runs a job."""
    return {stage.name: StageRecord() for stage in JOB_STAGES}


def execution_name(job_id: str, run: int) -> str:
    """The name of the execution that is this run of the job; a retry is a new run."""
    return f"{job_id}-{run}"


def task_name(job_id: str, stage: str, run: int) -> str:
    """The SageMaker job's name less its attempt: `{jobId}-{sfm|3dgs|sog}-{run}`."""
    return f"{job_id}-{stage_named(stage).job_suffix}-{run}"


def is_task_of(task: str, stage: str) -> bool:
    """Whether `task` is a task name of that stage."""
    return task.rsplit("-", 2)[1:2] == [stage_named(stage).job_suffix]


_SUFFIXES = "|".join(stage.job_suffix for stage in JOB_STAGES)
_SAGEMAKER_NAME = re.compile(rf"^(?P<job_id>.+)-({_SUFFIXES})-\d+-\d+$")


def parse_sagemaker_name(name: str) -> tuple[str, str] | None:
    """(jobId, task name) of one of our SageMaker jobs' names, or None where it is not one of ours."""
    match = _SAGEMAKER_NAME.match(name)
    if match is None or not is_job_id(match["job_id"]):
        return None
    return match["job_id"], name.rsplit("-", 1)[0]


def now_iso(now: datetime | None = None) -> str:
    """The time as rows hold it: ISO 8601, UTC, milliseconds, `Z`, the form of `$$.State.EnteredTime`."""
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _time(iso: str) -> datetime:
    return datetime.fromisoformat(iso)
