"""The zip policy: which archives become a job, and which of their files are photos.

Pure: works on any seekable binary file and reads only the archive's directory, so that a 256 MB Lambda
judges a zip of many GB through ranged reads. Sizes are taken as declared here; extraction counts again.
"""

from __future__ import annotations

import re
import stat
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, cast

from spaceport.errors import UserError

PHOTO_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".heic", ".heif", ".dng"}
)
PHOTO_KINDS = "JPEG, PNG, TIFF, BMP, WebP, HEIC or DNG files"  # the same in words, for messages
GROUND_CONTROL_NAME = "gcp_list.txt"  # OpenDroneMap's name for the list of ground control points
MIN_PHOTOS = 3  # fewer views give no model
JUNK_NAMES = frozenset({"thumbs.db", "desktop.ini"})
JUNK_FOLDERS = frozenset({"__macosx"})
SHOWN_NAME = 200  # characters of a file's name in a message

MAX_DIRECTORY_BYTES = 8 * 2**20  # 20,000 entries with names of 300 characters

# The methods that every zip program writes by default, and that zipfile unpacks a piece at a time: of bzip2
# and LZMA it unpacks all that 4 KB turn into, which may be gigabytes.
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED = 0x1  # general purpose bit 0, APPNOTE.TXT 4.4.4
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DRIVE = re.compile(r"^[A-Za-z]:")


@dataclass(frozen=True)
class Limits:
    """What a zip may hold. The defaults fit the largest flights we process."""

    min_photos: int = MIN_PHOTOS
    max_photos: int = 3000
    max_entries: int = 20_000
    max_unpacked_bytes: int = 100 * 2**30  # the SfM job's volume
    max_ratio: float = 100.0  # photos hardly shrink; only bombs do this
    ratio_floor_bytes: int = 10 * 2**20  # small text files may shrink a lot without harm


@dataclass(frozen=True)
class ArchivePhoto:
    """A photo in the archive: its full name there and its declared unpacked size in bytes."""

    name: str
    size: int


@dataclass(frozen=True)
class Contents:
    """What an accepted archive holds.

    Attributes:
        photos: in name order.
        others: the files that are no photos.
        ground_control: the name of its list of ground control points.
    """

    photos: tuple[ArchivePhoto, ...]
    others: tuple[str, ...]
    ground_control: str | None = None


def inspect(file: IO[bytes], archive: str, limits: Limits | None = None) -> Contents:
    """Judge the zip in `file`; `archive` is what its owner calls it.

    Raises:
        UserError: `not_a_zip`, `empty_zip`, `encrypted`, `unsafe_name`, `link`, `zip_bomb`, `too_many_files`,
            `unusual_compression`, `too_few_photos`, `too_many_photos`: each names the archive and the file
            that is at fault.
    """
    limits = limits or Limits()
    entries = [entry for entry in _directory(file, archive) if not entry.filename.endswith("/")]
    if not entries:
        raise UserError(
            "empty_zip", f"{archive} is empty.", "Zip the folder with the photos and send it again."
        )
    if len(entries) > limits.max_entries:
        raise UserError(
            "too_many_files",
            f"{archive} holds {len(entries)} files; the limit is {limits.max_entries}.",
            "Send only the photos of one flight.",
        )
    for entry in entries:
        _check_entry(entry, archive)
    _check_sizes(entries, archive, limits)
    # A zip that was added to may hold a name twice: as for every reader, the last one counts.
    latest = {entry.filename: entry for entry in entries}
    wanted = [entry for entry in latest.values() if not is_junk(entry.filename)]
    photos = tuple(
        ArchivePhoto(entry.filename, entry.file_size)
        for entry in sorted(wanted, key=lambda entry: entry.filename)
        if is_photo(entry.filename)
    )
    others = tuple(entry.filename for entry in wanted if not is_photo(entry.filename))
    check_count([photo.name for photo in photos], others, archive, limits)
    contents = Contents(photos, others, ground_control_among(others))
    _check_methods([latest[name] for name in _needed(contents)], archive)
    return contents


def is_photo(name: str) -> bool:
    """Whether a file of this name is a photo that SfM reads."""
    return PurePosixPath(name).suffix.lower() in PHOTO_SUFFIXES


def ground_control_among(names: Iterable[str]) -> str | None:
    """The list of ground control points among `names`, in whatever folder; of several the outermost."""
    found = [name for name in names if PurePosixPath(name).name.lower() == GROUND_CONTROL_NAME]
    return min(found, key=lambda name: (name.count("/"), name), default=None)


def is_junk(name: str) -> bool:
    """Whether `name` is what an operating system leaves in zips: resource forks, thumbnails, hidden files."""
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith(".") for part in parts)
    return hidden or parts[-1].lower() in JUNK_NAMES or any(part.lower() in JUNK_FOLDERS for part in parts)


def is_safe_name(name: str) -> bool:
    """Whether extracting `name` below a folder stays below it, on any operating system."""
    if not name or _CONTROL.search(name) or "\\" in name or _DRIVE.match(name):
        return False
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


