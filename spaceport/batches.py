"""Many zips as one: a manifest in the uploads bucket makes a job of each, and a row that sums them up.

The manifest is `{"name"?, "defaults"?: JobRequest, "jobs": [{"s3Url", ...JobRequest}]}`. It is taken as a
whole or not at all: where one entry can't be a job, no row is made but the batch's own, REJECTED. A zip that
the archive policy refuses is another thing: its job is REJECTED, and the others go on.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict, Field, model_validator

from spaceport import metering
from spaceport.bodies import parse_fields
from spaceport.errors import ErrorText, UserError
from spaceport.intake import Intake, no_such_zip, rejected, unread
from spaceport.job import (
    JobName,
    JobRecord,
    JobRequest,
    Kind,
    PipelineStep,
    S3Uri,
    archive_name,
    batch_id_for,
    bucket_and_key,
    job_id_for,
    now_iso,
    owner_of,
)
from spaceport.jobs import Jobs
from spaceport.sidecar import combined
from spaceport.stages import TERMINAL, Status

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MANIFEST_SUFFIX = ".batch.json"
# S3 answers the last for what is not there to those who may not list, as nobody here may.
_NOT_THERE = frozenset({"NoSuchKey", "NoSuchVersion", "AccessDenied"})
MAX_JOBS = 500
MAX_MANIFEST_BYTES = 256 * 2**10  # of 500 jobs, 500 bytes each
READINGS = 20  # of a batch's row that others sum up in the same moment


class Entry(JobRequest):
    """One zip, and what is asked for it beside the manifest's defaults."""

    s3_url: S3Uri = Field(alias="s3Url")

    def request(self) -> JobRequest:
        """All but the zip."""
        return JobRequest.model_validate(
            self.model_dump(by_alias=True, exclude={"s3_url"}, exclude_unset=True)
        )


class Manifest(BaseModel):
    """A batch as its owner writes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)  # as TuningRequest

    name: JobName | None = None
    defaults: JobRequest = Field(default_factory=JobRequest)
    jobs: list[Entry] = Field(min_length=1, max_length=MAX_JOBS)

    @model_validator(mode="after")
    def _whole_jobs_of_different_zips(self) -> Self:
        if any(asked.pipeline_step is not PipelineStep.SFM for asked in [self.defaults, *self.jobs]):
            raise ValueError("a batch's jobs begin at pipelineStep sfm")
        first: dict[str, int] = {}
        for i, entry in enumerate(self.jobs):
            if (other := first.setdefault(entry.s3_url, i)) != i:
                raise ValueError(f"jobs.{other} and jobs.{i} name the same zip, {entry.s3_url}")
        return self


def parse_manifest(body: bytes) -> Manifest:
    """The manifest in `body`.

    Raises:
        UserError: `bad_body`, `unknown_field` or `bad_field`; the last two name the entry: `jobs.3.s3Url`.
    """
    try:
        written = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UserError("bad_body", "The manifest is not JSON.", "Write one JSON object.") from error
    if not isinstance(written, dict):
        raise UserError("bad_body", "The manifest is not a JSON object.", 'Write {"jobs": [...]}.')
    return parse_fields(Manifest, written)


@dataclass(frozen=True)
class Member:
    """One job of a batch, before it has a row."""

    bucket: str
    key: str
    version: str
    request: JobRequest

    @property
    def job_id(self) -> str:
        return job_id_for(self.bucket, self.key, self.version)


@dataclass(frozen=True)
class Sum:
    """How a batch stands."""

    status: Status
    counts: Mapping[str, int]
    message: str
    error: ErrorText | None = None

    def is_told_by(self, batch: JobRecord) -> bool:
        """Whether the batch's row says the same."""
        return (batch.status, batch.metrics, batch.message) == (self.status, self.counts, self.message)


