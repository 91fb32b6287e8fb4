"""What the user names as PHOTOS: a zip as it is, or a folder, which becomes a zip."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from spaceport.archive import PHOTO_KINDS, ground_control_among, inspect, is_junk, is_photo
from spaceport.errors import UserError
from spaceport_cli.exits import RefusedError, UsageError

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the zip format's own zero
_PLAIN_FILE = 0o100644 << 16


@dataclass(frozen=True)
class PhotoZip:
    """A zip that may become a job.

    Attributes:
        path: where it is on this machine.
        name: what the user calls the flight: the zip's or the folder's name without a suffix.
        photos: how many photos it holds.
        digest: SHA-256 of its bytes, hexadecimal.
    """

    path: Path
    name: str
    photos: int
    digest: str


@contextmanager
def photo_zip(photos: Path) -> Iterator[PhotoZip]:
    """The accepted zip that `photos` is or becomes; a folder's zip is removed at the end.

    Raises:
        UsageError: there is no such file or folder, or it is a photo.
        RefusedError: the zip is refused, in the very words in which the cloud would refuse it.
    """
    if photos.is_file() and is_photo(photos.name):
        raise UsageError(
            f"{photos} is a single photo.",
            "Name the folder that it lies in, or a zip of the flight's photos.",
        )
    if photos.is_file():
        yield _judged(photos, photos.stem, photos.name)
    elif photos.is_dir():
        folder = photos.resolve()  # `.` has no name of its own
        with tempfile.TemporaryDirectory(prefix="spaceport-") as scratch:
            packed = Path(scratch) / "photos.zip"
            zip_folder(folder, packed)
            yield _judged(packed, folder.name, folder.name)
    else:
        raise UsageError(f"There is no file or folder {photos}.", "Name a zip of photos, or their folder.")


def zip_folder(folder: Path, target: Path) -> None:
    """Write the photos below `folder`, and their ground control points, to the zip `target`.

    Stored: JPEGs don't shrink.

    The same photos under the same names give the same bytes, whatever their times and modes,
    so that sending a folder again finds its finished job.

    Raises:
        RefusedError: `too_few_photos` where the folder holds none; `unsafe_name`.
    """
    found = sorted(
        (path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file()
    )
    found = [(name, path) for name, path in found if not is_junk(name)]
    control = ground_control_among(name for name, _ in found)
    wanted = [(name, path) for name, path in found if is_photo(name) or name == control]
    if not any(is_photo(name) for name, _ in wanted):
        raise RefusedError(
            "too_few_photos",
            f"The folder {folder.name} holds no photos.",
            f"Photos are {PHOTO_KINDS}.",
        )
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, path in wanted:
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3  # Unix, wherever this runs
            entry.external_attr = _PLAIN_FILE
            entry.file_size = path.stat().st_size  # tells zipfile whether the entry needs ZIP64
            try:
                with path.open("rb") as source, archive.open(entry, "w") as sink:
                    shutil.copyfileobj(source, sink, 2**20)
            except UnicodeEncodeError as error:
                raise RefusedError(
                    "unsafe_name",
                    f"The folder {folder.name} holds a file whose name is not valid text: {name!r}.",
                    "Rename the file and try again.",
                ) from error


def _judged(path: Path, name: str, shown: str) -> PhotoZip:
    with path.open("rb") as file:
        try:
            contents = inspect(file, shown)
        except UserError as error:
            raise RefusedError(error.code, error.message, error.hint) from error
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return PhotoZip(path, name, len(contents.photos), digest)
