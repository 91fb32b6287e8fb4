"""The zip that a SOG file is: stored (the images are compressed already), the same bytes every time."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

# What other writers deflate is meta.json, to a third or so; zlib's utmost is a thousandth.
LARGEST_SHRINKAGE = 100
FIXED_TIME = (1980, 1, 1, 0, 0, 0)  # the zip format's zero: the file depends on its contents alone


def write_archive(path: Path, files: Mapping[str, bytes]) -> None:
    """Write `files` (name → contents) in their order."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, FIXED_TIME), data)


def open_archive(path: Path) -> zipfile.ZipFile:
    """The zip at `path`, to be closed. Raises ValueError where it is none that can be read."""
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, struct.error) as error:
        raise ValueError(str(error)) from error


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """One file's contents.

    Raises:
        ValueError: it is missing or damaged, has a password, or would fill the memory.
    """
    try:
        told = archive.getinfo(name)
        if told.file_size > LARGEST_SHRINKAGE * (told.compress_size + 1024):
            raise ValueError(f"{name} unpacks to {told.file_size} bytes from {told.compress_size}")
        return archive.read(told)
    except KeyError as error:
        raise ValueError(f"{name} is missing") from error
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError) as error:
        raise ValueError(f"{name} is damaged") from error
    except (NotImplementedError, RuntimeError) as error:  # a packing that Python lacks; a password
        raise ValueError(f"{name} can't be unpacked: {error}") from error
