"""Why photos found no place in the model, as far as the photos themselves tell."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial import cKDTree

from spaceport.errors import UserError
from spaceport.quality import PhotoWarning
from spaceport_sfm.photo import Photo
from spaceport_sfm.placement.gps import Floats, to_local_enu

# Two photos so far apart show no common ground below the legal ceiling of 120 m, and survey lines are closer.
GAP_M = 100.0
GAP_SPACINGS = 5.0  # the same for flights whose photos are further apart themselves
MIN_SITE = 3  # photos that could be a model of their own; fewer are strays
# Nobody's GPS says more of a drone in the air than this: photos within were taken from one place.
HOVER_M = 3.0
# Mean grey values, of 255: below hardly anything stands out of a sensor's noise, above the sky is all white.
DARK, BRIGHT = 35.0, 225.0
NAMED = 5  # photos that a message names


class Cause(StrEnum):
    """What is wrong with a photo that found no place; `OVERLAP` where nothing is, but its surroundings."""

    ELSEWHERE = "elsewhere"
    BLURRED = "blurred"
    DARK = "dark"
    BRIGHT = "bright"
    OVERLAP = "overlap"


@dataclass(frozen=True)
class _Words:
    """How a cause is told of one photo and of several, and what to do about it."""

    one: str
    several: str
    hint: str


WORDS: Mapping[Cause, _Words] = {
    Cause.ELSEWHERE: _Words(
        "was taken elsewhere, by its GPS",
        "were taken elsewhere, by their GPS",
        "Leave photos of other places out, or send each place as a job of its own.",
    ),
    Cause.BLURRED: _Words(
        "is blurred",
        "are blurred",
        "Fly slower or expose shorter (1/500 s or less), and let the camera focus before the first photo.",
    ),
    Cause.DARK: _Words(
        "is nearly black",
        "are nearly black",
        "Fly in daylight, and lock an exposure under which the ground is well lit.",
    ),
    Cause.BRIGHT: _Words(
        "is nearly white",
        "are nearly white",
        "Lock an exposure under which the ground is not burnt out.",
    ),
    Cause.OVERLAP: _Words(
        "shows too little sharp detail that another photo shows too",
        "show too little sharp detail that other photos show too",
        "Fly with more overlap (80 % ahead, 70 % to the sides); water, snow and even lawn show nothing that "
        "can be found again, so keep something else in each photo.",
    ),
}


def causes(
    photos: Sequence[Photo], registered: Collection[str], warned: Sequence[PhotoWarning]
) -> dict[Cause, list[Photo]]:
    """The photos that are not among `registered` by what is wrong with them, the commonest cause first."""
    blurred = {warning.name for warning in warned if warning.code == "blurred"}
    strays = _strays(photos)
    found: dict[Cause, list[Photo]] = {}
    for photo in photos:
        if photo.name not in registered:
            found.setdefault(_cause(photo, strays, blurred), []).append(photo)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def told(found: Mapping[Cause, Sequence[Photo]]) -> str:
    """`causes` in words, with the photos' names."""
    return "; ".join(
        f"{named(photos)} {WORDS[cause].one if len(photos) == 1 else WORDS[cause].several}"
        for cause, photos in found.items()
    )


def named(photos: Sequence[Photo]) -> str:
    """The first of their names in the zip, and how many more there are."""
    names = ", ".join(photo.source for photo in photos[:NAMED])
    more = len(photos) - NAMED
    return f"{names} and {more} more" if more > 0 else names


def too_few_registered(
    photos: Sequence[Photo], registered: Collection[str], warned: Sequence[PhotoWarning]
) -> UserError:
    """The error for a model of too few of `photos`, with the reason that fits this set."""
    reason, hint = _reason(photos, registered, warned)
    return UserError(
        "too_few_registered",
        f"Only {len(registered)} of {len(photos)} photos could be placed: {reason}.",
        hint,
    )


def _reason(
    photos: Sequence[Photo], registered: Collection[str], warned: Sequence[PhotoWarning]
) -> tuple[str, str]:
    if hovering(photos):
        return (
            f"by GPS all were taken within {HOVER_M:.0f} m of one place, and turning there shows no depth",
            "Fly along lines, and move between photos by about a fifth of the height.",
        )
    places = [site for site in sites(photos) if len(site) >= MIN_SITE]
    if len(places) > 1:
        groups = " and ".join(f"{len(site)} ({named(site[:2])}...)" for site in places)
        return (
            f"by GPS they show {len(places)} places over {GAP_M:.0f} m apart, with {groups} photos",
            WORDS[Cause.ELSEWHERE].hint,
        )
    found = causes(photos, registered, warned)
    return told(found), WORDS[next(iter(found))].hint


def hovering(photos: Sequence[Photo]) -> bool:
    """Whether GPS says that all photos were taken from one place."""
    enu = _enu(photos)
    if len(enu) < len(photos) or len(enu) < MIN_SITE:
        return False
    return bool(np.linalg.norm(enu[:, :2] - np.median(enu[:, :2], axis=0), axis=1).max() <= HOVER_M)


def sites(photos: Sequence[Photo]) -> list[list[Photo]]:
    """The photos with GPS by place, the largest first: no photo is within `GAP_M` of another group's."""
    located = [photo for photo in photos if photo.position is not None]
    enu = _enu(located)[:, :2]
    if len(located) < 2:
        return [located] if located else []
    spacing = float(np.median(cKDTree(enu).query(enu, k=2)[0][:, 1]))
    labels = fcluster(linkage(enu, "single"), max(GAP_M, GAP_SPACINGS * spacing), "distance")
    groups: dict[int, list[Photo]] = {}
    for photo, label in zip(located, labels, strict=True):
        groups.setdefault(int(label), []).append(photo)
    return sorted(groups.values(), key=lambda group: -len(group))


def _strays(photos: Sequence[Photo]) -> set[str]:
    return {photo.name for site in sites(photos)[1:] for photo in site}


def _cause(photo: Photo, strays: Collection[str], blurred: Collection[str]) -> Cause:
    brightness = photo.brightness
    if brightness is not None and brightness < DARK:
        return Cause.DARK  # before blur: what is black has no edges
    if brightness is not None and brightness > BRIGHT:
        return Cause.BRIGHT
    if photo.source in blurred:
        return Cause.BLURRED
    return Cause.ELSEWHERE if photo.name in strays else Cause.OVERLAP


def _enu(photos: Sequence[Photo]) -> Floats:
    return to_local_enu([photo.position for photo in photos if photo.position is not None])
