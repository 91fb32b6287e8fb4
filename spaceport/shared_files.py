"""What a link shows: copies of a job's viewer and of the model that it draws, in a folder of the link's own.

Copies, because whoever looks sees where the files come from: an address in the job's own folder would tell
the job's id, and with it, where the site is on, a link that never ends. They are private; a browser gets
addresses that are signed for a minute, and none once the link has ended or is taken back.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from spaceport.delivered import COPIES_AT_ONCE, NOT_THERE
from spaceport.formats import LEVELS_OF_DETAIL
from spaceport.job import bucket_and_key
from spaceport.links import Link
from spaceport.listed_objects import ListedObjects
from spaceport.partial import SOG

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PAGE = "viewer/index.html"
POSTER = "viewer/poster.jpg"
# From the redirection to the request that follows it; a download that has begun goes on.
ADDRESS_LIFE_S = 60
_FOLDER = "shared/"
_NAME = re.compile(r"(viewer/|lod/)([A-Za-z0-9_-][A-Za-z0-9._-]*/)*[A-Za-z0-9_-][A-Za-z0-9._-]*|model\.sog")


def is_shown(name: str) -> bool:
    """Whether a link may show a file of this name: the viewer's, the model's."""
    return _NAME.fullmatch(name) is not None


class SharedFiles:
    """The copies, in the data bucket."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._objects = ListedObjects(s3, bucket)

    def copy(self, compressed_s3_uri: str, has_lod: bool, link: Link) -> int:
        """Copy what the viewer in this folder needs; returns how many files that were.

        Args:
            compressed_s3_uri: where the compression stage's results are, with a slash at the end.
            has_lod: the viewer shows the model in levels of detail, and not the file with all of it.
        """
        bucket, prefix = bucket_and_key(compressed_s3_uri)
        model = LEVELS_OF_DETAIL.partition("/")[0] + "/" if has_lod else SOG  # what the page draws
        names = [
            found["Key"].removeprefix(prefix)
            for part in ("viewer/", model)
            for page in ListedObjects(self._s3, bucket).pages(prefix + part)
            for found in page
        ]
        shown = [name for name in names if is_shown(name)]

        def copy_one(name: str) -> None:
            source = {"Bucket": bucket, "Key": prefix + name}
            self._s3.copy_object(Bucket=self._bucket, Key=_folder_of(link) + name, CopySource=source)  # type: ignore[arg-type]

        with ThreadPoolExecutor(COPIES_AT_ONCE) as threads:
            list(threads.map(copy_one, shown))
        return len(shown)

    def page(self, link: Link) -> str | None:
        """The viewer's page; None where it is not there (any more)."""
        try:
            found = self._s3.get_object(Bucket=self._bucket, Key=_folder_of(link) + PAGE)
        except ClientError as error:
            if error.response["Error"]["Code"] not in NOT_THERE:
                raise
            return None
        return found["Body"].read().decode()

    def address(self, link: Link, name: str, seconds: int) -> str:
        """Where a browser reads the file `name` for so long, whether it is there or not."""
        return self._s3.generate_presigned_url(
            "get_object",
            Params={"Bucket": self._bucket, "Key": _folder_of(link) + name},
            ExpiresIn=min(ADDRESS_LIFE_S, seconds),
        )

    def erase(self, job_id: str, link: Link | None = None) -> int:
        """Delete the copies of one link of the job, or of all; returns how many files that were.

        Raises:
            RuntimeError: S3 kept some of them.
        """
        prefix = _folder_of_job(job_id) if link is None else _folder_of(link)
        return self._objects.delete_below(prefix)

    def erase_but(self, job_id: str, spared: Callable[[], Iterable[Link]]) -> int:
        """Delete the copies of all links of the job but those of `spared`; returns how many files that were.

        Args:
            spared: asked after each page of the list: a link's row is there before its copies, so that
                what is listed of a link made meanwhile is found to be its own.

        Raises:
            RuntimeError: S3 kept some of them.
        """
        erased = 0
        for page in self._objects.pages(_folder_of_job(job_id)):
            kept = tuple(_folder_of(link) for link in spared())
            erased += self._objects.delete(
                [found["Key"] for found in page if not found["Key"].startswith(kept)]
            )
        return erased


def _folder_of_job(job_id: str) -> str:
    """All copies of a job's files: found by the job's id, which it does not tell."""
    return f"{_FOLDER}{hashlib.sha256(f'shared {job_id}'.encode()).hexdigest()[:32]}/"


def _folder_of(link: Link) -> str:
    return f"{_folder_of_job(link.job_id)}{link.digest[:32]}/"
