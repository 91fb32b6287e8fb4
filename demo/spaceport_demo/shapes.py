"""What stands on the ground, as arrays a ray can be tested against: convex solids and lumpy crowns.

A house is a few convex solids (a body, two roof slabs, a chimney); a tree's crown is a union of spheres
whose surface noise displaces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Color = tuple[float, float, float]  # linear reflectance, red green blue


class Material(IntEnum):
    """How a face is coloured; see `materials.py`."""

    PAINT = 0
    FACADE = 1
    GABLE = 2
    TILES = 3
    BOARDS = 4
    METAL = 5
    FLAT_ROOF = 6
    STONE = 7
    GLASS = 8


class Solids(NamedTuple):
    """Convex polyhedra, each an intersection of half-spaces n·p ≤ d.

    Attributes:
        first_face: (S + 1,) faces of solid i are first_face[i] : first_face[i + 1].
        spheres: (S, 4) bounding spheres: centre, radius, metres.
        planes: (F, 4) outward unit normal and d.
        frames: (F, 3, 3) origin, u axis (level) and v axis (upwards) of the face's texture, metres.
        sizes: (F, 2) how far u and v reach, metres.
        materials: (F,) of `Material`.
        colors: (F, 3) linear reflectance.
    """

    first_face: NDArray[np.int32]
    spheres: Vector
    planes: Vector
    frames: Vector
    sizes: Vector
    materials: NDArray[np.int32]
    colors: Vector


class Crowns(NamedTuple):
    """Foliage: unions of spheres with a displaced surface.

    Attributes:
        first_blob: (T + 1,) blobs of crown i are first_blob[i] : first_blob[i + 1].
        spheres: (T, 4) bounding spheres, displacement included.
        blobs: (B, 4) centre and radius, metres.
        lumps: (T,) the largest displacement, metres.
        colors: (T, 3) linear reflectance of a lit leaf.
    """

    first_blob: NDArray[np.int32]
    spheres: Vector
    blobs: Vector
    lumps: Vector
    colors: Vector


@dataclass(frozen=True)
class Placement:
    """Where a shape stands: a ground point in metres and where its length points, radians from east."""

    x: float
    y: float
    z: float
    heading: float

    @property
    def along(self) -> Vector:
        return np.array([np.cos(self.heading), np.sin(self.heading), 0.0])

    @property
    def across(self) -> Vector:
        return np.array([-np.sin(self.heading), np.cos(self.heading), 0.0])

    def moved(self, along: float = 0.0, across: float = 0.0, up: float = 0.0, turn: float = 0.0) -> Placement:
        """The same placement shifted by metres in its own axes, then turned by radians."""
        x, y, z = np.array([self.x, self.y, self.z + up]) + along * self.along + across * self.across
        return Placement(float(x), float(y), float(z), self.heading + turn)


@dataclass(frozen=True)
class Finish:
    """A face's material and colour."""

    material: Material
    color: Color


@dataclass(frozen=True)
class _Face:
    normal: Vector
    point: Vector  # the lower left corner seen from outside, on the plane
    size: tuple[float, float]
    finish: Finish


UP = np.array([0.0, 0.0, 1.0])
FOUNDATION = 3.0  # metres that a solid reaches below its placement, so that it stands on any slope


