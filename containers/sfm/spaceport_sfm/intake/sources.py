"""Where photos come from: a zip, or a plain folder; one photo's bytes at a time, counted.

Nothing is unpacked to disk: a photo is read into memory when its turn comes, so that a name can't lead
outside of a folder, and a zip takes no more room than the photos being worked on.
"""

from __future__ import annotations

import codecs
import os
import re
import threading
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from spaceport.archive import check_count, ground_control_among, inspect, is_junk, is_photo
from spaceport.errors import UserError
from spaceport_sfm.photo import UnusablePhotoError

CHUNK_BYTES = 1 << 20
MAX_GROUND_CONTROL_BYTES = 4 << 20  # 50,000 marks, ten on each of the photos of the largest flight

# What zipfile and its decompressor raise where an entry is damaged.
DAMAGED = (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, UnicodeDecodeError)


class PhotoSource(Protocol):
    """Photos by name.

    Attributes:
        photos: their full names in natural order.
        ground_control: the name of the list of ground control points.
    """

    photos: tuple[str, ...]
    ground_control: str | None

    def size(self, name: str) -> int:
        """Bytes that the file `name` declares; `read` returns as many.

        Raises:
            UnusablePhotoError: `unreadable`.
        """

    def read(self, name: str) -> bytes:
        """The bytes of the file `name`. May be called by several threads.

        Raises:
            UnusablePhotoError: `damaged` or `unreadable`: nothing but this file is at fault.
            OSError: the machine's fault.
        """


@contextmanager
def open_source(path: Path) -> Iterator[PhotoSource]:
    """The photos in the zip or the folder `path`.

    Raises:
        UserError: as `spaceport.archive.inspect` for a zip; `too_few_photos` and `too_many_photos` for both.
    """
    if path.is_dir():
        yield FolderSource(path)
    else:
        with path.open("rb") as file:
            yield ZipSource(file, path.name)


class ZipSource:
    """Photos in a zip that `spaceport.archive` accepts."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        contents = inspect(file, name)
        self.photos = natural_order([photo.name for photo in contents.photos])
        self.ground_control = contents.ground_control
        self._zip = zipfile.ZipFile(file)
        # zipfile shares its file among readers, but counts them without a lock.
        self._opening = threading.Lock()

    def size(self, name: str) -> int:
        return self._zip.getinfo(name).file_size

    def read(self, name: str) -> bytes:
        """As `PhotoSource.read`.

        `zipfile` itself never reads past the size an entry declares, and then finds its checksum wrong; what
        it does not notice is a file that ends before.
        """
        size = self.size(name)
        content = bytearray()
        try:
            if self._zip.getinfo(name).header_offset < 0:  # zipfile would seek there
                raise EOFError("the zip's beginning is missing")
            with self._opening:
                packed = self._zip.open(name)
            try:
                while chunk := packed.read(CHUNK_BYTES):
                    content += chunk
            finally:
                with self._opening:
                    packed.close()
            if len(content) != size:
                raise EOFError(f"{len(content)} of its {size} bytes are there")
        except DAMAGED as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's, not the zip's: it has a number
            raise UnusablePhotoError("damaged", f"is damaged in the zip: {error}") from error
        return bytes(content)


class FolderSource:
    """Photos in a folder and the folders below it, named by their path from there."""

    def __init__(self, folder: Path) -> None:
        names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        # A name that is no text could not be written in any report. Two of them must not become one.
        self._files = {os.fsencode(name).decode(errors="backslashreplace"): folder / name for name in names}
        wanted = [name for name in self._files if not is_junk(name)]
        others = sorted(name for name in wanted if not is_photo(name))
        self.photos = natural_order([name for name in wanted if is_photo(name)])
        self.ground_control = ground_control_among(others)
        check_count(self.photos, others, folder.name)

    def size(self, name: str) -> int:
        with _readable():
            return self._files[name].stat().st_size

    def read(self, name: str) -> bytes:
        with _readable():
            return self._files[name].read_bytes()


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnusablePhotoError("unreadable", f"can't be read: {error.strerror}") from error


def read_ground_control(source: PhotoSource) -> str | None:
    """The text of the list of ground control points in `source`.

    Raises:
        UserError: `bad_ground_control`, where it is there but no text: someone relies on it.
    """
    name = source.ground_control
    if name is None:
        return None
    try:
        if source.size(name) > MAX_GROUND_CONTROL_BYTES:
            raise _bad_ground_control(name, f"has more than {MAX_GROUND_CONTROL_BYTES >> 20} MB")
        # Windows' editors put a mark before UTF-8, or write UTF-16, which always begins with one.
        content = source.read(name)
        utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return content.decode("utf-16" if utf_16 else "utf-8-sig")
    except UnusablePhotoError as error:
        raise _bad_ground_control(name, error.reason) from error
    except UnicodeDecodeError as error:
        raise _bad_ground_control(name, f"is not text in UTF-8 (byte {error.start})") from error


def _bad_ground_control(name: str, reason: str) -> UserError:
    return UserError(
        "bad_ground_control",
        f"The list of ground control points {name} {reason}.",
        "Write it anew as plain text, or leave it out.",
    )


def scene_names(sources: Sequence[str]) -> list[str]:
    """A name for each of the photos, in the given order: its number, then what its owner calls it.

    The number makes two photos of the same name in two folders different, and keeps sorted order the
    order of `sources`, whatever characters the paths hold.

    >>> scene_names(["a/DJI_0001.JPG", "b/DJI_0001.JPG"])
    ['0001_DJI_0001', '0002_DJI_0001']
    """
    digits = max(4, len(str(len(sources))))
    return [f"{number:0{digits}}_{_plain(source)}" for number, source in enumerate(sources, start=1)]


def _plain(source: str) -> str:
    # pycolmap's pair lists are separated by spaces, so names keep to letters, digits, dot, dash, underscore.
    return re.sub(r"[^A-Za-z0-9._-]+", "_", PurePosixPath(source).stem)[:80]


def natural_order(names: Sequence[str]) -> tuple[str, ...]:
    """`names` sorted so that frame_2 comes before frame_10: neighbours in time are neighbours in order."""
    return tuple(sorted(names, key=lambda name: (_natural(name), name)))


def _natural(name: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", name)
    # Numbers by length, then digits: Python refuses to make an int of more than 4,300 digits.
    numbers = [part.lstrip("0") if part.isdecimal() else None for part in parts]
    return [
        (1, 0, part) if digits is None else (0, len(digits), digits)
        for part, digits in zip(parts, numbers, strict=True)
    ]
