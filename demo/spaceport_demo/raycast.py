"""One photo of the landscape: the light that reaches each pixel, what it shows and how far that is.

Each pixel takes one ray through its centre, against textures that are band-limited to the pixel. Pixels
where another object, a crease or a jump of brightness is next door take a 2 × 2 grid of rays instead.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spaceport_demo.ground import SKYLIGHT, SUNLIGHT, Ground, Rgb, ground_radiance
from spaceport_demo.kernels import kernel, run_in_bands
from spaceport_demo.landscape import Landscape
from spaceport_demo.materials import face_reflectance, leaf_reflectance
from spaceport_demo.terrain import surface_normal
from spaceport_demo.trace import FAR, NOTHING, crown_distance, sunlit, trace_objects, trace_terrain

GROUND = -1  # in a view's items
_HAZE_DISTANCE = 2600.0  # metres at which 1 - 1/e of the light is the air's: a clear summer's day
_HAZE = (0.52, 0.60, 0.72)
_FINE_GRID = 2  # rays along a side of a pixel that needs more than one
_EDGE_CONTRAST = 0.30  # of neighbouring pixels' brightness, relative to their mean: beyond, more rays


class View(NamedTuple):
    """What a camera sees.

    Attributes:
        radiance: (H, W, 3) float32, linear; a white sunlit plane is about 1.
        items: (H, W) int32, the object at the pixel's centre (solids, then crowns); GROUND for the ground.
        distance: (H, W) float32, metres from the camera along the pixel's ray.
    """

    radiance: NDArray[np.float32]
    items: NDArray[np.int32]
    distance: NDArray[np.float32]


class Pinhole(NamedTuple):
    """A camera for the kernels.

    Attributes:
        position: (3,) metres.
        rotation: (3, 3) world to camera; the camera's axes are x right, y down, z forward.
        focal, center_x, center_y: pixels; the first pixel's centre is (0.5, 0.5).
        width, height: pixels.
    """

    position: NDArray[np.float64]
    rotation: NDArray[np.float64]
    focal: float
    center_x: float
    center_y: float
    width: int
    height: int


@kernel
def _light(color: Rgb, sun: float, sky: float) -> Rgb:
    return (
        color[0] * (sun * SUNLIGHT[0] + sky * SKYLIGHT[0]),
        color[1] * (sun * SUNLIGHT[1] + sky * SKYLIGHT[1]),
        color[2] * (sun * SUNLIGHT[2] + sky * SKYLIGHT[2]),
    )


@kernel
def _shade_face(scene: Landscape, face: int, x: float, y: float, z: float, footprint: float) -> Rgb:
    planes = scene.solids.planes
    nx, ny, nz = planes[face, 0], planes[face, 1], planes[face, 2]
    facing = nx * scene.sun[0] + ny * scene.sun[1] + nz * scene.sun[2]
    sun = 0.0
    if facing > 0.0:
        sun = facing / scene.sun[2] * sunlit(scene, x + 0.02 * nx, y + 0.02 * ny, z + 0.02 * nz)
    # A wall sees half the sky, and the sunlit ground lights it from below.
    sky = 0.75 + 0.35 * nz
    return _light(face_reflectance(scene.solids, face, x, y, z, footprint), sun, sky)


@kernel
def _shade_crown(scene: Landscape, crown: int, x: float, y: float, z: float, footprint: float) -> Rgb:
    crowns = scene.crowns
    color, openness = leaf_reflectance(crowns, crown, x, y, z, footprint)
    h = 0.10  # metres: the normal of twigs, not of leaves
    here = crown_distance(crowns, crown, x, y, z, 1.0)
    nx = crown_distance(crowns, crown, x + h, y, z, 1.0) - here
    ny = crown_distance(crowns, crown, x, y + h, z, 1.0) - here
    nz = crown_distance(crowns, crown, x, y, z + h, 1.0) - here
    scale = 1.0 / max(1e-9, np.sqrt(nx * nx + ny * ny + nz * nz))
    nx, ny, nz = nx * scale, ny * scale, nz * scale
    facing = nx * scene.sun[0] + ny * scene.sun[1] + nz * scene.sun[2]
    # Leaves let light through: even those that face away from the sun are not black.
    wrapped = max(0.0, (facing + 0.35) / 1.35)
    sun = 0.0
    if wrapped > 0.0:
        away = 0.35  # metres along the way to the sun: past the leaf's own twig
        sun = wrapped * sunlit(
            scene,
            x + 0.1 * nx + away * scene.sun[0],
            y + 0.1 * ny + away * scene.sun[1],
            z + 0.1 * nz + away * scene.sun[2],
        )
    return _light(color, 1.15 * (0.12 + sun) * (0.35 + 0.65 * openness), openness * (0.65 + 0.35 * nz))


@kernel
def _cast(
    scene: Landscape, ground: Ground, camera: Pinhole, px: float, py: float
) -> tuple[Rgb, int, int, float]:
    """Radiance, item, face and distance that the ray through pixel coordinates (px, py) meets."""
    cx, cy = (px - camera.center_x) / camera.focal, (py - camera.center_y) / camera.focal
    r = camera.rotation
    dx, dy, dz = (
        cx * r[0, 0] + cy * r[1, 0] + r[2, 0],
        cx * r[0, 1] + cy * r[1, 1] + r[2, 1],
        cx * r[0, 2] + cy * r[1, 2] + r[2, 2],
    )
    stretch = np.sqrt(cx * cx + cy * cy + 1.0)
    dx, dy, dz = dx / stretch, dy / stretch, dz / stretch
    ox, oy, oz = camera.position[0], camera.position[1], camera.position[2]
    to_ground = trace_terrain(scene.terrain, ox, oy, oz, dx, dy, dz, scene.top)
    t, item, face = trace_objects(scene, ox, oy, oz, dx, dy, dz, min(to_ground, 1000.0))
    if item == NOTHING and to_ground >= FAR:
        return _HAZE, GROUND, NOTHING, FAR
    x, y, z = ox + t * dx, oy + t * dy, oz + t * dz
    pixel = t / (camera.focal * stretch)
    if item == NOTHING:
        t = to_ground
        x, y = ox + t * dx, oy + t * dy
        nx, ny, nz = surface_normal(scene.terrain, x, y)
        slant = max(0.15, -(nx * dx + ny * dy + nz * dz))
        # The geometric mean of the pixel's two extents on the ground.
        color = ground_radiance(ground, x, y, t / (camera.focal * stretch) / np.sqrt(slant))
    elif face != NOTHING:
        planes = scene.solids.planes
        slant = max(0.15, -(planes[face, 0] * dx + planes[face, 1] * dy + planes[face, 2] * dz))
        color = _shade_face(scene, face, x, y, z, pixel / np.sqrt(slant))
    else:
        color = _shade_crown(scene, item - scene.solids.spheres.shape[0], x, y, z, pixel)
    air = 1.0 - np.exp(-t / _HAZE_DISTANCE)
    color = (
        color[0] + (_HAZE[0] - color[0]) * air,
        color[1] + (_HAZE[1] - color[1]) * air,
        color[2] + (_HAZE[2] - color[2]) * air,
    )
    return color, item, face, t


@kernel
def _cast_centres(
    first: int,
    end: int,
    scene: Landscape,
    ground: Ground,
    camera: Pinhole,
    radiance: NDArray[np.float32],
    items: NDArray[np.int32],
    faces: NDArray[np.int32],
    distance: NDArray[np.float32],
) -> None:
    for row in range(first, end):
        for column in range(camera.width):
            color, item, face, t = _cast(scene, ground, camera, column + 0.5, row + 0.5)
            for c in range(3):
                radiance[row, column, c] = color[c]
            items[row, column], faces[row, column], distance[row, column] = item, face, t


@kernel
def _needs_more(
    radiance: NDArray[np.float32], items: NDArray[np.int32], faces: NDArray[np.int32], row: int, column: int
) -> bool:
    height, width = items.shape
    here = radiance[row, column, 1]
    for r in range(max(0, row - 1), min(height, row + 2)):
        for c in range(max(0, column - 1), min(width, column + 2)):
            if items[r, c] != items[row, column] or faces[r, c] != faces[row, column]:
                return True
            there = radiance[r, c, 1]
            # The ground's map is band-limited already: only what is traced can alias.
            if items[r, c] != GROUND and abs(here - there) > _EDGE_CONTRAST * (here + there):
                return True
    return False


@kernel
def _refine(
    first: int,
    end: int,
    scene: Landscape,
    ground: Ground,
    camera: Pinhole,
    radiance: NDArray[np.float32],
    items: NDArray[np.int32],
    faces: NDArray[np.int32],
    refined: NDArray[np.float32],
) -> None:
    for row in range(first, end):
        for column in range(camera.width):
            if not _needs_more(radiance, items, faces, row, column):
                continue
            red, green, blue = 0.0, 0.0, 0.0
            for k in range(_FINE_GRID * _FINE_GRID):
                px = column + (k % _FINE_GRID + 0.5) / _FINE_GRID
                py = row + (k // _FINE_GRID + 0.5) / _FINE_GRID
                color, _, _, _ = _cast(scene, ground, camera, px, py)
                red, green, blue = red + color[0], green + color[1], blue + color[2]
            rays = _FINE_GRID * _FINE_GRID
            refined[row, column, 0] = red / rays
            refined[row, column, 1] = green / rays
            refined[row, column, 2] = blue / rays


def render_view(scene: Landscape, ground: Ground, camera: Pinhole) -> View:
    """Render one view of the landscape on all threads that Numba has."""
    shape = (camera.height, camera.width)
    radiance = np.empty((*shape, 3), np.float32)
    items, faces = np.empty(shape, np.int32), np.empty(shape, np.int32)
    distance = np.empty(shape, np.float32)
    run_in_bands(_cast_centres, camera.height, scene, ground, camera, radiance, items, faces, distance)
    refined = radiance.copy()
    run_in_bands(_refine, camera.height, scene, ground, camera, radiance, items, faces, refined)
    return View(refined, items, distance)
