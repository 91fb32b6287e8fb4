"""A calm flight over the scene, along the way that the drone flew: for the film and for the viewer's page.

The flown path itself is no film: it goes to and fro over a grid, halts, turns on the spot and jumps from one
battery to the next. So of the flight one part without a break is taken, smoothed until it is slow enough to
watch, and cut to its middle where smoothing alone would lead away from what was flown.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import cKDTree

from spaceport_render.camera import Camera
from spaceport_render.flown_order import flown_order

Floats = NDArray[np.float64]
UP = np.array([0.0, 0.0, 1.0])

# Distances below are in units of how far off the drone was from what it saw: 40 m up, 10 m are 0.25.
SPEED = 0.2  # a second; the ground passes through the picture in some five
SHARPEST_TURN = math.radians(45)  # of the course, a second
LARGEST_PAN = math.radians(20)  # of the view, a second
LOOK_EVERY = 0.25  # seconds, at both
LARGEST_GAP = 1.5  # between photos of one part of a flight; grids with 70 % overlap have 0.4
STRAY = 0.5  # how far from a photo's place the film may lead: those beside it still see the same
CLEARANCE = 0.15  # above everything near below
NEAR = 0.25
STRAIGHT_DOWN = math.radians(30)  # a gimbal this near to it was meant to look down
LARGEST_TURN = math.radians(45)  # between photos of one part: more is another side of the scene
ALIKE = 0.9  # of 1, the length of the mean of directions that may be blended: ± 25°
SHORTEST = 0.1  # a way less long shows nothing; then the film goes nearer instead
NEARER = 0.3
LOOK_AHEAD = math.radians(20)  # what a flight that looked down looks ahead in the film, so that relief shows
SMOOTHINGS = 0.5 * np.sqrt(2.0) ** np.arange(24)  # standard deviations in photos, up to 1448
MOST_ASKED = 100  # cameras, spread over the flight, for its distance
MOST_PARTS = 6  # that are looked at; the others have fewer photos
SHOWN_AT = 9  # places of a course, where what it shows is counted
FINE = 2_000  # steps that the path is measured in


@dataclass(frozen=True)
class Lens:
    """A pinhole camera's size and focal length, pixels; the principal point is in the middle."""

    width: int
    height: int
    focal: float

    @classmethod
    def inside(cls, cameras: Sequence[Camera], width: int, height: int) -> Lens:
        """One that sees no more than the middle one of `cameras` does."""
        focal = np.median([max(c.fx * width / c.width, c.fy * height / c.height) for c in cameras])
        return Lens(width, height, float(focal))


@dataclass(frozen=True)
class Course:
    """A calm way over the scene, near where photos were taken and clear of the ground.

    Attributes:
        distance: how far off the drone was from what it saw, the scene's units.
        length: of the way, the scene's units.
    """

    distance: float
    length: float
    _curve: _Curve
    _share: float  # of the curve, around its middle, that is flown; below 0 the other way round
    _lift: float
    _forward: Floats | None  # (3,) the one direction to look in; None: the curve's own

    def at(self, shares: Floats) -> tuple[Floats, Floats]:
        """Positions (T, 3) and unit directions to look in (T, 3) at `shares` (T,), 0 to 1, of the length."""
        positions, forward = self._curve.at(0.5 + self._share * (shares - 0.5))
        if self._forward is not None:
            forward = np.tile(self._forward, (len(shares), 1))
        return positions + self._lift * UP, forward


def flight(
    cameras: Sequence[Camera], points: NDArray[np.floating], lens: Lens, times: Floats
) -> list[Camera]:
    """A camera for each of `times` (T,), seconds from 0, rising; the rest is as for `plan_course`."""
    seconds = float(times[-1])
    positions, forward = plan_course(cameras, points, seconds).at(times / seconds)
    return [
        level_camera(f"{index:04d}", position, direction, lens)
        for index, (position, direction) in enumerate(zip(positions, forward, strict=True))
    ]


def plan_course(cameras: Sequence[Camera], points: NDArray[np.floating], seconds: float) -> Course:
    """A course that can be flown calmly in so many seconds: over the part that shows most for longest.

    Once round a village is more to see than straight across it, though the grid has more photos.

    Args:
        cameras: the flight's, at least one, z up; in the order they were flown, if that is known.
        points: (N, 3) of the surface, as SfM or training found it.
    """
    cameras = flown_order(cameras)
    distance = viewing_distance(cameras, points)
    longest = sorted(parts(cameras, distance), key=len, reverse=True)[:MOST_PARTS]
    lens = Lens.inside(cameras, cameras[0].width, cameras[0].height)
    ways = [way for part in longest for way in _ways_over(part, points, distance, seconds)]
    return max(ways, key=lambda way: way.length * _shown(way, points, lens))


