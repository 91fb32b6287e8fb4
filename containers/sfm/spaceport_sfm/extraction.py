"""The zip's photos as files: nothing lands outside the folder, nothing unpacks to more than it declared."""

from __future__ import annotations

import hashlib
import lzma
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from spaceport.archive import ArchivePhoto, inspect
from spaceport.progress import Progress
from spaceport.quality import RefusedPhoto
from spaceport_sfm.steps import UNPACKING

CHUNK_BYTES = 1 << 20
# What zipfile and its decompressors raise where an entry is damaged; bz2 raises an OSError.
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    OSError,
    EOFError,
    NotImplementedError,
    UnicodeDecodeError,
)


@dataclass(frozen=True)
class ExtractedPhoto:
    """One file of the zip, unpacked but not yet looked at.

    Attributes:
        source: its full name in the zip.
        name: its name in the scene, without suffix: unique, in the order of `source`.
        file: where its bytes are.
        sha256: of its bytes, to find duplicates.
    """

    source: str
    name: str
    file: Path
    sha256: str


@dataclass(frozen=True)
class Extraction:
    """The unpacked photos in name order, and those whose bytes are damaged."""

    photos: tuple[ExtractedPhoto, ...]
    refused: tuple[RefusedPhoto, ...]


def extract(archive: Path, folder: Path, progress: Progress) -> Extraction:
    """Unpack the photos of `archive` into `folder`.

    A photo whose own bytes are damaged is refused by itself; the others go on.

    Raises:
        UserError: as `spaceport.archive.inspect`.
    """
    with archive.open("rb") as file:
        contents = inspect(file, archive.name)
    folder.mkdir(parents=True, exist_ok=True)
    ordered = sorted(contents.photos, key=lambda photo: _natural(photo.name))
    names = scene_names([photo.name for photo in ordered])
    photos: list[ExtractedPhoto] = []
    refused: list[RefusedPhoto] = []
    with zipfile.ZipFile(archive) as opened:
        for done, (photo, name) in enumerate(zip(ordered, names, strict=True)):
            target = folder / name
            try:
                photos.append(ExtractedPhoto(photo.name, name, target, _unpack(opened, photo, target)))
            except DAMAGED as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise  # the disk's, not the zip's: it has a number
                target.unlink(missing_ok=True)
                refused.append(
                    RefusedPhoto(name=photo.name, code="damaged", reason=f"is damaged in the zip: {error}")
                )
            UNPACKING.tell(progress, (done + 1) / len(ordered), photos=len(photos))
    return Extraction(tuple(photos), tuple(refused))


def scene_names(sources: list[str]) -> list[str]:
    """A name for each photo of the zip, in the given order: its number, then what the zip calls it.

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


def _natural(source: str) -> list[tuple[int, int, str]]:
    """A sort key under which frame_2 comes before frame_10: neighbours in time are neighbours in order."""
    parts = re.split(r"(\d+)", source)
    # Numbers by length, then digits: Python refuses to make an int of more than 4,300 digits.
    numbers = [part.lstrip("0") if part.isdecimal() else None for part in parts]
    return [
        (1, 0, part) if digits is None else (0, len(digits), digits)
        for part, digits in zip(parts, numbers, strict=True)
    ]


def _unpack(opened: zipfile.ZipFile, photo: ArchivePhoto, target: Path) -> str:
    """Copy one photo to `target`; return its SHA-256.

    `zipfile` itself never reads past the size an entry declares, and then finds its checksum wrong; what it
    does not notice is a file that ends before.
    """
    digest = hashlib.sha256()
    written = 0
    with opened.open(photo.name) as packed, target.open("wb") as out:
        while chunk := packed.read(CHUNK_BYTES):
            written += len(chunk)
            digest.update(chunk)
            out.write(chunk)
    if written != photo.size:
        raise EOFError(f"{written} of its {photo.size} bytes are there")
    return digest.hexdigest()
