"""Which photos stay: what only the set as a whole can tell. Photos in the order of the flight throughout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from spaceport.archive import MIN_PHOTOS
from spaceport.quality import PhotoWarning, RefusedPhoto
from spaceport_sfm.appearance import blurred, droppable
from spaceport_sfm.decoding import Kind
from spaceport_sfm.photo import Photo


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

    Each is judged by the photos of the same camera, for lenses differ in sharpness.
    """
    by_camera: dict[tuple[str, str], list[int]] = {}
    for index, photo in enumerate(photos):
        by_camera.setdefault((photo.body, photo.lens), []).append(index)
    sharpnesses = [photo.sharpness or 0.0 for photo in photos]
    is_blurred = [False] * len(photos)
    for indices in by_camera.values():
        for index, found in zip(indices, blurred([sharpnesses[i] for i in indices]), strict=True):
            is_blurred[index] = found
    goes = droppable(is_blurred, sharpnesses, MIN_PHOTOS) if drop else [False] * len(photos)
    reason = "is blurred beside the other photos of its camera: moved or out of focus"
    kept = f"{reason}; kept, for the flight would have a gap" if drop else reason
    found = [(photo.source, gone) for photo, bad, gone in zip(photos, is_blurred, goes, strict=True) if bad]
    return (
        [PhotoWarning(name=name, code="blurred", reason=kept) for name, gone in found if not gone],
        [RefusedPhoto(name=name, code="blurred", reason=reason) for name, gone in found if gone],
    )
