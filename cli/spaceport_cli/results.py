"""Bringing a finished job's results to this machine."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError

from spaceport.errors import UserError
from spaceport.formats import FILES, LEVELS_OF_DETAIL, Format
from spaceport.job import Outputs
from spaceport.pictures import THUMBNAIL, VIDEO
from spaceport.quality import QUALITY_REPORT, QualityReport

# Which output of the row becomes which file. One in a folder is its index: the whole folder comes with it.
# The model as PLY and as glTF is not among them: each is ten times as large as all of these.
_FILES = {
    "quality": QUALITY_REPORT,  # first: where the others come only half, it says that the folder is a job's
    "sog": "model.sog",
    "report": "report.html",
    "video": VIDEO,
    "thumbnail": THUMBNAIL,
    "georef": "georef.json",
    "cameras": "cameras.geojson",
    "points": "points.ply",
    Format.SPZ.value: FILES[Format.SPZ],
    Format.TILES.value: FILES[Format.TILES],
    "lod": LEVELS_OF_DETAIL,
}
_DOWNLOADS_AT_ONCE = 10  # the connections that a client keeps
_MISSING = {"404", "NoSuchKey"}


@dataclass(frozen=True)
class Results:
    """What was brought: files and folders, into `folder`, and what `quality.json` says, if there is one."""

    folder: Path
    files: tuple[str, ...]
    quality: QualityReport | None


def fetch(s3: Any, outputs: Outputs, folder: Path) -> Results:
    """Download the results that the job has into `folder`, made if it is not there.

    A result that the row does not name, or that is gone from the bucket, is left out. Where `folder` holds an
    earlier job's results, none of them is left there; without their `quality.json` nothing is taken away, and
    nothing written over.

    Raises:
        UserError: `download_failed`; `not_overwritten`; `bad_quality`, when `quality.json` is not what the
            contract says.
    """
    files: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        has_earlier = (folder / QUALITY_REPORT).is_file()
        if not has_earlier:
            _check_free(s3, outputs, folder)
        for output, name in _FILES.items():
            uri: str | None = getattr(outputs, output)
            inside = PurePosixPath(name).parent
            if inside.name:
                if has_earlier:
                    _forget(folder / name)
                if uri is not None and _download_around(s3, uri, folder / inside):
                    files.append(f"{inside}/")
            elif uri is not None and _download(s3, uri, folder / name):
                files.append(name)
            elif has_earlier:  # one of this name would be taken for this job's
                (folder / name).unlink(missing_ok=True)
    except (BotoCoreError, ClientError, OSError) as error:
        raise UserError(
            "download_failed",
            f"The results could not be saved in {folder}: {error}",
            "The job is done: run the same command again to fetch them, or choose another --out.",
        ) from error
    return Results(folder, tuple(files), _report(folder) if QUALITY_REPORT in files else None)


def fetch_one(s3: Any, uri: str, target: Path) -> bool:
    """Download one result to the file `target`, its folder made; False where it is gone from the bucket.

    Raises:
        UserError: `download_failed`.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return _download(s3, uri, target)
    except (BotoCoreError, ClientError, OSError) as error:
        raise UserError(
            "download_failed", f"{uri} could not be saved as {target}: {error}", "Choose another --out."
        ) from error


def _check_free(s3: Any, outputs: Outputs, folder: Path) -> None:
    """Raises UserError `not_overwritten` where a file is in a result's way that no job has left."""
    for output, name in _FILES.items():
        uri: str | None = getattr(outputs, output)
        if uri is not None and (folder / name).exists() and _is_there(s3, uri):
            raise UserError(
                "not_overwritten",
                f"{folder / name} is there already, and no job's: no {QUALITY_REPORT} lies beside it.",
                "The job is done, and nothing was written: move the file away, or choose another --out.",
            )


def _is_there(s3: Any, uri: str) -> bool:
    place = urlsplit(uri, allow_fragments=False)
    try:
        s3.head_object(Bucket=place.netloc, Key=place.path.lstrip("/"))
    except ClientError as error:
        if error.response["Error"]["Code"] not in _MISSING:
            raise
        return False
    return True


def _forget(index: Path) -> None:
    """Take away an earlier job's folder. One without `index` is none of ours."""
    if index.is_file():
        shutil.rmtree(index.parent)


def _download_around(s3: Any, index: str, folder: Path) -> int:
    """Download all that lies around the file at `index` into `folder`; returns how many files."""
    place = urlsplit(index, allow_fragments=False)
    prefix = place.path.lstrip("/").rpartition("/")[0] + "/"
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=place.netloc, Prefix=prefix)
    keys = [found["Key"] for page in pages for found in page.get("Contents", [])]

    def download(key: str) -> bool:
        return _download(s3, f"s3://{place.netloc}/{key}", folder / key.removeprefix(prefix))

    with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as threads:
        return sum(threads.map(download, keys))


def _download(s3: Any, uri: str, target: Path) -> bool:
    target.parent.mkdir(parents=True, exist_ok=True)
    place = urlsplit(uri, allow_fragments=False)
    try:
        s3.download_file(place.netloc, place.path.lstrip("/"), str(target))
    except ClientError as error:
        if error.response["Error"]["Code"] in _MISSING:
            return False
        raise
    return True


def _report(folder: Path) -> QualityReport:
    path = folder / QUALITY_REPORT
    try:
        return QualityReport.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise UserError(
            "bad_quality",
            f"{path} can't be read: {error.errors()[0]['msg']}.",
            "The cloud may be of another version than this command: update spaceport.",
        ) from error
