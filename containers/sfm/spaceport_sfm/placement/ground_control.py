"""Place, scale and direction of a model by ground control points.

Each point is triangulated from the photos that show it, then a similarity takes the points to where they were
measured. That does not bend the model: what lens and drift have warped stays warped, and shows in the
residuals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from math import comb
from typing import Literal

import numpy as np

from spaceport.quality import ControlNumbers, ControlPointNumbers
from spaceport_sfm.placement.consensus import Fit, Measurements, fit_robustly
from spaceport_sfm.placement.gcp_list import MIN_POINTS, ControlPoint, GroundControl
from spaceport_sfm.placement.georegistration import GpsRegistration
from spaceport_sfm.placement.gps import Floats, Position, median_position, to_enu
from spaceport_sfm.placement.similarity import Gravity, Mask, Similarity, refine

# A mark is off by a pixel or two of the original, and the model by half a pixel; a mark on the wrong thing is
# off by tens.
MAX_MARK_ERROR_PX = 5.0
MARK_SIGMA_PX = 1.0
# Pairs of rays that are tried for one point: all of 45 photos'. Of more photos every so many pairs; with half
# of the marks wrong, every fourth pair is clean still.
MOST_PAIRS = 1000
MIN_RAY_ANGLE = np.radians(2.0)  # below, the depth of a point is 30 times less certain than its direction
SURVEY_SIGMA_M = 0.03  # RTK rover on a pole
CONTROL_FLOOR_M = 0.15  # a model's own bending is as large: nearer points are never called wrong
# A point is on the wrong mark where it lies so far from where the photos' GPS expects it, once both agree
# on the whole.
GPS_GATE_M = 12.0
ELSEWHERE_M = 1000.0  # from the photos' GPS: the coordinate system is not the one that the file names
SHIFT_TOLD_M = 10.0  # between ground control and GPS: more than GPS can be off


@dataclass(frozen=True)
class Ray:
    """A mark in a photo as a ray in the model's frame.

    Attributes:
        photo: what to call it.
        centre, direction: (3,); the direction has length 1.
        focal_px: pixels for a radian near the picture's middle.
    """

    photo: str
    centre: Floats
    direction: Floats
    focal_px: float


@dataclass(frozen=True)
class Meeting:
    """Where rays meet.

    Attributes:
        place: (3,) in the model's frame.
        covariance: (3, 3) of the place, the model's units squared.
        agree: mask of the rays that meet there.
    """

    place: Floats
    covariance: Floats
    agree: Mask

    def sigmas(self, up: Floats) -> tuple[float, float]:
        """Standard deviations across `up` (3,) and along it: rays from above tell heights less well."""
        along = float(up @ self.covariance @ up)
        return float(np.sqrt((np.trace(self.covariance) - along) / 2)), float(np.sqrt(along))


@dataclass(frozen=True)
class FoundPoint:
    """A point that photos of the model show.

    Attributes:
        role: what it did for the registration.
        source: (3,) where it is in the model's frame.
    """

    point: ControlPoint
    role: Literal["used", "check", "rejected"]
    source: Floats

    def numbers(self, similarity: Similarity, origin: Position) -> ControlPointNumbers:
        """The point in the frame about `origin`, which `similarity` leads to."""
        position = self.point.position
        measured, there = to_enu([position], origin)[0], similarity.apply(self.source[None])[0]
        if position.alt is None:
            measured[2] = there[2]
        east, north, up = (round(float(value), 4) for value in measured)  # a tenth of a millimetre
        off = tuple(round(float(value), 4) for value in there - measured)
        return ControlPointNumbers(
            name=self.point.name,
            role=self.role,
            lat=position.lat,
            lon=position.lon,
            alt=position.alt,
            place=(east, north, up),
            off=(off[0], off[1], off[2]),
        )


@dataclass(frozen=True)
class ControlRegistration:
    """What ground control says of the model.

    Attributes:
        found: the points that the model shows.
        origin: of the frame that `similarity` leads to: metres east, north and up.
        shift: (3,) metres from there to where the photos' GPS has the model; None without GPS.
    """

    origin: Position
    similarity: Similarity
    numbers: ControlNumbers
    found: tuple[FoundPoint, ...]
    shift: Floats | None


class UnusableControlError(Exception):
    """The points, as the photos show them, don't tell where the model is; the text says why."""


