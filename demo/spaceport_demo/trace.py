"""Where a ray meets the landscape.

Terrain: steps as long as its steepest slope allows, so none jumps through a ridge (the sphere tracing of
Hart 1996, for a height field). Objects: a walk over the cells of a flat grid (Amanatides & Woo 1987),
with a half-space test for solids and sphere tracing for crowns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spaceport_demo.kernels import kernel
from spaceport_demo.landscape import CELL, GRID_EXTENT, Landscape
from spaceport_demo.shapes import Crowns, Solids
from spaceport_demo.terrain import Terrain, surface_height
from spaceport_demo.texture import noise3

NOTHING = -1
FAR = 1.0e9
_CROWN_STEPS = 40  # enough to pass a crown along its rim; a ray that needs more has missed it
_CROWN_TOUCH = 0.02  # metres: under half a pixel of a photo
LEAF_SEED = 71


@kernel
def trace_terrain(
    terrain: Terrain, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, top: float
) -> float:
    """Distance (metres) to the ground of a unit ray that points downwards; FAR where it never comes down."""
    if dz > -1e-4:
        return FAR
    pace = 1.0 / (-dz + terrain.steepest * np.sqrt(dx * dx + dy * dy))
    t = max(0.0, (top - oz) / dz)
    for _ in range(200):
        gap = oz + t * dz - surface_height(terrain, ox + t * dx, oy + t * dy)
        if gap < 0.001:
            break
        t += gap * pace
    return t


@kernel
def _passes(
    spheres: NDArray[np.float64], item: int, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float
) -> bool:
    """Whether the line of a unit ray passes a sphere (centre, radius) without touching it."""
    cx, cy, cz = spheres[item, 0] - ox, spheres[item, 1] - oy, spheres[item, 2] - oz
    along = cx * dx + cy * dy + cz * dz
    return cx * cx + cy * cy + cz * cz - along * along > spheres[item, 3] ** 2


@kernel
def _trace_solid(
    solids: Solids, item: int, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float
) -> tuple[float, int]:
    """Distance to a convex solid and the face that the ray enters by; FAR where it misses or is inside."""
    planes = solids.planes
    enter, leave, face = 0.0, FAR, NOTHING
    for k in range(solids.first_face[item], solids.first_face[item + 1]):
        nx, ny, nz, d = planes[k, 0], planes[k, 1], planes[k, 2], planes[k, 3]
        speed = nx * dx + ny * dy + nz * dz
        outside = nx * ox + ny * oy + nz * oz - d
        if speed < -1e-12:
            t = -outside / speed
            if t > enter:
                enter, face = t, k
        elif speed > 1e-12:
            leave = min(leave, -outside / speed)
        elif outside > 0.0:
            return FAR, NOTHING
        if enter > leave:
            return FAR, NOTHING
    if face == NOTHING:
        return FAR, NOTHING
    return enter, face


@kernel
def leaf_relief(x: float, y: float, z: float) -> float:
    """How far foliage stands out here, [-1, 1] of the crown's lump size: twigs on boughs."""
    boughs = noise3(x * 0.95, y * 0.95, z * 0.95, LEAF_SEED)
    return 0.55 * boughs + 0.45 * noise3(x * 3.3, y * 3.3, z * 3.3, LEAF_SEED + 1)


@kernel
def crown_distance(crowns: Crowns, item: int, x: float, y: float, z: float, near: float) -> float:
    """Metres from a point to a crown's surface (a bound; exact lumps only within `near`); negative inside."""
    distance, blobs = FAR, crowns.blobs
    for k in range(crowns.first_blob[item], crowns.first_blob[item + 1]):
        bx, by, bz = x - blobs[k, 0], y - blobs[k, 1], z - blobs[k, 2]
        distance = min(distance, np.sqrt(bx * bx + by * by + bz * bz) - blobs[k, 3])
    lumps = crowns.lumps[item]
    if distance > lumps + near:
        return distance - lumps
    return distance - lumps * leaf_relief(x, y, z)


