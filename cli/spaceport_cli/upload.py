"""Dropping a zip into the uploads bucket: its key, its settings as metadata, and the job that it becomes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import BotoCoreError, ClientError

from spaceport.errors import UserError
from spaceport.job import OPERATOR, REQUEST_METADATA, JobRequest, batch_id_for, job_id_for
from spaceport.sidecar import to_metadata
from spaceport.uploads import key_stem
from spaceport_cli.exits import UsageError
from spaceport_cli.photos import PhotoZip

Sent = Callable[[int, int], None]  # bytes sent so far, bytes in all


@dataclass(frozen=True)
class Drop:
    """A zip, where it goes, and what is asked of it."""

    bucket: str
    key: str
    metadata: str
    zip: PhotoZip


def plan_drop(bucket: str, photos: PhotoZip, request: JobRequest) -> Drop:
    """Where `photos` goes: the same bytes always to the same key. Raises UsageError for a name too long."""
    key = f"uploads/{OPERATOR}/{key_stem(photos.name)}-{photos.digest[:12]}.zip"
    return Drop(bucket, key, metadata_of(request), photos)


def metadata_of(request: JobRequest) -> str:
    """`request` as it travels with a zip. Raises UsageError for a name too long."""
    try:
        return to_metadata(request)
    except UserError as error:
        raise UsageError(error.message, "Choose a shorter --name.") from error


def find_job(s3: Any, drop: Drop) -> str | None:
    """The id of the job that this very zip with these very settings became before, or None.

    Raises:
        UserError: `upload_failed`, when the bucket can't be asked.
    """
    try:
        head = _head(s3, drop.bucket, drop.key)
    except (BotoCoreError, ClientError) as error:
        raise _unreachable(error) from error
    if head is None or head["Metadata"].get(REQUEST_METADATA) != drop.metadata:
        return None
    return job_id_for(drop.bucket, drop.key, head["VersionId"])


def send(s3: Any, drop: Drop, sent: Sent) -> str:
    """Upload the zip, in parts where it is large, and return its job's id.

    Raises:
        UserError: `upload_failed`, when the bucket did not take it.
    """
    counter = _Counter(drop.zip.path.stat().st_size, sent)
    extra = {"ContentType": "application/zip", "Metadata": {REQUEST_METADATA: drop.metadata}}
    try:
        s3.upload_file(str(drop.zip.path), drop.bucket, drop.key, ExtraArgs=extra, Callback=counter)
        head = s3.head_object(Bucket=drop.bucket, Key=drop.key)
    except (S3UploadFailedError, BotoCoreError, ClientError) as error:
        raise _unreachable(error) from error
    return job_id_for(drop.bucket, drop.key, head["VersionId"])


def send_manifest(s3: Any, bucket: str, key: str, manifest: Mapping[str, Any]) -> str:
    """Upload the manifest, if it is not there yet, and return its batch's id.

    Raises:
        UserError: `upload_failed`, when the bucket did not take it.
    """
    try:
        head = _head(s3, bucket, key)
        if head is None:
            head = s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(manifest).encode())
    except (BotoCoreError, ClientError) as error:
        raise _unreachable(error) from error
    return batch_id_for(bucket, key, head["VersionId"])


def _head(s3: Any, bucket: str, key: str) -> dict[str, Any] | None:
    """What the bucket knows of the object; None where there is none. Raises ClientError, BotoCoreError."""
    try:
        head: dict[str, Any] = s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] in {"404", "NoSuchKey"}:
            return None
        raise
    return head


def _unreachable(error: Exception) -> UserError:
    return UserError(
        "upload_failed",
        f"The photos could not be uploaded: {error}",
        "Check the connection, and by `spaceport doctor --stack NAME` the bucket and your rights on it;"
        " then run the command again.",
    )


class _Counter:
    """Adds up the parts that boto3 sends from several threads."""

    def __init__(self, total: int, sent: Sent) -> None:
        self._total, self._sent = total, sent
        self._done = 0
        self._lock = threading.Lock()

    def __call__(self, count: int) -> None:
        with self._lock:
            self._done += count
            self._sent(self._done, self._total)
