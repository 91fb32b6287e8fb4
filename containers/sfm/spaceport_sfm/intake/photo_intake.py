"""The photos' way in: from a zip or a folder to normalised files and a record of each, in one pass.

Every photo is read, decoded, scaled, written and forgotten before its thread takes the next one. So memory is
bounded by what the threads hold together (`BYTES_AT_ONCE`, `PIXELS_AT_ONCE`), and the disk by the normalised
photos, none of which takes more than three bytes a pixel.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from spaceport.archive import MIN_PHOTOS
from spaceport.errors import UserError
from spaceport.quality import PhotoWarning, RefusedPhoto
from spaceport_sfm.intake.appearance import exposure_warning
from spaceport_sfm.intake.decoding import Kind, decode, decoded_pixels, kind_of
from spaceport_sfm.intake.native_decoders import NativeDecoders
from spaceport_sfm.intake.normalisation import Normalised, normalise
from spaceport_sfm.intake.selection import Candidate, blurred_photos, repeated, second_files
from spaceport_sfm.intake.sources import PhotoSource, open_source, read_ground_control, scene_names
from spaceport_sfm.photo import Photo, UnusablePhotoError
from spaceport_sfm.steps import CHECKING, StepProgress

BYTES_AT_ONCE = 1 << 30
# A pixel takes up to 12 bytes on its way (decoded, scaled or turned, coded): 3 GB.
PIXELS_AT_ONCE = 250_000_000
NATIVE_PIXELS = 50_000_000  # taken for a HEIC or DNG photo, whose header only its own decoder reads
MAX_FILE_BYTES = 512 << 20  # a 16-bit TIFF of 80 megapixels; cameras' own files are a tenth of it
DAMAGED_CODE = "seems damaged, part of its picture may be wrong: look at it, or leave it out"
NAMED_IN_MESSAGE = 3  # refused photos that the error names; the report has them all


class Intake(BaseModel):
    """What came in.

    Attributes:
        photos: the normalised photos in name order, which is the natural order of their sources.
        refused: the photos left out, by name.
        warned: those of `photos` that have something wrong with them, by name.
        ground_control: the text of `gcp_list.txt`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    photos: tuple[Photo, ...]
    refused: tuple[RefusedPhoto, ...] = ()
    warned: tuple[PhotoWarning, ...] = ()
    ground_control: str | None = None