def register_by_control(
    control: GroundControl,
    sight: Callable[[str, tuple[float, float]], Ray | None],
    gravity: Gravity,
    gps: GpsRegistration | None,
    seed: int,
) -> ControlRegistration:
    """Fit the model to ground control.

    Args:
        sight: the ray of a pixel of a photo, by its name; None for a photo that was not registered.
        gravity: up in the model's frame; decides where all points lie on one line.
        gps: a second opinion, which knows a point on the wrong mark from a right one.

    Raises:
        UnusableControlError: fewer than three points are left, or they say too little.
    """
    rejected = list(control.complaints)
    points, meetings = _triangulated(control.points, sight, rejected)
    if not points:
        raise UnusableControlError("none of the points could be found in two photos of the model")
    origin = gps.origin if gps else median_position([point.position for point in points])
    survey = _Survey.of(points, meetings, origin, gravity.up)
    if gps is not None:
        survey = survey.only(_believable(survey, gps.fit.similarity, rejected))
    base = survey.only(~survey.check)
    if len(base.points) < MIN_POINTS:
        raise UnusableControlError(f"{len(base.points)} points are left, {MIN_POINTS} are needed")
    floors = np.full(len(base.points), CONTROL_FLOOR_M)
    measured = Measurements(base.target, base.sigmas, floors, least_scatter=1.0)
    fit = fit_robustly(base.source, measured, gravity, seed)
    if fit is None:
        raise UnusableControlError("the points lie too close together, or contradict each other")
    similarity = fit.similarity
    if gps is not None and not fit.height.any():  # no point tells a height
        similarity = similarity.moved(np.array([0.0, 0.0, _shift(gps, similarity)[2]]))
    rejected += _contradictions(base, fit, similarity)
    numbers = _numbers(base, survey.only(survey.check), fit, similarity, rejected)
    found = _found(base, survey.only(survey.check), fit)
    return ControlRegistration(origin, similarity, numbers, found, _shift(gps, similarity) if gps else None)


@dataclass(frozen=True)
class _Survey:
    """Triangulated points as arrays.

    Attributes:
        source: (N, 3) in the model's frame.
        target: (N, 3) as measured: metres east, north and up.
        sigmas: (N, 3) metres, of the survey and of the triangulation; infinite for an unknown height.
    """

    points: tuple[ControlPoint, ...]
    source: Floats
    target: Floats
    sigmas: Floats

    @classmethod
    def of(
        cls, points: Sequence[ControlPoint], meetings: Sequence[Meeting], origin: Position, up: Floats
    ) -> _Survey:
        source = np.array([meeting.place for meeting in meetings])
        target = to_enu([point.position for point in points], origin)
        scale = _spread(target) / max(_spread(source), 1e-12)
        own = np.array([meeting.sigmas(up) for meeting in meetings])
        level, height = np.hypot(SURVEY_SIGMA_M, scale * own).T
        tall = np.array([point.position.alt is not None for point in points])
        sigmas = np.stack([level, level, np.where(tall, height, np.inf)], axis=1)
        return cls(tuple(points), source, target, sigmas)

    @property
    def check(self) -> Mask:
        return np.array([point.check for point in self.points], dtype=bool)

    def only(self, rows: Mask) -> _Survey:
        points = tuple(point for point, wanted in zip(self.points, rows, strict=True) if wanted)
        return _Survey(points, self.source[rows], self.target[rows], self.sigmas[rows])

    def off(self, similarity: Similarity) -> Floats:
        """(N, 3) metres from where each was measured to where `similarity` puts it."""
        return similarity.apply(self.source) - self.target


def _spread(points: Floats) -> float:
    return float(np.median(np.linalg.norm(points - np.median(points, axis=0), axis=1)))


