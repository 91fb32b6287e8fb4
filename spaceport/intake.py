"""Taking a zip in: from an object in the uploads bucket to the row of its job, QUEUED or REJECTED.

Reads only the zip's directory, its `spaceport.json` and some photos' first bytes, by ranged GETs. A dropped
zip comes here by its event, and one that `POST /start-job` names by the request, whichever is first: the job
is the same, and has one row.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, cast

from botocore.exceptions import ClientError
from pydantic import TypeAdapter, ValidationError

from spaceport import archive, sampling
from spaceport.archive import SIDECAR_NAME, ArchiveWarning
from spaceport.errors import UserError
from spaceport.job import (
    REQUEST_METADATA,
    JobError,
    JobRecord,
    JobRequest,
    S3Uri,
    archive_name,
    empty_stages,
    job_id_for,
    owner_of,
    zip_job_name,
)
from spaceport.ranges import S3Object
from spaceport.sidecar import combined, parse_metadata, read_sidecar
from spaceport.stages import Status

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

S3_URI: TypeAdapter[str] = TypeAdapter(S3Uri)
# Without s3:ListBucket, which nobody here has, S3 answers 403 for what is not there; 400 for what can't be
# a key: one of more than 1024 bytes.
NOT_THERE = frozenset({"404", "403", "400"})
# A zip may come from a stranger, who would have us write to anybody by the hand of whoever uploads it.
_EMAIL_IN_ZIP = ArchiveWarning(
    "email_in_zip",
    f"The email in the zip's {SIDECAR_NAME} is not used: who uploads the zip, or starts its job, names one.",
)


class Intake:
    """The zips of an uploads bucket."""

    def __init__(self, s3: S3Client) -> None:
        self._s3 = s3

    def newest_version(self, bucket: str, key: str) -> str:
        """The id of the version that a plain GET reads. Raises UserError `no_such_zip`."""
        try:
            return self._s3.head_object(Bucket=bucket, Key=key)["VersionId"]
        except ClientError as error:
            if error.response["Error"]["Code"] not in NOT_THERE:
                raise
            raise no_such_zip(bucket, key) from error

    def has(self, bucket: str, key: str, version: str) -> bool:
        """Whether this version of a zip is still there."""
        try:
            self._s3.head_object(Bucket=bucket, Key=key, VersionId=version)
        except ClientError as error:
            if error.response["Error"]["Code"] not in NOT_THERE:
                raise
            return False
        return True

    def judge(
        self, bucket: str, key: str, version: str, now: str, asked: JobRequest | None = None
    ) -> JobRecord:
        """The row for this upload: QUEUED, or REJECTED where the archive, its sidecar or metadata is refused.

        Args:
            asked: what its owner asks for beside what the metadata and the zip's own sidecar say.
        """
        queued = unread(bucket, key, version, now)
        asked = asked or JobRequest()
        told = asked.email  # whom to tell that the zip is refused
        try:
            check_place(queued.source)
            metadata = self._metadata(bucket, key, version)
            told = told or metadata.email
            file = S3Object(self._s3, bucket, key, version)
            contents = archive.inspect(cast("IO[bytes]", file), archive_name(key))
            own = read_sidecar(file, contents.sidecar)
            request = combined(own.model_copy(update={"email": None}), metadata, asked)
            warnings = [*contents.warnings, *sampling.look_at(file, contents, archive_name(key))]
            if own.email is not None:
                warnings.append(_EMAIL_IN_ZIP)
        except UserError as refused:
            return rejected(queued, refused).model_copy(update={"email": told})
        return queued.model_copy(
            update={
                "job_name": request.job_name or queued.job_name,
                "email": request.email,
                "source_digest": contents.digest,
                "warnings": [warning.message for warning in warnings],
                "request": request.model_dump(mode="json", by_alias=True, exclude_none=True),
            }
        )

    def _metadata(self, bucket: str, key: str, version: str) -> JobRequest:
        """What the object's metadata asks for. Raises UserError `bad_metadata`."""
        head = self._s3.head_object(Bucket=bucket, Key=key, VersionId=version)
        return parse_metadata(head["Metadata"].get(REQUEST_METADATA, "{}"))


def unread(bucket: str, key: str, version: str, now: str) -> JobRecord:
    """The row for an upload of which only the name is known."""
    return JobRecord(
        job_id=job_id_for(bucket, key, version),
        owner=owner_of(key),
        job_name=zip_job_name(key),
        source=f"s3://{bucket}/{key}",
        source_version=version,
        created_at=now,
        updated_at=now,
        stages=empty_stages(),
    )


def rejected(row: JobRecord, refused: UserError) -> JobRecord:
    """The row of a job that is not taken in."""
    error = JobError(code=refused.code, message=refused.message, hint=refused.hint)
    return row.model_copy(update={"status": Status.REJECTED, "error": error})


def no_such_zip(bucket: str, key: str) -> UserError:
    """That there is none where one was named."""
    return UserError(
        "no_such_zip",
        f"There is no zip at s3://{bucket}/{key}.",
        "Upload it first, then start its job.",
    )


def check_place(source: str) -> None:
    """Raise UserError `bad_key` where no execution can be given `source`: it would stay in the queue."""
    try:
        S3_URI.validate_python(source)
    except ValidationError as error:
        raise UserError(
            "bad_key",
            f"{source[:100]!r} can't be a zip's address: it is too long, or holds control characters.",
            "Upload the zip again under a shorter, plain name.",
        ) from error
