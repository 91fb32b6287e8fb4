"""A look at some of a zip's photos before its job begins, to tell what its owner could mend at once.

A few tens of photos are looked at, of each the first bytes only: enough to see what is so of a whole flight.
SfM, which sees every pixel, gives the real advice afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from spaceport.archive import MIN_PHOTOS, ArchiveFile, ArchiveWarning, Contents
from spaceport.errors import UserError
from spaceport.photo_headers import HEAD_BYTES, MAX_PIXELS, MIN_SIDE_PX, PhotoHeader, read_header
from spaceport.unpacking import Pieces, beginning

MAX_LOOKED_AT = 64  # photos: 4 MB in all, and in S3 less than a second
THREADS = 8  # boto3 keeps ten connections
MANY_PIXELS = 100_000_000  # no drone's camera has more; stitched pictures do
FAR_APART_M = 5_000.0  # a drone's flight is within sight of its pilot
_METRES_A_DEGREE = 111_320.0  # of latitude


def look_at(archive: Pieces, contents: Contents, name: str) -> tuple[ArchiveWarning, ...]:
    """What the owner of the archive called `name` should know of its photos.

    Raises:
        UserError: `too_few_photos`, where all were looked at and fewer than three are of a usable size.
    """
    chosen = spread(contents.photos, MAX_LOOKED_AT)
    with ThreadPoolExecutor(THREADS) as pool:
        heads = pool.map(lambda photo: read_header(beginning(archive, photo, HEAD_BYTES)), chosen)
        headers = {photo.name: header for photo, header in zip(chosen, heads, strict=True)}
    if len(chosen) == len(contents.photos):
        _check_sizes(headers, name)
    return tuple(_warnings(headers, has_control=contents.ground_control is not None))


def spread(photos: Sequence[ArchiveFile], most: int) -> list[ArchiveFile]:
    """Up to `most` of `photos`, the first of so many equal parts each."""
    count = min(len(photos), most)
    return [photos[part * len(photos) // count] for part in range(count)]


def _wrong_size(size: tuple[int, int] | None) -> str | None:
    """Why no photo of `size` can be used."""
    if size is None:
        return None
    if min(size) < MIN_SIDE_PX:
        return f"is {size[0]}x{size[1]} pixels; the shorter side must have at least {MIN_SIDE_PX}"
    if math.prod(size) > MAX_PIXELS:
        return f"is {size[0]}x{size[1]} pixels; all of them may be {MAX_PIXELS // 10**6} million at most"
    return None


def _check_sizes(headers: Mapping[str, PhotoHeader], archive: str) -> None:
    reasons = [f"{name} {why}" for name, header in headers.items() if (why := _wrong_size(header.size))]
    usable = len(headers) - len(reasons)
    if usable < MIN_PHOTOS:
        raise UserError(
            "too_few_photos",
            f"Only {usable} of {len(headers)} photos in {archive} can be used, a model needs {MIN_PHOTOS}: "
            f"{reasons[0]}{f'; and {len(reasons) - 1} more' if len(reasons) > 1 else ''}.",
            "Replace these photos by the originals from the camera and send the zip again.",
        )


def _warnings(headers: Mapping[str, PhotoHeader], *, has_control: bool) -> Iterator[ArchiveWarning]:
    looked_at = f"the {len(headers)} photos looked at"
    wrong = [f"{name} {why}" for name, header in headers.items() if (why := _wrong_size(header.size))]
    if wrong:
        yield ArchiveWarning("photo_size", f"{len(wrong)} of {looked_at} can't be used: {wrong[0]}.")
    huge = [name for name, header in headers.items() if header.size and math.prod(header.size) > MANY_PIXELS]
    if huge:
        yield ArchiveWarning(
            "many_pixels",
            f"{len(huge)} of {looked_at}, {huge[0]} first, have more pixels than a drone's camera: a "
            "stitched picture can't be placed as a photo can.",
        )
    if all(header.lacks_position for header in headers.values()) and not has_control:
        yield ArchiveWarning(
            "no_gps",
            f"None of {looked_at} has GPS: the model will have no place and no scale. Switch on the camera's "
            "GPS, or add ground control points in gcp_list.txt.",
        )
    cameras = sorted({header.camera for header in headers.values() if header.camera})
    if len(cameras) > 1:
        yield ArchiveWarning(
            "mixed_cameras",
            f"The photos are of {len(cameras)} cameras ({', '.join(cameras[:3])}"
            f"{', ...' if len(cameras) > 3 else ''}): that takes longer, and their colours may differ.",
        )
    places = {name: header.position for name, header in headers.items() if header.position}
    if places and (far := _farthest(places))[1] > FAR_APART_M:
        yield ArchiveWarning(
            "gps_far_apart",
            f"By its GPS {far[0]} was taken {far[1] / 1000:.0f} km from the others: leave photos of other "
            "places out, or send each place as a job of its own.",
        )


def _farthest(places: Mapping[str, tuple[float, float]]) -> tuple[str, float]:
    """The photo that is farthest from the middle of `places`, and how far, metres, as if on a plane."""
    north, east = next(iter(places.values()))  # from here on, so that no flight crosses the date line
    apart = {
        name: (latitude - north, math.remainder(longitude - east, 360.0))
        for name, (latitude, longitude) in places.items()
    }
    # The median; `statistics` would add 11 ms to a handler's start.
    middle = [sorted(offset[axis] for offset in apart.values())[len(apart) // 2] for axis in (0, 1)]
    narrowing = math.cos(math.radians(north + middle[0]))
    distances = {
        name: _METRES_A_DEGREE * math.hypot(up - middle[0], (right - middle[1]) * narrowing)
        for name, (up, right) in apart.items()
    }
    return max(distances.items(), key=lambda far: far[1])
