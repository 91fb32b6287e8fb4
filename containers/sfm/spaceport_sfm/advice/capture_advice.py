"""What the pilot can do better next time, from what failed or came out weak. A good flight gets none.

What GPS and ground control lack is told where they are used, see `placement`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from spaceport.quality import Advice, Lens, PhotoWarning
from spaceport_sfm.advice.coverage import Coverage
from spaceport_sfm.advice.unplaced import (
    BRIGHT,
    DARK,
    HOVER_M,
    MIN_SITE,
    WORDS,
    Cause,
    causes,
    hovering,
    named,
    sites,
    told,
)
from spaceport_sfm.photo import Photo

FEW_PHOTOS = 10  # below, most places are seen from one side only
# Each delivered point is in three photos at least, so three on average is the least there is.
LOW_MEAN_TRACK = 3.3
# Photos that hang on by fewer points are off by pixels where one of these is wrong.
FEW_SHARED_POINTS = 25
# A pixel of error in the direction of a ray (0.05° at usual focal lengths) is 1 % of the distance here.
SMALL_RAY_ANGLE_DEG = 4.0
NADIR_DEG = 10.0  # gimbals pointed straight down are within
WELL_KNOWN_FOCAL = 0.002  # its uncertainty, as a share: 2 cm in a house of 10 m
LARGE_SHARE = 0.1  # of the photos: below, what is wrong with single photos is told with these
EXPOSURE_RATIO = 2.0  # of mean grey values: more than two stops


@dataclass(frozen=True)
class Flight:
    """All that advice is given by.

    Attributes:
        photos: the good ones.
        registered: names of those that have a pose.
        others: names of the photos of each model that could not be joined with this one.
        mean_track: photos that show a point, on average.
    """

    photos: Sequence[Photo]
    warned: Sequence[PhotoWarning]
    registered: Sequence[str]
    others: Sequence[Sequence[str]]
    mean_track: float
    coverage: Coverage
    lenses: Sequence[Lens]

    @property
    def placed(self) -> list[Photo]:
        registered = set(self.registered)
        return [photo for photo in self.photos if photo.name in registered]

    def sources(self, names: Sequence[str]) -> list[Photo]:
        """The photos of these names."""
        wanted = set(names)
        return [photo for photo in self.photos if photo.name in wanted]


def capture_advice(flight: Flight) -> list[Advice]:
    """The advice on this flight, what costs most first."""
    return [advice for look in _LOOKS if (advice := look(flight))]


def _unplaced(flight: Flight) -> Advice | None:
    told_as_group = {name for names in _groups(flight) for name in names}
    found = causes(flight.photos, {*flight.registered, *told_as_group}, flight.warned)
    count = sum(map(len, found.values()))
    if not count:
        return None
    return Advice(
        code="photos_left_over",
        message=f"{count} of {len(flight.photos)} photos found no place in the model: {told(found)}.",
        hint=WORDS[next(iter(found))].hint,
    )


def _two_sites(flight: Flight) -> Advice | None:
    others = [flight.sources(names) for names in _groups(flight)]
    if not others:
        return None
    groups = " and ".join(f"{len(photos)} ({named(photos)})" for photos in others)
    places = sum(len(site) >= MIN_SITE for site in sites(flight.photos))
    if places > 1:
        message = f"By GPS these are {places} places. {groups} photos show others than the one in this model."
        return Advice(code="several_sites", message=message, hint=WORDS[Cause.ELSEWHERE].hint)
    return Advice(
        code="disjoint_models",
        message=f"The photos fall apart into groups without a link: {groups} fit each other, not this model.",
        hint="Fly a line across the gap between them, with 80 % overlap to both.",
    )


def _groups(flight: Flight) -> list[Sequence[str]]:
    """The models that could be jobs of their own."""
    return [names for names in flight.others if len(names) >= MIN_SITE]


def _few_photos(flight: Flight) -> Advice | None:
    if len(flight.registered) >= FEW_PHOTOS:
        return None
    return Advice(
        code="few_photos",
        message=f"The model is of {len(flight.registered)} photos: most of it was seen from one side only.",
        hint="Take 20 or more, along lines that overlap and from several sides.",
    )


def _weak_overlap(flight: Flight) -> Advice | None:
    weak = [photo.name for photo in flight.coverage.photos if photo.shared < FEW_SHARED_POINTS]
    thin = flight.mean_track < LOW_MEAN_TRACK and len(flight.registered) >= FEW_PHOTOS
    if not weak and not thin:
        return None
    seen = []
    if thin:
        seen.append(f"A point is in {flight.mean_track:.1f} photos on average, hardly more than the least.")
    if weak:
        hang = "hangs" if len(weak) == 1 else "hang"
        seen.append(
            f"{named(flight.sources(weak))} {hang} on by fewer than {FEW_SHARED_POINTS} points: the place "
            "may be wrong."
        )
    return Advice(
        code="weak_overlap",
        message=" ".join(seen),
        hint="Take photos between these: neighbours should show 80 % of the same ground.",
    )


def _near_one_place(flight: Flight) -> Advice | None:
    angle = flight.coverage.ray_angle_deg
    if hovering(flight.photos):
        seen = f"By GPS all photos were taken within {HOVER_M:.0f} m of one place: distances are uncertain."
    elif angle < SMALL_RAY_ANGLE_DEG:
        seen = (
            "The photos were taken close together for how far away the scene is: rays meet at "
            f"{angle:.1f}° only, so distances are uncertain."
        )
    else:
        return None
    return Advice(
        code="small_baseline",
        message=seen,
        hint="Fly along lines, and move between photos by about a fifth of the height.",
    )


def _blurred(flight: Flight) -> Advice | None:
    soft = {warning.name for warning in flight.warned if warning.code == "blurred"}
    placed = flight.placed  # the others are told of as left over
    blurred = [photo for photo in placed if photo.source in soft]
    if len(blurred) <= LARGE_SHARE * len(placed):
        return None
    return Advice(
        code="blurred",
        message=f"{len(blurred)} of {len(placed)} photos are blurred.",
        hint=WORDS[Cause.BLURRED].hint,
    )


def _exposure(flight: Flight) -> Advice | None:
    levels = np.array([photo.brightness for photo in flight.placed if photo.brightness is not None])
    if not len(levels):
        return None
    for extreme, cause in ((levels < DARK, Cause.DARK), (levels > BRIGHT, Cause.BRIGHT)):
        if extreme.mean() > LARGE_SHARE:
            message = f"{extreme.sum()} of {len(levels)} photos {WORDS[cause].several}."
            return Advice(code=cause.value, message=message, hint=WORDS[cause].hint)
    low, high = np.percentile(levels, [5, 95])
    if high < EXPOSURE_RATIO * low:
        return None
    return Advice(
        code="exposure_varies",
        message=f"The brightest photos are {high / low:.1f} times as bright as the darkest.",
        hint="Lock exposure and white balance before the flight: a place should look the same in all photos.",
    )


def _nadir_only(flight: Flight) -> Advice | None:
    steepest = max((photo.off_nadir_deg for photo in flight.coverage.photos), default=0.0)
    if steepest > NADIR_DEG:
        return None
    main_lens = max(flight.lenses, key=lambda lens: lens.photos, default=None)
    sigma = main_lens.focal_sigma_px if main_lens else None
    uncertain = sigma / main_lens.focal_px if main_lens and sigma else 0.0
    heights = (
        f"; and heights are uncertain by {100 * uncertain:.2g} %: a longer lens looks like lower ground"
        if uncertain > WELL_KNOWN_FOCAL
        else ""
    )
    return Advice(
        code="nadir_only",
        message=f"All photos look straight down (within {max(steepest, 1.0):.0f}°): walls were not seen"
        f"{heights}.",
        hint="Add photos with the camera 30 to 45° up from straight down, from all sides.",
    )


# In the order of what costs most.
_LOOKS: tuple[Callable[[Flight], Advice | None], ...] = (
    _unplaced,
    _two_sites,
    _few_photos,
    _weak_overlap,
    _near_one_place,
    _blurred,
    _exposure,
    _nadir_only,
)