def meet(rays: Sequence[Ray]) -> Meeting | None:
    """Where most of `rays` meet; None where no half of them does, or they are nearly parallel.

    Every pair of rays is tried (an exhaustive RANSAC: points are marked in a few photos each), or MOST_PAIRS.
    """
    best: tuple[int, float, Mask] | None = None
    step = -(-comb(len(rays), 2) // MOST_PAIRS) or 1
    for pair in islice(combinations(rays, 2), 0, None, step):
        place = _nearest(pair)
        if place is None:
            continue
        errors = _errors(place, rays)
        agree = errors <= MAX_MARK_ERROR_PX
        score = (-int(agree.sum()), float(errors[agree].sum()), agree)
        if agree.sum() >= 2 and (best is None or score[:2] < best[:2]):
            best = score
    if best is None or 2 * best[2].sum() < len(rays):
        return None
    agree = best[2]
    chosen = [ray for ray, good in zip(rays, agree, strict=True) if good]
    place = _nearest(chosen)
    if place is None:
        return None
    information = sum(
        _across(ray.direction) * (ray.focal_px / MARK_SIGMA_PX / np.linalg.norm(place - ray.centre)) ** 2
        for ray in chosen
    )
    return Meeting(place, np.linalg.inv(information), agree)


def _nearest(rays: Sequence[Ray]) -> Floats | None:
    """The point that lies nearest to `rays`, by angle; None where they are parallel or it is behind one."""
    directions = np.array([ray.direction for ray in rays])
    if (directions @ directions.T).min() > np.cos(MIN_RAY_ANGLE):
        return None
    centres = np.array([ray.centre for ray in rays])
    planes = np.array([_across(direction) for direction in directions])
    weights = np.ones(len(rays))
    place = centres[0]
    for _ in range(4):  # distances to an angle's weights: settled after two
        place = np.linalg.solve(
            np.einsum("n,nij->ij", weights, planes), np.einsum("n,nij,nj->i", weights, planes, centres)
        )
        weights = 1.0 / np.maximum(((place - centres) ** 2).sum(axis=1), 1e-12)
    return place if (((place - centres) * directions).sum(axis=1) > 0).all() else None


def _across(direction: Floats) -> Floats:
    """(3, 3): what is across `direction` of a vector."""
    return np.eye(3) - np.outer(direction, direction)


def _errors(place: Floats, rays: Sequence[Ray]) -> Floats:
    """(N,) how far from its mark each photo shows `place`, pixels; infinite behind the camera."""
    offsets = np.array([place - ray.centre for ray in rays])
    directions = np.array([ray.direction for ray in rays])
    ahead = (offsets * directions).sum(axis=1)
    aside = np.linalg.norm(offsets - ahead[:, None] * directions, axis=1)
    focal = np.array([ray.focal_px for ray in rays])
    return np.where(ahead > 0, focal * aside / np.where(ahead > 0, ahead, 1.0), np.inf)


def _triangulated(
    points: Sequence[ControlPoint],
    sight: Callable[[str, tuple[float, float]], Ray | None],
    rejected: list[str],
) -> tuple[list[ControlPoint], list[Meeting]]:
    found, meetings = [], []
    for point in points:
        seen = [(mark, ray) for mark in point.sightings if (ray := sight(mark.photo, mark.pixel))]
        if len(seen) < 2:
            rejected.append(f"{point.name}: marked in {len(seen)} photos of the model, two are needed")
            continue
        meeting = meet([ray for _, ray in seen])
        if meeting is None:
            rejected.append(f"{point.name}: its marks in {len(seen)} photos don't show one place")
            continue
        rejected += [
            f"{point.name} in {ray.photo} (line {mark.line}): not the place that the other photos show"
            for (mark, ray), good in zip(seen, meeting.agree, strict=True)
            if not good
        ]
        found.append(point)
        meetings.append(meeting)
    return found, meetings


def _believable(survey: _Survey, by_gps: Similarity, rejected: list[str]) -> Mask:
    """(N,) whether GPS may be right about each point."""
    off = survey.off(by_gps)[:, :2]
    middle = np.median(off, axis=0)
    if np.linalg.norm(middle) > ELSEWHERE_M:
        raise UnusableControlError(
            f"they lie {np.linalg.norm(middle) / 1000:.0f} km from the photos' GPS: the first line names "
            "another coordinate system than theirs, or x and y are exchanged"
        )
    aside = np.linalg.norm(off - middle, axis=1)
    rejected += [
        f"{point.name}: {distance:.0f} m from where the photos' GPS expects it"
        for point, distance in zip(survey.points, aside, strict=True)
        if distance > GPS_GATE_M
    ]
    believable: Mask = aside <= GPS_GATE_M
    return believable


def _shift(gps: GpsRegistration, similarity: Similarity) -> Floats:
    """(3,) metres from where `similarity` puts the cameras to where GPS has them, typically."""
    off = gps.target - similarity.apply(gps.source)
    heights = off[gps.fit.height & gps.heights_known, 2]
    up = np.median(heights) if len(heights) else 0.0
    return np.array([*np.median(off[gps.fit.level, :2], axis=0), up])


def _contradictions(base: _Survey, fit: Fit, similarity: Similarity) -> list[str]:
    """What is wrong with the points, or their heights, that `fit` left out."""
    told = []
    known = np.isfinite(base.sigmas[:, 2])
    for point, off, level, height, tall in zip(
        base.points, base.off(similarity), fit.level, fit.height, known, strict=True
    ):
        if not level:
            told.append(f"{point.name}: {np.linalg.norm(off):.2f} m from where the other points put it")
        elif tall and not height:
            told.append(f"{point.name}: its height is {abs(off[2]):.2f} m off, only its place was used")
    return told


def _found(base: _Survey, check: _Survey, fit: Fit) -> tuple[FoundPoint, ...]:
    held = [
        FoundPoint(point, "used" if used else "rejected", source)
        for point, source, used in zip(base.points, base.source, fit.level, strict=True)
    ]
    measured = [
        FoundPoint(point, "check", source) for point, source in zip(check.points, check.source, strict=True)
    ]
    return (*held, *measured)


def _numbers(
    base: _Survey, check: _Survey, fit: Fit, similarity: Similarity, rejected: list[str]
) -> ControlNumbers:
    level, up = _rms(base.off(similarity), fit.level, fit.height)
    everywhere = np.ones(len(check.points), dtype=bool)
    check_level, check_up = _rms(check.off(similarity), everywhere, np.isfinite(check.sigmas[:, 2]))
    alone_level, alone_up = None, None
    if fit.level.sum() > MIN_POINTS:
        alone_level, alone_up = _rms(_left_out(base, fit), fit.level, fit.height)
    return ControlNumbers(
        used=[point.name for point, used in zip(base.points, fit.level, strict=True) if used],
        rms_horizontal_m=level or 0.0,
        rms_vertical_m=up or 0.0,
        check=[point.name for point in check.points],
        check_rms_horizontal_m=check_level,
        check_rms_vertical_m=check_up,
        left_out_rms_horizontal_m=alone_level,
        left_out_rms_vertical_m=alone_up,
        rejected=rejected,
    )


def _rms(off: Floats, level: Mask, height: Mask) -> tuple[float | None, float | None]:
    """Root mean squares of `off` (N, 3): east and north together of `level`, up of `height`."""
    return (
        float(np.sqrt((off[level, :2] ** 2).sum(axis=1).mean())) if level.any() else None,
        float(np.sqrt((off[height, 2] ** 2).mean())) if height.any() else None,
    )


def _left_out(base: _Survey, fit: Fit) -> Floats:
    """(N, 3): how far off each used point is by a fit to the others.

    With three others, two numbers to spare, that is more than the true error, never less.
    """
    used = np.where(np.stack([fit.level, fit.level, fit.height], axis=1), base.sigmas, np.inf)
    off = np.zeros_like(base.target)
    for row in np.flatnonzero(fit.level):
        others = used.copy()
        others[row] = np.inf
        off[row] = base.off(refine(fit.similarity, base.source, base.target, others, None))[row]
    return off