class _Directory:
    """The archive as zipfile reads its directory: in one piece, however large it claims to be.

    300,000 entries take 160 MB of memory before anyone can count them, more than a small Lambda has.
    """

    def __init__(self, file: IO[bytes], archive: str) -> None:
        self._file = file
        self._archive = archive
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        if size > MAX_DIRECTORY_BYTES:
            raise UserError(
                "too_many_files",
                f"{self._archive} has a table of contents of {size / 2**20:.0f} MB.",
                "Send only the photos of one flight, with short names.",
            )
        return self._file.read(size)


def _directory(file: IO[bytes], archive: str) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(cast("IO[bytes]", _Directory(file, archive))) as opened:
            return opened.infolist()
    except (zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError, EOFError, ValueError) as error:
        file.seek(0)
        if file.read(4) == b"PK\x03\x04":
            raise UserError(
                "truncated_zip",
                f"{archive} begins like a zip but its end is missing or damaged.",
                "The upload was probably cut short: send the file again.",
            ) from error
        raise UserError(
            "not_a_zip", f"{archive} is not a zip file.", "Put the photos into a .zip and send that."
        ) from error


def _check_entry(entry: zipfile.ZipInfo, archive: str) -> None:
    # zipfile itself turns backslashes into slashes on Windows and cuts names at NUL: judge what was stored.
    # From Python 3.12 on it also takes a name from an extra field: judge what is used as well.
    for stored in (entry.orig_filename, entry.filename):
        if not is_safe_name(stored):
            raise UserError(
                "unsafe_name",
                f"{archive} holds a file named {_shown(repr(stored))}, which can't be unpacked safely.",
                "Zip the photos with plain relative names.",
            )
    name = _shown(entry.filename)
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise UserError(
            "link",
            f"{archive} holds a link ({name}) instead of a file.",
            "Zip the photo itself, not a link to it.",
        )
    if entry.flag_bits & _ENCRYPTED:
        raise UserError(
            "encrypted",
            f"{archive} is encrypted ({name} needs a password).",
            "Zip the photos without a password.",
        )


def _check_sizes(entries: list[zipfile.ZipInfo], archive: str, limits: Limits) -> None:
    total = sum(entry.file_size for entry in entries)
    if total > limits.max_unpacked_bytes:
        raise UserError(
            "zip_bomb",
            f"{archive} holds {_gigabytes(total)}, the limit is {_gigabytes(limits.max_unpacked_bytes)}.",
            "Split the flight into several zips.",
        )
    for entry in entries:
        ratio = entry.file_size / max(entry.compress_size, 1)
        if entry.file_size > limits.ratio_floor_bytes and ratio > limits.max_ratio:
            raise UserError(
                "zip_bomb",
                f"{archive} holds {_shown(entry.filename)}, which unpacks {ratio:.0f}-fold.",
                "No photo shrinks like that: leave this file out.",
            )


def _shown(name: str) -> str:
    """`name` as messages have it: a zip's names may be 64 KB long, a WebSocket frame half of that."""
    return name if len(name) <= SHOWN_NAME else f"{name[:SHOWN_NAME]}..."


def _gigabytes(size: int) -> str:
    return f"{size / 2**30:.1f} GB"


def _needed(contents: Contents) -> Iterator[str]:
    yield from (photo.name for photo in contents.photos)
    if contents.ground_control:
        yield contents.ground_control


def _check_methods(entries: Iterable[zipfile.ZipInfo], archive: str) -> None:
    for entry in entries:
        if entry.compress_type not in _METHODS:
            raise UserError(
                "unusual_compression",
                f"{archive} holds {_shown(entry.filename)}, packed by an unusual "
                f"method (number {entry.compress_type}).",
                "Zip the photos with the usual settings (deflate), or without compression.",
            )


def check_count(
    photos: Sequence[str], others: Sequence[str], holder: str, limits: Limits | None = None
) -> None:
    """Judge how many photos `holder`, a zip or a folder, has among its other files.

    Raises:
        UserError: `too_few_photos`, `too_many_photos`.
    """
    limits = limits or Limits()
    if len(photos) > limits.max_photos:
        raise UserError(
            "too_many_photos",
            f"{holder} holds {len(photos)} photos; the limit is {limits.max_photos}.",
            "Split the flight into several parts.",
        )
    if len(photos) >= limits.min_photos:
        return
    found = f"only {len(photos)} photo{'s' if len(photos) > 1 else ''}" if photos else "no photos"
    hint = f"Photos are {PHOTO_KINDS}."
    if others:
        more = len(others) > 1
        count = f"{len(others)} other file{'s' if more else ''}"
        hint = f"It holds {count} ({_shown(others[0])}{', ...' if more else ''}). {hint}"
    raise UserError(
        "too_few_photos", f"{holder} holds {found}; a model needs at least {limits.min_photos}.", hint
    )
