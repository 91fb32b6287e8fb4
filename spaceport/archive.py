"""The zip policy: which archives become a job, and which of their files are photos.

Pure: works on any seekable binary file and reads only the archive's directory, so that a 256 MB Lambda
judges a zip of many GB through ranged reads. Sizes are taken as declared here; extraction counts again.
docs/archives.md lists what is refused and what is only told. APPNOTE is PKWARE's specification of zip files.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, cast

from spaceport.errors import UserError
from spaceport.file_kinds import HINTS, Kind, kind_of, of_kind, without_twin

PHOTO_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".heic", ".heif", ".dng"}
)
PHOTO_KINDS = "JPEG, PNG, TIFF, BMP, WebP, HEIC or DNG files"  # the same in words, for messages
GROUND_CONTROL_NAME = "gcp_list.txt"  # OpenDroneMap's name for the list of ground control points
SIDECAR_NAME = "spaceport.json"  # says how the zip's owner wants the job done, see `spaceport.sidecar`
MIN_PHOTOS = 3  # fewer views give no model
JUNK_NAMES = frozenset({"thumbs.db", "desktop.ini"})
JUNK_FOLDERS = frozenset({"__macosx"})
SHOWN_NAME = 200  # characters of a file's name in a message
NAMED_IN_MESSAGE = 3  # files; the rest is counted

DIGEST_VARIABLE = "SPACEPORT_ZIP_DIGEST"  # of SfM's job: the `Contents.digest` of the zip that it is to get
MAX_DIRECTORY_BYTES = 8 * 2**20  # 20,000 entries with names of 300 characters

# The methods that every zip program writes by default, and that zipfile unpacks a piece at a time: of bzip2
# and LZMA it unpacks all that 4 KB turn into, which may be gigabytes.
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED = 0x1  # general purpose bit 0, APPNOTE 4.4.4
_LOCAL_HEADER_BYTES = 30  # before its name, APPNOTE 4.3.7
_NO_FILES = frozenset({stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK})
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
class ArchiveFile:
    """A file in the archive, by what its directory declares.

    Attributes:
        name: in full.
        size: bytes unpacked.
        packed_size: bytes in the archive.
        offset: where its local header begins, bytes; negative where the archive's beginning is missing.
        method: of packing, by the number that APPNOTE 4.4.5 gives it.
        crc: CRC-32 of what is unpacked.
    """

    name: str
    size: int
    packed_size: int
    offset: int
    method: int
    crc: int


@dataclass(frozen=True)
class ArchiveWarning:
    """Something its owner should know of an archive that becomes a job all the same."""

    code: str
    message: str


@dataclass(frozen=True)
class Contents:
    """What an accepted archive holds.

    Attributes:
        photos: in name order; those that the warnings speak of, too: SfM looks at them, and says why not.
        others: the files that are no photos.
        ground_control: the name of its list of ground control points.
        sidecar: its `spaceport.json`.
        digest: SHA-256 over its files' names, sizes and checksums: zips of the same files have the same.
    """

    photos: tuple[ArchiveFile, ...]
    others: tuple[str, ...]
    digest: str
    ground_control: str | None = None
    sidecar: ArchiveFile | None = None
    warnings: tuple[ArchiveWarning, ...] = ()


def inspect(file: IO[bytes], archive: str, limits: Limits | None = None) -> Contents:
    """Judge the zip in `file`; `archive` is what its owner calls it.

    Raises:
        UserError: `not_a_zip`, `truncated_zip`, `no_zip64`, `empty_zip`, `encrypted`, `unsafe_name`, `link`,
            `zip_bomb`, `too_many_files`, `unusual_compression`, `too_many_photos`; where fewer than three
            photos are left, `nested_archive`, `unsupported_photos`, `duplicates` or `too_few_photos`, by what
            would help most. Each names the archive and the file that is at fault.
    """
    limits = limits or Limits()
    directory = _read_directory(file, archive)
    entries = [entry for entry in directory.entries if not entry.filename.endswith("/")]
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
    _check_overlap(directory, archive)
    # A zip that was added to may hold a name twice: as for every reader, the last one counts.
    latest = {entry.filename: entry for entry in entries}
    wanted = [entry for entry in latest.values() if not is_junk(entry.filename)]
    photos = tuple(
        _file(entry) for entry in sorted(wanted, key=lambda entry: entry.filename) if is_photo(entry.filename)
    )
    others = tuple(entry.filename for entry in wanted if not is_photo(entry.filename))
    left = _left_out(photos, others)
    if len(photos) <= limits.max_photos:
        _check_usable(left.usable(photos), left, others, archive, limits)
    check_count([photo.name for photo in photos], others, archive, limits)
    sidecar = sidecar_among([entry.filename for entry in wanted])
    contents = Contents(
        photos=photos,
        others=others,
        digest=_digest(wanted),
        ground_control=ground_control_among(others),
        sidecar=None if sidecar is None else _file(latest[sidecar]),
        warnings=_warnings(left, archive),
    )
    _check_methods([latest[name] for name in _needed(contents)], archive)
    return contents


def has_digest(file: IO[bytes], digest: str) -> bool:
    """Whether the zip in `file` is one that `inspect` accepts, with this `Contents.digest`."""
    try:
        return inspect(file, "the zip").digest == digest
    except UserError:
        return False


def is_photo(name: str) -> bool:
    """Whether a file of this name is a photo that SfM reads."""
    return PurePosixPath(name).suffix.lower() in PHOTO_SUFFIXES


def ground_control_among(names: Iterable[str]) -> str | None:
    """The list of ground control points among `names`, in whatever folder; of several the outermost."""
    found = [name for name in names if PurePosixPath(name).name.lower() == GROUND_CONTROL_NAME]
    return min(found, key=lambda name: (name.count("/"), name), default=None)


def sidecar_among(names: Sequence[str]) -> str | None:
    """The `spaceport.json` among `names`: in the root, or in the one folder that holds everything.

    >>> sidecar_among(["Beach/spaceport.json", "Beach/100MEDIA/1.JPG"])
    'Beach/spaceport.json'
    """
    for name in names:
        folder, _, file = name.rpartition("/")
        if file == SIDECAR_NAME and (not folder or all(other.startswith(f"{folder}/") for other in names)):
            return name
    return None


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


@dataclass(frozen=True)
class _Listing:
    """The directory of an archive: its entries, and where in the file it begins, bytes."""

    entries: list[zipfile.ZipInfo]
    begin: int


def _read_directory(file: IO[bytes], archive: str) -> _Listing:
    try:
        with zipfile.ZipFile(cast("IO[bytes]", _Directory(file, archive))) as opened:
            return _Listing(opened.infolist(), opened.start_dir)
    except (zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError, EOFError, ValueError) as error:
        file.seek(0)
        if file.read(4) == b"PK\x03\x04":
            raise UserError(
                "truncated_zip",
                f"{archive} begins like a zip but its end is missing or damaged.",
                "It was probably cut short: zip the photos again, and send that.",
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
    mode = stat.S_IFMT(entry.external_attr >> 16)
    if mode == stat.S_IFLNK or mode in _NO_FILES:
        what = "link" if mode == stat.S_IFLNK else "device or pipe"
        raise UserError(
            "link",
            f"{archive} holds a {what} ({name}) instead of a file.",
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


def _check_overlap(directory: _Listing, archive: str) -> None:
    """Refuse two entries in the same bytes: so does a zip of 10 MB hold 281 TB (Fifield 2019, WOOT).

    After this the sum of the packed sizes is at most the file's own.
    """
    # A zip that lost its beginning has negative offsets there: those photos are damaged, the rest is whole.
    present = [entry for entry in directory.entries if entry.header_offset >= 0]
    present.sort(key=lambda entry: entry.header_offset)
    if present and present[0].header_offset in range(2**32, directory.begin, 2**32):
        # Each offset has lost its upper bits, so that the first file seems to begin at a multiple of 4 GB.
        raise UserError(
            "no_zip64",
            f"{archive} is larger than 4 GB, but its table of contents has no room for that.",
            "Zip the photos by a program that knows ZIP64 (on a Mac: `zip -r` in the Terminal), or in parts.",
        )
    ends = [entry.header_offset + _LOCAL_HEADER_BYTES + entry.compress_size for entry in present]
    next_begins = [*(entry.header_offset for entry in present), directory.begin][1:]
    for entry, end, next_begin in zip(present, ends, next_begins, strict=True):
        if end > next_begin:
            raise UserError(
                "zip_bomb",
                f"{archive} holds {_shown(entry.filename)}, which takes more room than there is for it: it "
                "shares bytes with another file.",
                "Zip the photos anew with a usual program.",
            )


@dataclass(frozen=True)
class _LeftOut:
    """Names of files that make no view of a model.

    Attributes:
        lost: photos whose bytes were in the archive's missing beginning.
        empty: photos without any bytes.
        repeated: photos that are the very same as an earlier one.
        unread: raw photos and pictures of kinds that no step reads, and that no photo stands for.
        films: films.
        nested: archives in the archive; they are never looked into.
    """

    lost: list[str]
    empty: list[str]
    repeated: list[str]
    unread: list[str]
    films: list[str]
    nested: list[str]

    def usable(self, photos: Sequence[ArchiveFile]) -> list[str]:
        out = {*self.lost, *self.empty, *self.repeated}
        return [photo.name for photo in photos if photo.name not in out]


def _left_out(photos: Sequence[ArchiveFile], others: Sequence[str]) -> _LeftOut:
    return _LeftOut(
        lost=[photo.name for photo in photos if photo.offset < 0],
        empty=[photo.name for photo in photos if photo.size == 0],
        repeated=_repeated(photos),
        unread=without_twin(of_kind(others, Kind.RAW, Kind.PICTURE), [photo.name for photo in photos]),
        films=of_kind(others, Kind.FILM),
        nested=of_kind(others, Kind.ARCHIVE),
    )


def _check_usable(
    usable: Sequence[str], left: _LeftOut, others: Sequence[str], archive: str, limits: Limits
) -> None:
    """Where too few photos are left that count, say what would help most."""
    if len(usable) >= limits.min_photos:
        return
    holds, need = f"{archive} holds {_found(usable)}", f"a model needs at least {limits.min_photos}"
    if left.lost:
        raise UserError(
            "truncated_zip",
            f"{holds}, and {_listed('photo', left.lost)} lost with the beginning of the zip; {need}.",
            "The upload was probably damaged: send the file again.",
        )
    if left.nested:
        raise UserError(
            "nested_archive",
            f"{holds}, and {_listed('archive', left.nested)} not looked into; {need}.",
            HINTS[Kind.ARCHIVE],
        )
    if unsupported := [*left.unread, *left.films]:
        kinds = dict.fromkeys(kind_of(name) for name in unsupported)
        raise UserError(
            "unsupported_photos",
            f"{holds}, and {_listed('file', unsupported)} of a kind that can't be read; {need}.",
            " ".join(HINTS[kind] for kind in kinds if kind),
        )
    if left.repeated:
        raise UserError(
            "duplicates",
            f"{holds}, and {_listed('photo', left.repeated)} the very same as another; {need}.",
            "Send the photos of a flight, each taken from another place.",
        )
    check_count(usable, [*left.empty, *others], archive, limits)


def _warnings(left: _LeftOut, archive: str) -> tuple[ArchiveWarning, ...]:
    told = (
        ("truncated_zip", "photo", left.lost, "lost with the beginning of the zip. Send it again."),
        ("empty_file", "photo", left.empty, "empty, with no bytes at all."),
        ("duplicates", "photo", left.repeated, "the very same as another, and used once."),
        ("unsupported_photos", "picture", left.unread, "of a kind that can't be read. Export JPEGs."),
        ("nested_archive", "archive", left.nested, f"not looked into. {HINTS[Kind.ARCHIVE]}"),
    )
    return tuple(
        ArchiveWarning(code, f"{archive} holds {_listed(noun, names)} {what}")
        for code, noun, names, what in told
        if names
    )


def _file(entry: zipfile.ZipInfo) -> ArchiveFile:
    return ArchiveFile(
        name=entry.filename,
        size=entry.file_size,
        packed_size=entry.compress_size,
        offset=entry.header_offset,
        method=entry.compress_type,
        crc=entry.CRC,
    )


def _digest(entries: Iterable[zipfile.ZipInfo]) -> str:
    files = sorted((entry.filename, entry.file_size, entry.CRC) for entry in entries)
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()


def _repeated(photos: Iterable[ArchiveFile]) -> list[str]:
    """The photos whose very bytes an earlier one has, too, by their checksum and size."""
    seen: set[tuple[int, int]] = set()
    again = []
    for photo in photos:
        if photo.size and (photo.crc, photo.size) in seen:
            again.append(photo.name)
        seen.add((photo.crc, photo.size))
    return again


def _found(photos: Sequence[str]) -> str:
    return f"only {len(photos)} photo{'s' if len(photos) > 1 else ''}" if photos else "no photos"


def _listed(noun: str, names: Sequence[str]) -> str:
    """How many there are, and which.

    >>> _listed("photo", ["a.jpg", "b.jpg"])
    '2 photos (a.jpg, b.jpg) that are'
    """
    named = ", ".join(map(_shown, names[:NAMED_IN_MESSAGE]))
    more = ", ..." if len(names) > NAMED_IN_MESSAGE else ""
    count, verb = (f"{len(names)} {noun}s", "are") if len(names) > 1 else (f"1 {noun}", "is")
    return f"{count} ({named}{more}) that {verb}"


def _shown(name: str) -> str:
    """`name` as messages have it: a zip's names may be 64 KB long, a WebSocket frame half of that."""
    return name if len(name) <= SHOWN_NAME else f"{name[:SHOWN_NAME]}..."


def _gigabytes(size: int) -> str:
    return f"{size / 2**30:.1f} GB"


def _needed(contents: Contents) -> Iterator[str]:
    yield from (photo.name for photo in contents.photos)
    if contents.ground_control:
        yield contents.ground_control
    if contents.sidecar:
        yield contents.sidecar.name


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
    hint = f"Photos are {PHOTO_KINDS}."
    if others:
        more = len(others) > 1
        count = f"{len(others)} other file{'s' if more else ''}"
        hint = f"It holds {count} ({_shown(others[0])}{', ...' if more else ''}). {hint}"
    raise UserError(
        "too_few_photos",
        f"{holder} holds {_found(photos)}; a model needs at least {limits.min_photos}.",
        hint,
    )
