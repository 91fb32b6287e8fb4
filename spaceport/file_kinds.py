"""Files that people put beside their photos, or send instead of them, known by the ends of their names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import PurePosixPath


class Kind(StrEnum):
    """What a file is, in a message's words for one of it."""

    RAW = "raw photo"
    PICTURE = "picture"
    FILM = "film"
    ARCHIVE = "archive"


# Cameras' own formats. DNG, which drones write, is read.
_RAW = "3fr arw cr2 cr3 crw dcr erf fff gpr iiq kdc mef mos mrw nef nrw orf pef raf rw2 rwl sr2 srf srw x3f"
# Single pictures that no step reads; `insp` is a panorama of Insta360.
_PICTURE = "avif exr gif hdr insp j2k jp2 jxl jxr pdf psd svg tga"
# `lrv` and `lrf` are the small films that GoPro and DJI write beside the large ones.
_FILM = "360 3gp avi insv lrf lrv m2ts m4v mkv mov mp4 mpeg mpg mts webm wmv"
_ARCHIVE = "7z ace arj bz2 cab dmg gz iso lz4 lzh rar tar tbz2 tgz txz xz z zip zipx zst"

KINDS = {
    f".{suffix}": kind
    for kind, suffixes in (
        (Kind.RAW, _RAW),
        (Kind.PICTURE, _PICTURE),
        (Kind.FILM, _FILM),
        (Kind.ARCHIVE, _ARCHIVE),
    )
    for suffix in suffixes.split()
}
# What to do about them, the most useful word first.
HINTS = {
    Kind.RAW: "Export the raw photos as JPEG or DNG.",
    Kind.PICTURE: "Export the pictures as JPEG or PNG.",
    Kind.FILM: "Save frames of the film as JPEG, one or two a second.",
    Kind.ARCHIVE: "Unpack it, and zip the photos themselves.",
}


def kind_of(name: str) -> Kind | None:
    """What the file `name` is, by its suffix; None for photos that are read, and for anything else."""
    return KINDS.get(PurePosixPath(name).suffix.lower())


def of_kind(names: Iterable[str], *kinds: Kind) -> list[str]:
    """Those of `names` that are of one of `kinds`, in their order."""
    return [name for name in names if kind_of(name) in kinds]


def without_twin(names: Sequence[str], photos: Iterable[str]) -> list[str]:
    """Those of `names` that no photo of the same name stands for: cameras write raw photos and JPEGs.

    >>> without_twin(["a/1.CR2", "a/2.CR2"], ["a/1.JPG"])
    ['a/2.CR2']
    """
    twins = {_stem(photo) for photo in photos}
    return [name for name in names if _stem(name) not in twins]


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix("")).lower()