def sum_of(batch: JobRecord, members: Iterable[JobRecord], erased: int = 0) -> Sum:
    """How `batch` stands when its jobs' rows are these; a job without a row has still to be made.

    `erased`: how many have ended and been deleted since, so that nobody knows any more how they ended.

    It runs until all have ended. Then it is what most of its jobs' owners care for: COMPLETED where there is
    a model at all. An end is final: where a job is retried after it, only the counts follow.
    """
    found = Counter(row.status for row in members)
    total = len(batch.members)
    ended = sum(found[status] for status in TERMINAL) + erased
    counts = {
        "jobs": total,
        "queued": found[Status.QUEUED] + total - found.total() - erased,
        "running": found.total() + erased - found[Status.QUEUED] - ended,
        "ended": ended,
        "deleted": erased,
        **{status.value.lower(): found[status] for status in sorted(TERMINAL)},
    }
    ends = ", ".join(
        f"{found[status]} {status.value.lower()}" for status in sorted(TERMINAL) if found[status]
    )
    if erased:
        ends += f"{', ' if ends else ''}{erased} deleted"
    message = f"{ended} of {total} jobs have ended" + (f": {ends}" if ends else "")
    if batch.is_terminal:
        told = None if batch.error is None else ErrorText(**batch.error.model_dump())
        return Sum(batch.status, counts, message, told)
    if ended < total:
        return Sum(Status.RUNNING, counts, message)
    if found[Status.COMPLETED]:
        return Sum(Status.COMPLETED, counts, message)
    if found[Status.STOPPED] + erased == total:
        return Sum(Status.STOPPED, counts, message)
    none = ErrorText(
        "none_completed",
        f"None of the batch's {total} jobs was completed.",
        "Each of them says why: see `spaceport status`.",
    )
    return Sum(Status.FAILED, counts, message, none)


def must_be_job(row: JobRecord) -> None:
    """Raise UserError `is_batch` where the row is none of a job."""
    if row.kind is Kind.BATCH:
        raise UserError("is_batch", f"{row.job_id} is a batch, not a job.", "Name one of its members.")


