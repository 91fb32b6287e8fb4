"""What a job has made: the objects below `jobs/{jobId}/` in the data bucket."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from spaceport.job import bucket_and_key
from spaceport.listed_objects import ListedObjects

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def is_older(written: datetime, begun: datetime) -> bool:
    """Whether an object `written` then, as S3 says, is older than what has `begun`: an earlier run left it.

    S3 tells whole seconds: one of the same second counts as the later run's.
    """
    return written < begun.replace(microsecond=0)


class Artifacts:
    """The artifacts of all jobs of one stack."""

    def __init__(self, s3: S3Client, data_bucket: str) -> None:
        self._s3 = s3
        self._bucket = data_bucket
        self._objects = ListedObjects(s3, data_bucket)

    def first_missing(self, uris: Iterable[str]) -> str | None:
        """The first of these `s3://` URIs where nothing is; None where all are there.

        As SageMaker looks for its inputs: by prefix.
        """
        for uri in uris:
            bucket, key = bucket_and_key(uri)
            if not self._s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)["KeyCount"]:
                return uri
        return None

    def home(self, job_id: str) -> str:
        """The `s3://` folder of all that `job_id` makes."""
        return f"s3://{self._bucket}/jobs/{job_id}/"

    def changed(self, uri: str) -> datetime | None:
        """When the object at `uri` was written, to the second; None where there is none."""
        bucket, key = bucket_and_key(uri)
        # Not a HEAD, which only those may who may read it too.
        found = self._s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents", [])
        return found[0]["LastModified"] if found and found[0]["Key"] == key else None

    def discard(self, job_id: str) -> int:
        """Delete all that `job_id` has made; returns how many objects that were.

        Raises:
            RuntimeError: S3 kept some of them.
        """
        return self._objects.delete_below(f"jobs/{job_id}/")

    def discard_folders(self, job_id: str, folders: Iterable[str]) -> int:
        """Delete what `job_id` has made in these folders of its own; otherwise as `discard`."""
        return sum(self._objects.delete_below(f"jobs/{job_id}/{folder}") for folder in folders)

    def discard_older(self, folder: str, names: Sequence[str], begun: datetime) -> int:
        """Delete what an earlier run left in `folder`, an `s3://` URI; returns how many objects that were.

        Args:
            names: what their names in the folder begin with; others stay.
            begun: when the run's work in the folder began: what is older is an earlier one's.

        Raises:
            RuntimeError: S3 kept some of them.
        """
        _, prefix = bucket_and_key(folder)
        return sum(
            self._objects.delete(
                [
                    found["Key"]
                    for found in page
                    if found["Key"].removeprefix(prefix).startswith(tuple(names))
                    and is_older(found["LastModified"], begun)
                ]
            )
            for page in self._objects.pages(prefix)
        )