def _ways_over(
    part: Sequence[Camera], points: NDArray[np.floating], distance: float, seconds: float
) -> tuple[Course, ...]:
    """The calm course over `part`; where it looked down, once in each direction."""
    curve, share = _calm_course(part, distance, seconds)
    positions, _ = curve.at(0.5 + share * np.linspace(-0.5, 0.5, round(seconds / LOOK_EVERY) + 1))
    lift = _lift(positions, points, distance)
    course = Course(distance, share * curve.length, curve, share, lift, None)
    if not _looks_down(part[0]):
        return (course,)
    ahead = math.sin(LOOK_AHEAD) * _heading(positions, part)
    there = replace(course, _forward=ahead - math.cos(LOOK_AHEAD) * UP)
    back = replace(course, _share=-share, _forward=-ahead - math.cos(LOOK_AHEAD) * UP)
    return there, back


def _shown(course: Course, points: NDArray[np.floating], lens: Lens) -> int:
    """How many of `points` are in sight along `course`, each as often as it is: out to sea, few."""
    places = zip(*course.at(np.linspace(0.0, 1.0, SHOWN_AT)), strict=True)
    return sum(int(level_camera("", *place, lens).sees(points).sum()) for place in places)


def viewing_distance(cameras: Sequence[Camera], points: NDArray[np.floating]) -> float:
    """How far ahead of a camera the surface is, in the scene's units: the median over points and cameras."""
    depths = [
        points[camera.sees(points)] @ camera.world_to_camera[2, :3] + camera.world_to_camera[2, 3]
        for camera in cameras[:: -(-len(cameras) // MOST_ASKED)]
    ]
    seen = [float(np.median(depth)) for depth in depths if len(depth)]
    if seen:
        return float(np.median(seen))
    middle = np.median(points, axis=0)
    return float(np.median([np.linalg.norm(camera.position - middle) for camera in cameras])) or 1.0


def parts(cameras: Sequence[Camera], distance: float) -> Iterator[list[Camera]]:
    """Runs of cameras of one kind (straight down or not) without a gap or a sharp turn."""
    part = [cameras[0]]
    for before, after in pairwise(cameras):
        gap = np.linalg.norm(after.position - before.position)
        turn = math.acos(np.clip(_forward(before) @ _forward(after), -1.0, 1.0))
        if gap > LARGEST_GAP * distance or turn > LARGEST_TURN or _looks_down(before) != _looks_down(after):
            yield part
            part = []
        part.append(after)
    yield part


@dataclass(frozen=True)
class _Curve:
    """A smooth path with a direction to look in; both are cubic B-splines over the same parameter.

    Attributes:
        length: in the scene's units.
    """

    positions: BSpline
    directions: BSpline
    shares: Floats  # of the length, at FINE + 1 even steps of the parameter
    length: float

    @classmethod
    def through(cls, positions: Floats, directions: Floats) -> _Curve:
        """Near `positions` and `directions`, (C, 3) each, which are its control points."""
        degree = min(3, len(positions) - 1)
        inner = np.linspace(0.0, 1.0, len(positions) - degree + 1)
        knots = np.concatenate([np.zeros(degree), inner, np.ones(degree)])
        path = BSpline(knots, positions, degree)
        steps = np.linalg.norm(np.diff(path(np.linspace(0.0, 1.0, FINE + 1)), axis=0), axis=1)
        walked = np.concatenate([[0.0], np.cumsum(steps)])
        length = float(walked[-1])
        shares = walked / length if length > 0 else np.linspace(0.0, 1.0, FINE + 1)
        return cls(path, BSpline(knots, directions, degree), shares, length)

    def turns(self, share: float, seconds: float) -> tuple[float, float]:
        """The fastest turns of the course and of the view, radians a second.

        Args:
            share: of the length, around its middle, that is flown in so many `seconds`.
        """
        looks = np.linspace(0.5 - share / 2, 0.5 + share / 2, round(seconds / LOOK_EVERY) + 1)
        positions, directions = self.at(looks)
        return _fastest_turn(np.diff(positions, axis=0)), _fastest_turn(directions)

    def at(self, shares: Floats) -> tuple[Floats, Floats]:
        """Positions and unit directions at `shares` (T,) of the length."""
        parameter = np.interp(shares, self.shares, np.linspace(0.0, 1.0, FINE + 1))
        directions = self.directions(parameter)
        return self.positions(parameter), directions / np.linalg.norm(directions, axis=1, keepdims=True)


def _calm_course(part: Sequence[Camera], distance: float, seconds: float) -> tuple[_Curve, float]:
    """A course, and which share of it, around its middle, there is time for in so many seconds.

    The least smoothed one that can be flown as a whole; else the most smoothed that leads nowhere new; where
    even the middle of that is too restless or too short, one that goes nearer.
    """
    length = SPEED * distance * seconds
    for curve in _smoothed(part, distance):
        share = min(1.0, length / max(curve.length, SHORTEST * distance))
        turn, pan = curve.turns(share, seconds)
        if share == 1.0 and turn <= SHARPEST_TURN:
            break
    if turn > SHARPEST_TURN or curve.length < SHORTEST * distance:
        return _nearer(part[len(part) // 2], distance), 1.0
    return curve, share * LARGEST_PAN / max(pan, LARGEST_PAN)


def _smoothed(part: Sequence[Camera], distance: float) -> Iterator[_Curve]:
    """The way along `part`, more and more smoothed, as long as it leads nowhere new."""
    places = np.array([camera.position for camera in part])
    directions = np.array([_forward(camera) for camera in part])
    flown = cKDTree(places)
    yield _Curve.through(places, directions)
    for sigma in SMOOTHINGS:
        smooth_places = gaussian_filter1d(places, sigma, axis=0, mode="reflect")
        smooth_directions = gaussian_filter1d(directions, sigma, axis=0, mode="reflect")
        strays, _ = flown.query(smooth_places)
        if strays.max() > STRAY * distance or np.linalg.norm(smooth_directions, axis=1).min() < ALIKE:
            return
        yield _Curve.through(smooth_places, smooth_directions)


def _fastest_turn(ways: Floats) -> float:
    """Between `ways` (T, 3), taken every LOOK_EVERY seconds: radians a second."""
    lengths = np.linalg.norm(ways, axis=1)
    cosines = np.sum(ways[1:] * ways[:-1], axis=1) / np.maximum(lengths[1:] * lengths[:-1], 1e-12)
    return float(np.arccos(np.clip(cosines, -1.0, 1.0)).max()) / LOOK_EVERY


def _nearer(camera: Camera, distance: float) -> _Curve:
    """Straight on from `camera`: what there is to film of a flight on the spot."""
    forward = _forward(camera)
    ahead = camera.position + NEARER * distance * forward
    return _Curve.through(np.array([camera.position, ahead]), np.array([forward, forward]))


def _lift(positions: Floats, points: NDArray[np.floating], distance: float) -> float:
    """How much higher the whole path must be to keep clear of all that is near below it."""
    near = cKDTree(points[:, :2]).query_ball_point(positions[:, :2], NEAR * distance)
    # Not the very highest: points in the air are errors.
    above = [
        place[2] - np.percentile(points[found, 2], 98)
        for found, place in zip(near, positions, strict=True)
        if found
    ]
    return max(0.0, CLEARANCE * distance - min(above, default=math.inf))


def _heading(positions: Floats, part: Sequence[Camera]) -> Floats:
    """The horizontal unit direction that the path leads in; of a round trip, that of its longest side."""
    flat = positions[:, :2] - positions[:, :2].mean(axis=0)
    extent = np.ptp(flat, axis=0).max()
    along = flat[-1] - flat[0]
    if extent < 1e-6 * np.abs(positions).max():  # straight down: as the photos lie
        along = -part[0].world_to_camera[1, :2]
    elif np.linalg.norm(along) < extent / 2:
        along = np.linalg.svd(flat, full_matrices=False)[2][0]
    return np.array([*(along / np.linalg.norm(along)), 0.0])


def _forward(camera: Camera) -> Floats:
    return camera.world_to_camera[2, :3]


def _looks_down(camera: Camera) -> bool:
    return bool(_forward(camera) @ -UP > math.cos(STRAIGHT_DOWN))


def level_camera(name: str, position: Floats, forward: Floats, lens: Lens) -> Camera:
    """A camera with a level horizon; any that looks straight up or down, as where z is not up."""
    right = np.cross(forward, UP)
    length = np.linalg.norm(right)
    right = right / length if length > 1e-6 else np.array([1.0, 0.0, 0.0])
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    world_to_camera[:3, 3] = -world_to_camera[:3, :3] @ position
    return Camera(
        name,
        lens.width,
        lens.height,
        lens.focal,
        lens.focal,
        lens.width / 2,
        lens.height / 2,
        world_to_camera,
    )