class Batches:
    """Makes batches of manifests, and sums them up."""

    def __init__(self, jobs: Jobs, intake: Intake, s3: S3Client) -> None:
        self._jobs = jobs
        self._intake = intake
        self._s3 = s3

    def take(self, bucket: str, key: str, version: str, now: str) -> JobRecord:
        """The batch's row, all of whose jobs have rows. Begun again after a crash, it goes on."""
        fresh = JobRecord(
            job_id=batch_id_for(bucket, key, version),
            kind=Kind.BATCH,
            owner=owner_of(key),
            status=Status.RUNNING,
            job_name=archive_name(key).removesuffix(MANIFEST_SUFFIX),
            source=f"s3://{bucket}/{key}",
            source_version=version,
            created_at=now,
            updated_at=now,
            started_at=now,
        )
        batch = self._jobs.get(fresh.job_id)
        if batch is not None and batch.deleted_at is not None:
            return batch
        try:
            manifest = parse_manifest(self._read(bucket, key, version))
            fresh = fresh.model_copy(update={"email": manifest.defaults.email})  # members tell of none
            keys = [_key(place, entry, bucket, fresh.owner) for place, entry in enumerate(manifest.jobs)]
            if batch is None:
                batch = self._made(self._with_members(fresh, manifest, bucket, keys))
        except UserError as refused:
            return batch or self._made(rejected(fresh, refused).model_copy(update={"started_at": None}))
        # As the row has them: since it was made, a zip may have been deleted, or uploaded once more.
        members = [
            Member(bucket, key, version, combined(manifest.defaults, entry.request()))
            for key, version, entry in zip(keys, batch.member_versions, manifest.jobs, strict=False)
        ]
        self._enrol_all(members, batch.job_id, now)
        return batch

    def _with_members(
        self, fresh: JobRecord, manifest: Manifest, bucket: str, keys: Sequence[str]
    ) -> JobRecord:
        """Raises UserError `no_such_zip`, naming the entry."""
        versions = [self._version(place, bucket, key) for place, key in enumerate(keys)]
        ids = [job_id_for(bucket, key, version) for key, version in zip(keys, versions, strict=True)]
        return fresh.model_copy(
            update={
                "job_name": manifest.name or fresh.job_name,
                "members": ids,
                "member_versions": versions,
                "message": f"0 of {len(ids)} jobs have ended",
            }
        )

    def _made(self, fresh: JobRecord) -> JobRecord:
        """The batch's row; one without members where it is deleted: a late event enrols nobody."""
        if self._jobs.create(fresh):
            return fresh
        found = self._jobs.get(fresh.job_id)
        if found is None or found.deleted_at is not None:
            return fresh.model_copy(update={"members": [], "member_versions": []})
        return found

    def _read(self, bucket: str, key: str, version: str) -> bytes:
        try:
            found = self._s3.get_object(Bucket=bucket, Key=key, VersionId=version)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _NOT_THERE:
                raise
            raise UserError(  # deleted, or expired, before its event came
                "no_such_manifest",
                f"The manifest s3://{bucket}/{key} is gone.",
                "Upload it again.",
            ) from error
        if found["ContentLength"] > MAX_MANIFEST_BYTES:
            raise UserError(
                "too_large",
                f"The manifest is larger than {MAX_MANIFEST_BYTES >> 10} KB.",
                "Make two of it.",
            )
        return found["Body"].read()

    def _version(self, place: int, bucket: str, key: str) -> str:
        try:
            return self._intake.newest_version(bucket, key)
        except UserError as missing:
            raise UserError(missing.code, f"jobs.{place}: {missing.message}", missing.hint) from missing

    def _enrol_all(self, members: Sequence[Member], batch_id: str, now: str) -> None:
        """Raises ExceptionGroup after the last one: what kept some from having a row; the others have."""
        begun, faults = datetime.fromisoformat(now), []
        for place, member in enumerate(members):
            # Each a millisecond later than the one before: lists and the queue are in the manifest's order.
            created = now_iso(begun + timedelta(milliseconds=place))
            try:
                self._enrol(member, batch_id, created)
            except Exception as fault:  # whatever it is, the other members are not to wait for it
                fault.add_note(f"jobs.{place} of {batch_id}: {member.key}")
                faults.append(fault)
        if faults:
            raise ExceptionGroup(f"some jobs of {batch_id} could not be made", faults)

    def _enrol(self, member: Member, batch_id: str, now: str) -> None:
        """Make the member's row, or have its zip's job, which has one, join the batch as it is."""
        row = self._jobs.get(member.job_id)
        if row is None:
            judged = self._judged(member, now)
            if self._jobs.create(judged.model_copy(update={"batch_id": batch_id})):
                metering.job_made(judged)
                return
        if row is None or row.batch_id != batch_id:
            self._jobs.join(member.job_id, batch_id, now)

    def _judged(self, member: Member, now: str) -> JobRecord:
        place = member.bucket, member.key, member.version
        try:
            return self._intake.judge(*place, now, member.request)
        except ClientError:
            if self._intake.has(*place):
                raise
            return rejected(unread(*place, now), no_such_zip(member.bucket, member.key))


def _key(place: int, entry: Entry, bucket: str, owner: str) -> str:
    """The zip's key. Raises UserError `foreign_s3_uri` or `not_a_zip`, naming the entry."""
    named, key = bucket_and_key(entry.s3_url)
    if named != bucket or owner_of(key) != owner:
        raise UserError(
            "foreign_s3_uri",
            f"jobs.{place}.s3Url names a zip that is not one of your uploads.",
            f"Upload it to s3://{bucket}/uploads/{owner}/ first.",
        )
    if not key.lower().endswith(".zip"):
        raise UserError(
            "not_a_zip", f"jobs.{place}.s3Url does not end in .zip.", "Put the photos into a .zip."
        )
    return key


class Summing:
    """Keeps the rows of batches as their jobs' rows are."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def sum_up(self, batch_id: str, now: str) -> Sum | None:
        """How the batch stands, and its row says so now; None where there is no such batch.

        None, too, where others were always quicker: the last of them, or the reconciler, has it right.
        """
        for _ in range(READINGS):
            batch = self._jobs.get(batch_id)
            if batch is None or batch.kind is not Kind.BATCH or batch.status is Status.REJECTED:
                return None
            # After the batch's row: whoever read older rows of jobs than these finds that one changed.
            rows = self._jobs.many(batch.members)
            without = set(batch.members).difference(row.job_id for row in rows)
            found = sum_of(batch, rows, self._jobs.erased(without))
            if found.is_told_by(batch) or self._jobs.sum_up(batch, found, now):
                return found
        return None