@dataclass
class ShapeBuilder:
    """Collects solids and crowns; `solids()` and `crowns()` give the arrays."""

    _solids: list[tuple[list[_Face], Vector]] = field(default_factory=list)
    _crowns: list[tuple[Vector, float, Color]] = field(default_factory=list)

    def add_gabled(
        self,
        at: Placement,
        half_length: float,
        half_width: float,
        eaves: float,
        ridge: float,
        *,
        walls: Finish,
        gables: Finish,
        roof: Finish,
        hipped: bool = False,
        top: float | None = None,
        foundation: float = FOUNDATION,
    ) -> int:
        """A box below a gabled or hipped roof; flat where ridge == eaves; cut off level at `top`. Metres.

        Returns its index among the solids.
        """
        centre = np.array([at.x, at.y, at.z])
        faces = []
        rise = ridge - eaves
        slope_length = float(np.hypot(rise, half_width))
        sides = (
            (at.across, at.along, half_width, half_length, walls, True),
            (-at.across, -at.along, half_width, half_length, walls, True),
            (at.along, -at.across, half_length, half_width, gables, hipped),
            (-at.along, at.across, half_length, half_width, gables, hipped),
        )
        for outward, left, distance, reach, finish, has_slope in sides:
            corner = centre + distance * outward + reach * left
            faces.append(_Face(outward, corner, (2 * reach, eaves), finish))
            if rise > 0 and has_slope:
                normal = (rise * outward + half_width * UP) / slope_length
                faces.append(_Face(normal, corner + eaves * UP, (2 * reach, slope_length), roof))
        if rise <= 0 or top is not None:
            level = (eaves if top is None else top) * UP
            corner = centre - half_length * at.along - half_width * at.across + level
            faces.append(_Face(UP, corner, (2 * half_length, 2 * half_width), roof))
        faces.append(_Face(-UP, centre - foundation * UP, (1.0, 1.0), walls))
        highest = ridge if top is None else top
        return self._add(faces, centre, (half_length, half_width), (-foundation, max(highest, eaves)))

    def add_roof_slabs(
        self, at: Placement, half_length: float, half_width: float, eaves: float, ridge: float, roof: Finish
    ) -> None:
        """The two slopes of a gabled roof as slabs that overhang the walls by 0.4 m."""
        overhang, thickness = 0.4, 0.16
        pitch = (ridge - eaves) / half_width
        reach = half_width + overhang
        slope_length = reach * float(np.hypot(1.0, pitch))
        centre = np.array([at.x, at.y, at.z])
        edge = Finish(Material.BOARDS, (0.10, 0.07, 0.05))
        for sign in (1.0, -1.0):
            outward, left = sign * at.across, sign * at.along
            normal = (pitch * outward + UP) / np.hypot(1.0, pitch)
            ends = half_length + overhang
            low_corner = centre + reach * outward + ends * left + (eaves - pitch * overhang + thickness) * UP
            faces = [
                _Face(normal, low_corner, (2 * ends, slope_length), roof),
                _Face(-normal, low_corner - thickness * normal, (2 * ends, slope_length), edge),
                _Face(outward, low_corner, (2 * ends, thickness), edge),
                _Face(-outward, centre, (2 * ends, thickness), edge),
                _Face(left, low_corner, (slope_length, thickness), edge),
                _Face(-left, low_corner - 2 * ends * left, (slope_length, thickness), edge),
            ]
            middle = centre + 0.5 * reach * outward
            bottom = eaves - pitch * overhang - thickness
            self._add(faces, middle, (ends, 0.5 * reach), (bottom, ridge + 2 * thickness))

    def add_prism(
        self,
        at: Placement,
        outline: Sequence[tuple[float, float]],
        low: float,
        high: float,
        side: Finish,
        lid: Finish,
    ) -> int:
        """A convex outline ((along, across) metres, counter-clockwise) from height `low` to `high`."""
        centre = np.array([at.x, at.y, at.z])
        corners = [centre + u * at.along + v * at.across for u, v in outline]
        faces = []
        for here, there in zip(corners, corners[1:] + corners[:1], strict=True):
            edge = there - here
            length = float(np.linalg.norm(edge))
            faces.append(_Face(np.cross(edge, UP) / length, here + low * UP, (length, high - low), side))
        faces.append(_Face(UP, corners[0] + high * UP, (1.0, 1.0), lid))
        faces.append(_Face(-UP, corners[0] + low * UP, (1.0, 1.0), side))
        reach = max(float(np.hypot(u, v)) for u, v in outline)
        return self._add(faces, centre, (reach, 0.0), (low, high))

    def add_boulder(self, at: Placement, radius: float, finish: Finish, rng: np.random.Generator) -> None:
        """A rock: a sphere of this radius (metres) that random planes cut."""
        centre = np.array([at.x, at.y, at.z + 0.2 * radius])
        normals = np.concatenate([rng.normal(size=(16, 3)), [[0.2, 0.1, 1.0]], -np.eye(3), np.eye(3)[:2]])
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        faces = [
            _Face(n, centre + radius * rng.uniform(0.68, 1.0) * n, (2 * radius, 2 * radius), finish)
            for n in normals
        ]
        self._add(faces, centre, (radius, radius), (-radius, radius))

    def add_crown(self, blobs: Vector, lumps: float, color: Color) -> None:
        """Foliage around `blobs` (K, 4: centre and radius, metres) displaced by up to `lumps` metres."""
        self._crowns.append((np.asarray(blobs, dtype=np.float64), lumps, color))

    def _add(
        self, faces: list[_Face], centre: Vector, reach: tuple[float, float], heights: tuple[float, float]
    ) -> int:
        """Keep a solid that lies within `reach` of the centre and between these heights above it."""
        low, high = heights
        half = 0.5 * (high - low)
        middle = centre + (low + half) * UP
        radius = float(np.sqrt(reach[0] ** 2 + reach[1] ** 2 + half**2))
        self._solids.append((faces, np.array([*middle, radius])))
        return len(self._solids) - 1

    def solids(self) -> Solids:
        """All solids so far."""
        faces = [face for solid, _ in self._solids for face in solid]
        counts = [len(solid) for solid, _ in self._solids]
        return Solids(
            first_face=np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
            spheres=np.array([sphere for _, sphere in self._solids]),
            planes=np.array([[*f.normal, f.normal @ f.point] for f in faces]),
            frames=np.array([[f.point, *_texture_axes(f.normal)] for f in faces]),
            sizes=np.array([f.size for f in faces]),
            materials=np.array([f.finish.material for f in faces], dtype=np.int32),
            colors=np.array([f.finish.color for f in faces]),
        )

    def crowns(self) -> Crowns:
        """All crowns so far."""
        blobs = [blob for blob, _, _ in self._crowns]
        return Crowns(
            first_blob=np.concatenate([[0], np.cumsum([len(b) for b in blobs])]).astype(np.int32),
            spheres=np.array([_bound(b, lumps) for b, lumps, _ in self._crowns]),
            blobs=np.concatenate(blobs),
            lumps=np.array([lumps for _, lumps, _ in self._crowns]),
            colors=np.array([color for _, _, color in self._crowns]),
        )


def _texture_axes(normal: Vector) -> tuple[Vector, Vector]:
    """A level axis and an upward axis that span the plane of this normal."""
    level = np.cross(UP, normal)
    if np.linalg.norm(level) < 1e-6:
        level = np.array([1.0, 0.0, 0.0])
    level /= np.linalg.norm(level)
    return level, np.cross(normal, level)


def _bound(blobs: Vector, lumps: float) -> Vector:
    """The sphere around all blobs with their displacement."""
    centre = 0.5 * ((blobs[:, :3] - blobs[:, 3:]).min(0) + (blobs[:, :3] + blobs[:, 3:]).max(0))
    radius = (np.linalg.norm(blobs[:, :3] - centre, axis=1) + blobs[:, 3]).max() + lumps
    return np.array([*centre, radius])
