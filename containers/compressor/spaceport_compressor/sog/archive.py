"""The zip that a SOG file is: stored (the images are compressed already), the same bytes every time."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

FIXED_TIME = (1980, 1, 1, 0, 0, 0)  # the zip format's zero: the file depends on its contents alone


def write_archive(path: Path, files: Mapping[str, bytes]) -> None:
    """Write `files` (name → contents) in their order."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, FIXED_TIME), data)


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """One file's contents. Raises ValueError where it is missing or damaged."""
    try:
        return archive.read(name)
    except KeyError as error:
        raise ValueError(f"{name} is missing") from error
    except zipfile.BadZipFile as error:
        raise ValueError(f"{name} is damaged") from error
