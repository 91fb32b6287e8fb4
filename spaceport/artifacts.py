"""What a job has made: the objects below `jobs/{jobId}/` in the data bucket."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from spaceport.job import bucket_and_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Artifacts:
    """The artifacts of all jobs of one stack."""

    def __init__(self, s3: S3Client, data_bucket: str) -> None:
        self._s3 = s3
        self._bucket = data_bucket

    def first_missing(self, uris: Iterable[str]) -> str | None:
        """The first of these `s3://` URIs where nothing is; None where all are there.

        As SageMaker looks for its inputs: by prefix.
        """
        for uri in uris:
            bucket, key = bucket_and_key(uri)
            if not self._s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)["KeyCount"]:
                return uri
        return None

    def discard(self, job_id: str) -> int:
        """Delete all that `job_id` has made; returns how many objects that were.

        Raises:
            RuntimeError: S3 kept some of them.
        """
        deleted = 0
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=f"jobs/{job_id}/"
        )
        for page in pages:  # a page has at most as many keys as one call may delete: 1000
            keys = [found["Key"] for found in page.get("Contents", [])]
            if not keys:
                continue
            answer = self._s3.delete_objects(
                Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
            )
            if errors := answer.get("Errors"):
                raise RuntimeError(f"{len(errors)} artifacts of {job_id} stay; the first: {errors[0]}")
            deleted += len(keys)
        return deleted
