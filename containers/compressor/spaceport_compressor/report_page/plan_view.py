"""The model from straight above, north up: what the photos saw, what is a guess, where the drone stood."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spaceport_compressor.report_page.pictures import Picture, webp
from spaceport_render.camera import Camera
from spaceport_render.gaussians import Gaussians
from spaceport_render.render import render
from spaceport_render.spherical_harmonics import SH_0

SIDE = 900  # longer side of the map, pixels
# So many map sides above the ground the view is a map: things 1/40 of a side high lean by under 1/1000.
ALTITUDE = 40.0
MARGIN = 0.06  # around what is to be seen, as a share of its extent
# Positions beyond these percentiles are strays and don't decide how much the map shows.
STRAYS = (1.0, 99.0)
GUESS_OPACITY = 0.28  # of what no photo looked at: visible, but plainly less than the rest


@dataclass(frozen=True)
class Station:
    """Where a photo was taken: pixels of the map, and which way it looks there (a unit step, or none)."""

    name: str
    x: float
    y: float
    held_out: bool
    heading: tuple[float, float] | None


@dataclass(frozen=True)
class ScaleBar:
    """`pixels` of the map are `metres` on the ground."""

    metres: float
    pixels: float

    @property
    def label(self) -> str:
        return f"{self.metres / 1000:g} km" if self.metres >= 1000 else f"{self.metres:g} m"


@dataclass(frozen=True)
class PlanView:
    """The map and what is drawn on it.

    Attributes:
        scale: None where the model has no metres.
        extent: what the map shows, west to east and south to north, metres (scene units without GPS).
        guessed_share: of the Gaussians, those that no training photo looked at, 0..1; None where nobody
            knows, for want of the photos.
    """

    picture: Picture
    stations: tuple[Station, ...]
    scale: ScaleBar | None
    extent: tuple[float, float]
    guessed_share: float | None


@dataclass(frozen=True)
class _Frame:
    """The map's place: its western and northern border, and pixels a metre."""

    west: float
    north: float
    width: float
    height: float
    scale: float

    def pixel(self, point: NDArray[np.float64]) -> tuple[float, float]:
        return float((point[0] - self.west) * self.scale), float((self.north - point[1]) * self.scale)

    def camera(self, ground: float) -> Camera:
        """Straight above the middle, and very far: x of the picture is east, y south."""
        above = ALTITUDE * max(self.width, self.height)
        middle = np.array([self.west + self.width / 2, self.north - self.height / 2, ground + above])
        world_to_camera = np.diag([1.0, -1.0, -1.0, 1.0])
        world_to_camera[:3, 3] = -world_to_camera[:3, :3] @ middle
        across, down = round(self.width * self.scale), round(self.height * self.scale)
        focal = self.scale * above
        return Camera("plan", across, down, focal, focal, across / 2, down / 2, world_to_camera)


def plan_view(
    delivered: Gaussians, cameras: Sequence[Camera], held_out: Collection[str], *, metric: bool
) -> PlanView:
    """The map of `delivered`.

    Args:
        cameras: all of the flight's; none where it is not known.
        held_out: names of those that training did not use.
        metric: whether the scene is in metres.
    """
    seen = np.full(len(delivered), not cameras)
    for camera in cameras:
        if camera.name not in held_out:
            seen |= camera.sees(delivered.means)
    positions = np.array([camera.position for camera in cameras]).reshape(-1, 3)
    frame = _frame_around(delivered.means[seen], positions)
    return PlanView(
        picture=webp(_map(delivered, seen, frame.camera(float(np.median(delivered.means[:, 2]))))),
        stations=tuple(_station(camera, frame, camera.name in held_out) for camera in cameras),
        scale=_scale_bar(frame) if metric else None,
        extent=(frame.width, frame.height),
        guessed_share=float(1 - seen.mean()) if cameras else None,
    )


def _frame_around(points: NDArray[np.floating], positions: NDArray[np.float64]) -> _Frame:
    places = positions[:, :2]
    if len(points):
        places = np.concatenate([places, np.percentile(points[:, :2], STRAYS, axis=0)])
    low, high = places.min(axis=0), places.max(axis=0)
    # A lone camera that sees nothing still has a place on a map.
    extent = np.maximum(high - low, 1e-3 * max(1.0, float((high - low).max())))
    margin = MARGIN * float(extent.max())
    width, height = extent + 2 * margin
    return _Frame(low[0] - margin, high[1] + margin, width, height, SIDE / max(width, height))


def _map(delivered: Gaussians, seen: NDArray[np.bool_], camera: Camera) -> NDArray[np.uint8]:
    """(H, W, 4): the model's colours, and how sure it is there: 1 seen, GUESS_OPACITY not, 0 empty."""
    colors = render(delivered, camera).clip(0, 1)
    # The same picture with other colours: red is how much of a pixel the photos saw, green how much is there.
    told = np.stack([seen, np.ones(len(seen)), np.zeros(len(seen))], axis=1)
    flat = ((told - 0.5) / SH_0)[:, None, :].astype(np.float32)
    saw, there, _ = np.moveaxis(render(replace(delivered, sh=flat), camera).clip(0, 1), 2, 0)
    opaque = np.maximum(there, 1e-3)[..., None]
    opacity = saw + GUESS_OPACITY * np.maximum(there - saw, 0)
    picture = np.concatenate([(colors / opaque).clip(0, 1), opacity[..., None]], axis=2)
    return np.rint(picture * 255).astype(np.uint8)


def _station(camera: Camera, frame: _Frame, held_out: bool) -> Station:
    x, y = frame.pixel(camera.position)
    east, north, _ = camera.world_to_camera[2, :3]
    level = math.hypot(east, north)
    # Below 10° off straight down there is no direction worth an arrow.
    heading = (east / level, -north / level) if level > math.sin(math.radians(10)) else None
    return Station(camera.name, x, y, held_out, heading)


def _scale_bar(frame: _Frame) -> ScaleBar:
    """A round length (1, 2 or 5 times a power of ten) of at most a quarter of the map's width."""
    most = frame.width / 4
    power = 10.0 ** (math.ceil(math.log10(most)) - 1)  # rounding up a logarithm must leave a step below
    metres = max(step * power for step in (1, 2, 5, 10) if step * power <= most)
    return ScaleBar(metres, metres * frame.scale)
