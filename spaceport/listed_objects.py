"""Objects of a bucket by prefix, and their deletion, in pages of what one call of S3 lists and deletes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectTypeDef


class ListedObjects:
    """The objects of one bucket."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def pages(self, prefix: str) -> Iterator[list[ObjectTypeDef]]:
        """The objects below `prefix`, 1000 at most at a time; no page is empty."""
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
            if found := page.get("Contents", []):
                yield found

    def delete(self, keys: Sequence[str]) -> int:
        """Delete them, 1000 at most; returns how many those are.

        Raises:
            RuntimeError: S3 kept some of them.
        """
        if not keys:
            return 0
        answer = self._s3.delete_objects(
            Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
        )
        if errors := answer.get("Errors"):
            raise RuntimeError(f"{len(errors)} of {len(keys)} objects stay; the first: {errors[0]}")
        return len(keys)

    def delete_below(self, prefix: str) -> int:
        """Delete all that is below `prefix`; otherwise as `delete`."""
        return sum(self.delete([found["Key"] for found in page]) for page in self.pages(prefix))
