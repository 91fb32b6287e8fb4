"""What SageMaker's agent copies between S3 and a job's folders."""

from __future__ import annotations

import logging
import tarfile
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from boto3.s3.transfer import TransferConfig

from spaceport_local.sagemaker.record import ClientFaultError

# One request an object: here every part of a multipart transfer is one more copy in the engine's memory,
# and a ranged GET loads the whole object. 5 GB is the most that S3 takes in one PUT.
SINGLE = TransferConfig(multipart_threshold=5_000_000_000, use_threads=False)
MIRROR_INTERVAL_S = 2.0

logger = logging.getLogger(__name__)


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`. Raises ClientFaultError for anything else."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket:
        raise ClientFaultError(f"{uri!r} is not an S3 URI.")
    return bucket, key


def download_prefix(s3: Any, uri: str, folder: Path, *, required: bool = True) -> int:
    """Copy every object whose key begins with the URI's into `folder`; return how many.

    Raises:
        ClientFaultError: nothing is there and it is `required`, or a key would leave the folder.
    """
    bucket, prefix = split_uri(uri)
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            key = entry["Key"]
            if key.endswith("/"):
                continue  # a console's folder marker
            relative = key[len(prefix) :].lstrip("/") or key.rsplit("/", 1)[-1]
            file = folder / relative
            if not file.resolve().is_relative_to(folder.resolve()):
                raise ClientFaultError(f"The key {key!r} leads out of the job's folder.")
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("wb") as target:
                for chunk in s3.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(1 << 20):
                    target.write(chunk)
            count += 1
    if required and not count:
        raise ClientFaultError(
            f'Data download failed:No S3 objects found under S3 URL "{uri}" given in input data source.'
        )
    return count


def upload_folder(s3: Any, folder: Path, uri: str) -> int:
    """Copy every file below `folder` under the URI; return how many. No media type is guessed, as on AWS."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    for file in files:
        upload_file(s3, file, f"{uri.rstrip('/')}/{file.relative_to(folder).as_posix()}")
    return len(files)


def upload_file(s3: Any, file: Path, uri: str) -> None:
    bucket, key = split_uri(uri)
    s3.upload_file(str(file), bucket, key, Config=SINGLE)


def pack(folder: Path, archive: Path) -> None:
    """`model.tar.gz` as SageMaker makes it: the folder's contents at the archive's root."""
    with tarfile.open(archive, "w:gz") as tar:
        for entry in sorted(folder.iterdir()):
            tar.add(entry, entry.name)


class Mirror(AbstractContextManager["Mirror"]):
    """Copies a folder to S3 while a job works in it, only what changed; once more when it ends."""

    def __init__(self, s3: Any, folder: Path, uri: str, interval_s: float = MIRROR_INTERVAL_S) -> None:
        self._s3 = s3
        self._folder = folder
        self._uri = uri.rstrip("/")
        self._interval_s = interval_s
        self._copied: dict[Path, tuple[int, int]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"mirror {folder}", daemon=True)

    def __enter__(self) -> Mirror:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.copy_changed()

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            self.copy_changed()

    def copy_changed(self) -> None:
        """Copy each file that is new or was written since its last copy."""
        for file in sorted(self._folder.rglob("*")):
            try:
                stat = file.stat()
                seen = (stat.st_mtime_ns, stat.st_size)
                if not file.is_file() or self._copied.get(file) == seen:
                    continue
                upload_file(self._s3, file, f"{self._uri}/{file.relative_to(self._folder).as_posix()}")
                self._copied[file] = seen
            except FileNotFoundError:
                continue  # replaced or removed between the listing and the copy
            except Exception:
                logger.exception("could not copy %s; the next round tries again", file)