@kernel
def _trace_crown(
    crowns: Crowns, item: int, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, limit: float
) -> float:
    # The surface lies where the ray is within a lump of some blob.
    t, end, blobs = FAR, 0.0, crowns.blobs
    for k in range(crowns.first_blob[item], crowns.first_blob[item + 1]):
        bx, by, bz = blobs[k, 0] - ox, blobs[k, 1] - oy, blobs[k, 2] - oz
        along = bx * dx + by * dy + bz * dz
        reach = blobs[k, 3] + 0.8 * crowns.lumps[item]  # noise all but never reaches its bound
        rest = reach * reach - (bx * bx + by * by + bz * bz - along * along)
        if rest > 0.0:
            half = np.sqrt(rest)
            t, end = min(t, along - half), max(end, along + half)
    t, end = max(0.0, t), min(limit, end)
    for _ in range(_CROWN_STEPS):
        if t >= end:
            return FAR
        gap = crown_distance(crowns, item, ox + t * dx, oy + t * dy, oz + t * dz, 0.05)
        if gap < _CROWN_TOUCH:
            return t
        t += max(0.04, 0.7 * gap)  # the lumps make the surface steeper than a distance field: 0.7
    return FAR


@kernel
def trace_objects(
    scene: Landscape, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, limit: float
) -> tuple[float, int, int]:
    """The nearest object that a unit ray meets before `limit` metres.

    Returns (distance, item, face): item counts solids then crowns, NOTHING where the way is clear; face is
    a solid's face.
    """
    solids, crowns = scene.solids, scene.crowns
    count = int(2 * GRID_EXTENT / CELL)
    begin = 0.0
    if dz < 0.0 and oz > scene.top:
        begin = (scene.top - oz) / dz
    elif dz > 0.0:
        limit = min(limit, (scene.top - oz) / dz)
    x, y = ox + begin * dx, oy + begin * dy
    column, row = int(np.floor((x + GRID_EXTENT) / CELL)), int(np.floor((y + GRID_EXTENT) / CELL))
    step_x, step_y = (1 if dx > 0.0 else -1), (1 if dy > 0.0 else -1)
    pace_x, pace_y = CELL / max(1e-12, abs(dx)), CELL / max(1e-12, abs(dy))
    edge_x = (column + (1 if dx > 0.0 else 0)) * CELL - GRID_EXTENT
    edge_y = (row + (1 if dy > 0.0 else 0)) * CELL - GRID_EXTENT
    next_x = begin + abs(edge_x - x) / max(1e-12, abs(dx))
    next_y = begin + abs(edge_y - y) / max(1e-12, abs(dy))
    # Taken out of their tuples here: the loop would count references to each of them.
    first, items, tops = scene.cells.first, scene.cells.items, scene.cells.tops
    solid_spheres, crown_spheres = solids.spheres, crowns.spheres
    nearest, hit, hit_face = limit, NOTHING, NOTHING
    t = begin
    while t < nearest:
        leave = min(next_x, next_y)
        lowest = oz + (leave if dz < 0.0 else t) * dz
        cell = row * count + column
        if 0 <= column < count and 0 <= row < count and lowest < tops[cell]:
            for k in range(first[cell], first[cell + 1]):
                item = items[k]
                if item < solid_spheres.shape[0]:
                    if _passes(solid_spheres, item, ox, oy, oz, dx, dy, dz):
                        continue
                    distance, face = _trace_solid(solids, item, ox, oy, oz, dx, dy, dz)
                else:
                    crown = item - solid_spheres.shape[0]
                    if _passes(crown_spheres, crown, ox, oy, oz, dx, dy, dz):
                        continue
                    distance = _trace_crown(crowns, crown, ox, oy, oz, dx, dy, dz, nearest)
                    face = NOTHING
                if distance < nearest:
                    nearest, hit, hit_face = distance, item, face
        t = leave
        if next_x < next_y:
            next_x, column = next_x + pace_x, column + step_x
        else:
            next_y, row = next_y + pace_y, row + step_y
    return nearest, hit, hit_face


@kernel
def sunlit(scene: Landscape, x: float, y: float, z: float) -> float:
    """1 where the sun reaches a point, 0 in the shadow of an object."""
    _, item, _ = trace_objects(scene, x, y, z, scene.sun[0], scene.sun[1], scene.sun[2], 120.0)
    return 1.0 if item == NOTHING else 0.0
