"""What callers send to the HTTP API: the bodies and the query, checked field by field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from spaceport.errors import UserError
from spaceport.job import Email, JobName, JobRequest, PipelineStep, S3Uri
from spaceport.links import MAX_DAYS
from spaceport.tuning import Preset, TuningRequest
from spaceport.uploads import ADDRESSES_A_CALL, MAX_PARTS

MAX_BODY_BYTES = 64 * 2**10  # the largest honest body is a tenth of that
Model = TypeVar("Model", bound=BaseModel)
# A row's `createdAt`, which pages are told by.
CreatedAt = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$"),
]


FileName = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")]
UploadKey = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
PartNumber = Annotated[int, Field(ge=1, le=MAX_PARTS, strict=True)]
# Hex digits, which S3 puts into quotes.
ETag = Annotated[str, StringConstraints(pattern=r'^"?[0-9A-Za-z-]{1,64}"?$')]


class _Sent(BaseModel):
    """What nobody asked for is refused, so that a misspelt field is not lost unseen."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        defer_build=True,  # a call needs one of all these: the others would delay a handler's start
    )


class _Tuned(_Sent):
    """A preset and the settings over it."""

    preset: Preset | None = None
    tuning: TuningRequest = Field(default_factory=TuningRequest)

    @model_validator(mode="after")
    def _one_preset(self) -> Self:
        if self.preset and self.tuning.preset and self.preset != self.tuning.preset:
            raise ValueError("preset and tuning.preset differ; give one, or the same twice")
        return self


class StartBody(_Tuned):
    """`POST /start-job`: the zip, and how its job is to be done."""

    s3_url: S3Uri = Field(alias="s3Url")
    job_name: JobName | None = Field(None, alias="jobName")
    email: Email | None = None
    pipeline_step: PipelineStep = Field(PipelineStep.SFM, alias="pipelineStep")

    def job_request(self) -> JobRequest:
        """The same as a job's row holds it."""
        own = self.model_dump(exclude={"s3_url", "tuning"}, exclude_none=True)
        return JobRequest.model_validate({**self.tuning.model_dump(exclude_none=True), **own})


class StopBody(_Sent):
    """`POST /stop-job`: the job, and whether to delete what it has made so far."""

    job_id: str = Field(alias="jobId")
    discard_artifacts: StrictBool = Field(False, alias="discardArtifacts")


class RetryBody(_Tuned):
    """`POST /jobs/{jobId}/retry`: where to begin, and what to do otherwise than the last run.

    No step: where the last run got stuck, or earlier where what is changed is read.
    """

    pipeline_step: PipelineStep | None = Field(None, alias="pipelineStep")

    def changes(self) -> TuningRequest:
        """The tuning to change."""
        return self.tuning.model_copy(update={"preset": self.preset or self.tuning.preset})


class ShareBody(_Sent):
    """`POST /jobs/{jobId}/share`: for how many days."""

    days: int = Field(7, ge=1, le=MAX_DAYS, strict=True)


class UploadBody(_Sent):
    """`POST /uploads`: the zip's name and size, and what is asked of its job, as by `spaceport.json`."""

    file_name: FileName = Field(alias="fileName")
    size: int = Field(alias="bytes", ge=1, strict=True)
    request: JobRequest = Field(default_factory=JobRequest)

    @field_validator("request")
    @classmethod
    def _from_the_start(cls, request: JobRequest) -> JobRequest:
        if request.pipeline_step is not PipelineStep.SFM:
            raise ValueError("a new zip's job begins at sfm; leave pipelineStep out")
        return request


class PartsBody(_Sent):
    """`POST /uploads/{uploadId}/parts`: which parts' addresses, numbered from 1."""

    key: UploadKey
    numbers: list[PartNumber] = Field(min_length=1, max_length=ADDRESSES_A_CALL)


class SentPart(_Sent):
    """A part that is there, and the ETag that S3 answered it with."""

    number: PartNumber
    etag: ETag


class CompleteBody(_Sent):
    """`POST /uploads/{uploadId}/complete`: all parts, in order."""

    key: UploadKey
    parts: list[SentPart] = Field(min_length=1, max_length=MAX_PARTS)


class KeyQuery(_Sent):
    """`GET` and `DELETE /uploads/{uploadId}`: the upload's key, which its answer told."""

    key: UploadKey


class NoBody(_Sent):
    """`POST /ws-ticket`: the token says it all."""


class ListQuery(_Sent):
    """`GET /jobs`: how many, and created before when (the last page's `next`)."""

    limit: int = Field(20, ge=1, le=100)
    before: CreatedAt | None = None


class EventsQuery(_Sent):
    """`GET /jobs/{jobId}/events`: how many, and after which version (the last page's `next`)."""

    limit: int = Field(100, ge=1, le=100)
    after: int = Field(0, ge=0, lt=10**12)


def parse_body(model: type[Model], body: bytes) -> Model:
    """`body`, a JSON object, as a `model`; an empty body is an empty object.

    Raises:
        UserError: `too_large`, `bad_body`, `unknown_field` or `bad_field`; the last two name the field.
    """
    if len(body) > MAX_BODY_BYTES:
        raise UserError(
            "too_large", f"The body is larger than {MAX_BODY_BYTES} bytes.", "Send only the fields."
        )
    try:
        sent = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise UserError("bad_body", "The body is not JSON.", "Send one JSON object.") from error
    if not isinstance(sent, dict):
        raise UserError("bad_body", "The body is not a JSON object.", "Send one JSON object.")
    return parse_fields(model, sent)


def parse_fields(model: type[Model], sent: Mapping[str, Any]) -> Model:
    """`sent` as a `model`. Raises UserError `unknown_field` or `bad_field`, naming the field."""
    try:
        return model.model_validate(sent)
    except ValidationError as error:
        first = error.errors(include_context=False, include_input=False)[0]
    field = ".".join(map(str, first["loc"]))[:100]
    known = ", ".join(part.alias or name for name, part in model.model_fields.items())
    if first["type"] == "extra_forbidden":
        raise UserError("unknown_field", f"There is no field {field}.", f"Fields are: {known}.")
    reason = first["msg"].removeprefix("Value error, ")
    raise UserError("bad_field", f"{field}: {reason}." if field else f"{reason}.", f"Fields are: {known}.")