def take_in(
    path: Path, folder: Path, max_size: int, *, drop_blurred: bool, threads: int, progress: StepProgress
) -> Intake:
    """Check the photos in `path`, a zip or a folder, and write them into `folder`, which is empty.

    The same photos give the same files and the same record, however many threads there are.

    Args:
        max_size: longer side of the normalised photos, pixels.
        drop_blurred: leave blurred photos out, as far as the flight keeps together.

    Raises:
        UserError: where the whole is at fault, see `spaceport.archive`; `bad_ground_control`.
        OSError: the machine's fault: a full disk is no damaged photo.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open_source(path) as source, NativeDecoders() as native:
        ground_control = read_ground_control(source)
        desk = IntakeDesk(source, folder, max_size, native)
        outcomes = desk.run(threads, progress)
    refused = [outcome for outcome in outcomes if isinstance(outcome, RefusedPhoto)]
    taken = [outcome for outcome in outcomes if isinstance(outcome, Candidate)]
    for judge in (repeated, second_files):
        refused += (out := judge(taken))
        taken = _without(taken, out)
    blurry, out = blurred_photos([candidate.photo for candidate in taken], drop_blurred)
    refused += out
    taken = _without(taken, out)
    warned = [*blurry, *(candidate.warning for candidate in taken if candidate.warning)]
    photos = tuple(candidate.photo for candidate in taken)
    for left_out in {file.name for file in folder.iterdir()} - {photo.name for photo in photos}:
        (folder / left_out).unlink()
    return Intake(
        photos=photos,
        refused=tuple(sorted(refused, key=lambda photo: photo.name)),
        warned=tuple(sorted(warned, key=lambda photo: photo.name)),
        ground_control=ground_control,
    )


def require_enough(intake: Intake) -> None:
    """Raises UserError `too_few_photos`, naming what was wrong, where fewer than three photos are left."""
    if len(intake.photos) >= MIN_PHOTOS:
        return
    given = len(intake.photos) + len(intake.refused)
    named = "; ".join(f"{photo.name} {photo.reason}" for photo in intake.refused[:NAMED_IN_MESSAGE])
    more = len(intake.refused) - NAMED_IN_MESSAGE
    raise UserError(
        "too_few_photos",
        f"Only {len(intake.photos)} of {given} photos can be used, a model needs {MIN_PHOTOS}: "
        f"{named}{f'; and {more} more' if more > 0 else ''}.",
        "Replace these photos by the originals from the camera and send the zip again.",
    )


class IntakeDesk:
    """Takes one photo after the other from `source`, on several threads."""

    def __init__(self, source: PhotoSource, folder: Path, max_size: int, native: NativeDecoders) -> None:
        self._source = source
        self._folder = folder
        self._max_size = max_size
        self._native = native
        self._bytes = Room(BYTES_AT_ONCE)
        self._pixels = Room(PIXELS_AT_ONCE)

    def run(self, threads: int, progress: StepProgress) -> list[Candidate | RefusedPhoto]:
        """What became of each photo, in order."""
        sources = self._source.photos
        files = [f"{name}.jpg" for name in scene_names(sources)]
        outcomes: list[Candidate | RefusedPhoto] = []
        pool = ThreadPoolExecutor(threads)  # Pillow and zlib work without holding the GIL
        try:
            for outcome in pool.map(self._outcome, sources, files):
                outcomes.append(outcome)
                good = sum(isinstance(outcome, Candidate) for outcome in outcomes)
                CHECKING.tell(progress, len(outcomes) / len(sources), photos=good)
        finally:
            pool.shutdown(cancel_futures=True)
        return outcomes

    def _outcome(self, source: str, file: str) -> Candidate | RefusedPhoto:
        try:
            return self._take(source, file)
        except UnusablePhotoError as error:
            return RefusedPhoto(name=source, code=error.code, reason=error.reason)

    def _take(self, source: str, file: str) -> Candidate:
        size = self._source.size(source)
        if size > MAX_FILE_BYTES:
            limit = MAX_FILE_BYTES >> 20
            raise UnusablePhotoError("too_large", f"has {size >> 20} MB; the limit for a photo is {limit}")
        with self._bytes.hold(size):
            content = self._source.read(source)
            kind = kind_of(content)
            native = kind is not Kind.PILLOW
            pixels = NATIVE_PIXELS if native else decoded_pixels(content, self._max_size)
            with self._pixels.hold(pixels):
                decoded = (
                    self._native.decode(kind, content, self._max_size)
                    if native
                    else decode(content, self._max_size)
                )
                normalised = normalise(decoded, content, self._folder / file, self._max_size)
        return _candidate(source, file, kind, normalised, is_sound=decoded.is_sound)


class Room:
    """A bound on what threads hold together. What is larger than all of it is held alone."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._free = capacity
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, amount: int) -> Iterator[None]:
        """Wait until there is room for `amount`, and keep it for the block."""
        amount = min(amount, self._capacity)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= amount)
            self._free -= amount
        try:
            yield
        finally:
            with self._changed:
                self._free += amount
                self._changed.notify_all()


def _candidate(source: str, file: str, kind: Kind, normalised: Normalised, *, is_sound: bool) -> Candidate:
    capture, seen = normalised.capture, normalised.appearance
    photo = Photo(
        name=file,
        source=source,
        width=normalised.size[0],
        height=normalised.size[1],
        original_size=normalised.original_size,
        **dict(capture),
        sharpness=seen.sharpness,
        brightness=seen.brightness,
    )
    wrong = exposure_warning(seen) if is_sound else ("damaged", DAMAGED_CODE)
    warning = PhotoWarning(name=source, code=wrong[0], reason=wrong[1]) if wrong else None
    return Candidate(photo, seen.digest, kind, warning)


def _without(candidates: Sequence[Candidate], refused: Sequence[RefusedPhoto]) -> list[Candidate]:
    names = {photo.name for photo in refused}
    return [candidate for candidate in candidates if candidate.photo.source not in names]
