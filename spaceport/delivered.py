"""A job's delivered files: one folder of the data bucket, which browsers read."""

from __future__ import annotations

import mimetypes
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from spaceport.artifacts import is_older
from spaceport.job import bucket_and_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Python's own table lacks them.
mimetypes.add_type("model/gltf-binary", ".glb")
mimetypes.add_type("image/webp", ".webp")
# A large model in levels of detail has hundreds of files, and a copy takes S3 tens of milliseconds. It is the
# connections that a client keeps.
COPIES_AT_ONCE = 10
# Larger files are for programs, which ask for no type. The function has a minute for all copies, and S3
# refuses to copy more than 5 GB.
LARGEST_COPY = 200_000_000
# S3 answers the latter for what is not there where listing is allowed below a prefix only: a GET names none.
NOT_THERE = frozenset({"NoSuchKey", "AccessDenied"})


class Delivered:
    """The files below `s3_uri`, which ends with a slash; names are relative to it.

    Those older than `begun` are an earlier run's: as if they were not there.
    """

    def __init__(self, s3: S3Client, s3_uri: str, begun: datetime | None = None) -> None:
        self._s3 = s3
        self._bucket, self._prefix = bucket_and_key(s3_uri)
        self._begun = begun

    def read(self, name: str) -> bytes | None:
        """The file's contents; None where there is none."""
        try:
            found = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + name)
        except ClientError as error:
            if error.response["Error"]["Code"] not in NOT_THERE:
                raise
            return None
        return found["Body"].read() if self._is_own(found["LastModified"]) else None

    def write(self, name: str, body: bytes, media_type: str) -> None:
        self._s3.put_object(Bucket=self._bucket, Key=self._prefix + name, Body=body, ContentType=media_type)

    def link(self, base_url: str, name: str) -> str:
        """Where `name` is on the web, `base_url` being where the bucket is."""
        return f"{base_url}/{self._prefix}{name}"

    def give_media_types(self, prefix: str) -> None:
        """Give the files whose names begin with `prefix` the media types that SageMaker did not.

        Browsers download plain bytes where they would show a page or play a video. What is plain bytes, or
        larger than LARGEST_COPY, stays as it is.
        """
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        shown = [
            found["Key"]
            for page in pages
            for found in page.get("Contents", [])
            if found["Size"] <= LARGEST_COPY and self._is_own(found["LastModified"])
        ]
        with ThreadPoolExecutor(COPIES_AT_ONCE) as threads:
            list(threads.map(self._give_media_type, shown))

    def _is_own(self, written: datetime) -> bool:
        return self._begun is None or not is_older(written, self._begun)

    def _give_media_type(self, key: str) -> None:
        media_type, _ = mimetypes.guess_type(key)
        if media_type is None:
            return
        self._s3.copy_object(
            Bucket=self._bucket,
            Key=key,
            CopySource={"Bucket": self._bucket, "Key": key},
            ContentType=media_type,
            MetadataDirective="REPLACE",
        )
