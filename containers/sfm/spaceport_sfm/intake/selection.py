"""Which photos stay: what only the set as a whole can tell. Photos in the order of the flight throughout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import PurePosixPath

from spaceport.archive import MIN_PHOTOS
from spaceport.quality import PhotoWarning, RefusedPhoto
from spaceport_sfm.intake.appearance import blurred, droppable
from spaceport_sfm.intake.decoding import Kind
from spaceport_sfm.photo import Photo

# A gust lasts a photo or two; a demo flight of 200 shows only water for three and for seventeen in a row.
MAX_SHAKEN_IN_A_ROW = 2
SOFT = "shows little detail, as do the photos around it: water, fog, or a lens out of focus"


@dataclass(frozen=True)
class Candidate:
    """A normalised photo.

    Attributes:
        digest: of its picture (`appearance`).
        kind: who decoded it.
        warning: what is wrong with it in itself.
    """

    photo: Photo
    digest: bytes
    kind: Kind = Kind.PILLOW
    warning: PhotoWarning | None = None


def repeated(candidates: Sequence[Candidate]) -> list[RefusedPhoto]:
    """All but the first of the photos that hold the very same pixels, whatever their bytes and metadata.

    Nothing less than equal counts: two photos of a drone that hovers differ by their noise, and both help.
    """
    first: dict[bytes, Candidate] = {}
    refused = []
    for candidate in candidates:
        twin = first.setdefault(candidate.digest, candidate)
        if twin is not candidate:
            reason = f"shows the very same picture as {twin.photo.source}"
            refused.append(RefusedPhoto(name=candidate.photo.source, code="duplicate", reason=reason))
    return refused


def second_files(candidates: Sequence[Candidate]) -> list[RefusedPhoto]:
    """The other files of shots that the camera wrote twice, as `DJI_0001.JPG` and `DJI_0001.DNG`.

    Two photos from one place add nothing but a baseline of zero. They are known by folder, name, camera and
    time of capture. The file that was not developed here stays.
    """
    shots: dict[tuple[str, str, str], list[Candidate]] = {}
    for candidate in candidates:
        photo = candidate.photo
        if photo.taken:
            name = str(PurePosixPath(photo.source).with_suffix("")).casefold()
            shots.setdefault((name, photo.body, photo.taken), []).append(candidate)
    refused = []
    for files in shots.values():
        used, *others = sorted(files, key=lambda candidate: candidate.kind is Kind.DNG)
        reason = f"is the same shot as {used.photo.source}"
        refused += [
            RefusedPhoto(name=other.photo.source, code="duplicate", reason=reason) for other in others
        ]
    return refused


def blurred_photos(photos: Sequence[Photo], drop: bool) -> tuple[list[PhotoWarning], list[RefusedPhoto]]:
    """The blurred photos: those that stay with a warning, and, where they are to be dropped, those that go.

    Each is judged by the photos of the same camera, for lenses differ in sharpness. A drone shakes in single
    photos; where more in a row lack detail it is most likely the scene that has none, so those are told to be
    soft, and always stay.
    """
    by_camera: dict[tuple[str, str], list[int]] = {}
    for index, photo in enumerate(photos):
        by_camera.setdefault((photo.body, photo.lens), []).append(index)
    sharpnesses = [photo.sharpness or 0.0 for photo in photos]
    is_blurred, is_soft = [False] * len(photos), [False] * len(photos)
    for indices in by_camera.values():
        lacks_detail = blurred([sharpnesses[index] for index in indices])
        for index, lacks, row in zip(indices, lacks_detail, run_lengths(lacks_detail), strict=True):
            is_blurred[index] = lacks and row <= MAX_SHAKEN_IN_A_ROW
            is_soft[index] = lacks and row > MAX_SHAKEN_IN_A_ROW
    goes = droppable(is_blurred, sharpnesses, MIN_PHOTOS) if drop else [False] * len(photos)
    reason = "is blurred beside the other photos of its camera: moved or out of focus"
    kept = f"{reason}; kept, for the flight would have a gap" if drop else reason
    found = [(photo.source, gone) for photo, bad, gone in zip(photos, is_blurred, goes, strict=True) if bad]
    warned = [PhotoWarning(name=name, code="blurred", reason=kept) for name, gone in found if not gone]
    warned += [
        PhotoWarning(name=photo.source, code="soft", reason=SOFT)
        for photo, soft in zip(photos, is_soft, strict=True)
        if soft
    ]
    return warned, [RefusedPhoto(name=name, code="blurred", reason=reason) for name, gone in found if gone]


def run_lengths(flags: Sequence[bool]) -> list[int]:
    """For each flag how many equal ones stand in a row there, itself included.

    >>> run_lengths([True, False, False])
    [1, 2, 2]
    """
    lengths: list[int] = []
    for _, row in groupby(flags):
        length = len(list(row))
        lengths += [length] * length
    return lengths
