"""A hamlet by a lake: what stands where, for a seed.

Houses line the road, a lane leads to a jetty, a chapel stands by the crossing, fields and a wood lie
around. All positions in metres in the world frame of `terrain.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spaceport_demo.kernels import kernel, run_in_bands
from spaceport_demo.shapes import Color, Crowns, Finish, Material, Placement, ShapeBuilder, Solids, Vector
from spaceport_demo.terrain import (
    EXTENT,
    LANE_HALF_WIDTH,
    ROAD_HALF_WIDTH,
    Terrain,
    lane_distance,
    lane_y,
    make_terrain,
    road_distance,
    road_x,
    shore_x,
    surface_height,
)
from spaceport_demo.texture import noise2

CELL = 4.0  # of the grid that finds the objects near a ray, metres: about a tree's width
GRID_EXTENT = 160.0  # objects stand within ± this, metres
YARD_SPACING = 0.25  # of the grid that tells how far the next wall is, metres
# A bright afternoon, the sun in the south-west, 44° high: shadows a little longer than what casts them.
SUN = np.array([-0.55, -0.47, 0.70]) / np.linalg.norm([-0.55, -0.47, 0.70])


class Yards(NamedTuple):
    """Distances from each ground point of ± EXTENT, [y, x], metres, cut off at 8.

    Attributes:
        walls: to the next building.
        drives: to the next paved drive.
    """

    walls: NDArray[np.float32]
    drives: NDArray[np.float32]


class Cells(NamedTuple):
    """A flat grid over ± GRID_EXTENT that finds the objects near a ray; cells row by row from the south.

    Attributes:
        first: (C·C + 1,) items of cell i are items[first[i] : first[i + 1]].
        items: indices of solids, then (from len(solids.spheres) on) of crowns.
        tops: (C·C,) the height that nothing in the cell exceeds, metres.
    """

    first: NDArray[np.int32]
    items: NDArray[np.int32]
    tops: Vector


class Landscape(NamedTuple):
    """Everything a ray can meet.

    Attributes:
        terrain, yards, solids, crowns, cells: the parts.
        top: the height that nothing exceeds, metres.
        sun: unit vector towards the sun.
        chapel_tower: the solid whose flat top the tests take as a landmark.
    """

    terrain: Terrain
    yards: Yards
    solids: Solids
    crowns: Crowns
    cells: Cells
    top: float
    sun: NDArray[np.float64]
    chapel_tower: int


@dataclass(frozen=True)
class _Plot:
    """A rectangle of ground that is taken: a placement and half extents, metres."""

    at: Placement
    half_length: float
    half_width: float


@dataclass
class _Site:
    """What is being built: the shapes, and the ground that they take."""

    terrain: Terrain
    rng: np.random.Generator
    shapes: ShapeBuilder = field(default_factory=ShapeBuilder)
    buildings: list[_Plot] = field(default_factory=list)
    drives: list[_Plot] = field(default_factory=list)

    def stand(self, x: float, y: float, heading: float) -> Placement:
        return Placement(x, y, float(surface_height(self.terrain, x, y)), heading)

    def is_free(self, x: float, y: float, radius: float) -> bool:
        """Whether a circle meets no building, drive, road or lane, and stands on dry land."""
        plan = self.terrain.plan
        return (
            abs(road_distance(x, y, plan)) > ROAD_HALF_WIDTH + radius
            and abs(lane_distance(x, y, plan)) > LANE_HALF_WIDTH + radius
            and shore_x(y, plan) - x > 0.6 * radius
            and all(_rectangle_distance(plot, x, y) > radius for plot in [*self.buildings, *self.drives])
        )


PLASTERS: tuple[Color, ...] = (
    (0.62, 0.58, 0.50),
    (0.66, 0.65, 0.62),
    (0.56, 0.42, 0.24),
    (0.55, 0.33, 0.24),
    (0.42, 0.47, 0.50),
    (0.60, 0.53, 0.36),
)
ROOFS: tuple[Color, ...] = (
    (0.30, 0.105, 0.055),
    (0.24, 0.085, 0.05),
    (0.15, 0.085, 0.06),
    (0.105, 0.105, 0.115),
    (0.34, 0.15, 0.08),
)
PAINTS: tuple[Color, ...] = (
    (0.55, 0.56, 0.57),
    (0.36, 0.03, 0.03),
    (0.03, 0.06, 0.18),
    (0.04, 0.04, 0.045),
    (0.62, 0.60, 0.55),
    (0.10, 0.17, 0.15),
)
TIMBER: Color = (0.16, 0.095, 0.055)
OLD_BOARDS: Color = (0.26, 0.23, 0.20)
GRANITE: Color = (0.25, 0.24, 0.22)
BROADLEAF: tuple[Color, ...] = (
    (0.085, 0.135, 0.030),
    (0.065, 0.115, 0.028),
    (0.110, 0.150, 0.035),
    (0.055, 0.095, 0.030),
    (0.150, 0.150, 0.035),
)
CONIFER: Color = (0.035, 0.072, 0.034)
HEDGE: Color = (0.055, 0.100, 0.028)


def make_landscape(seed: int) -> Landscape:
    """The landscape of a seed."""
    terrain = make_terrain(seed)
    site = _Site(terrain, np.random.default_rng([seed, 2]))
    tower = _build_chapel(site)
    _build_houses(site)
    _build_barn(site)
    _build_jetty(site)
    _park_cars(site)
    _scatter_boulders(site)
    _plant_hedges(site)
    _plant_trees(site)
    solids, crowns = site.shapes.solids(), site.shapes.crowns()
    spheres = np.concatenate([solids.spheres, crowns.spheres])
    cells = _sort_into_cells(spheres)
    top = max(float(cells.tops.max()), float(terrain.heights.max()))
    yards = Yards(_yard_distances(_rectangles(site.buildings)), _yard_distances(_rectangles(site.drives)))
    return Landscape(terrain, yards, solids, crowns, cells, top, SUN, tower)


def _build_chapel(site: _Site) -> int:
    """A white chapel west of the crossing; returns the index of its tower."""
    plan = site.terrain.plan
    y = lane_y(-20.0, plan) + 13.0
    at = site.stand(road_x(y, plan) - 15.0, y, site.rng.uniform(-0.2, 0.1))
    plaster = Finish(Material.FACADE, (0.68, 0.66, 0.61))
    plain = Finish(Material.PAINT, (0.68, 0.66, 0.61))
    slate = Finish(Material.TILES, (0.11, 0.11, 0.125))
    site.shapes.add_gabled(at, 7.5, 3.8, 6.0, 10.2, walls=plaster, gables=plain, roof=slate)
    site.shapes.add_roof_slabs(at, 7.5, 3.8, 6.0, 10.2, slate)
    beside = at.moved(along=-8.6)
    tower = site.shapes.add_gabled(
        beside, 2.2, 2.2, 12.5, 12.5, walls=plaster, gables=plaster, roof=Finish(Material.FLAT_ROOF, GRANITE)
    )
    spire = Finish(Material.TILES, (0.13, 0.20, 0.17))
    site.shapes.add_gabled(
        beside.moved(up=12.5),
        1.9,
        1.9,
        0.15,
        5.4,
        walls=spire,
        gables=spire,
        roof=spire,
        hipped=True,
        foundation=0.0,
    )
    site.buildings += [_Plot(at, 7.5, 3.8), _Plot(beside, 2.2, 2.2)]
    return tower


def _build_houses(site: _Site) -> None:
    """Houses on both sides of the road, each with a drive."""
    plan, rng = site.terrain.plan, site.rng
    for side in (-1.0, 1.0):
        y = -118.0 + rng.uniform(0.0, 8.0)
        while y < 118.0:
            offset = rng.uniform(10.5, 14.5)
            x = road_x(y, plan) + side * offset
            heading = (
                np.pi / 2 - np.arctan(road_x(y + 0.5, plan) - road_x(y - 0.5, plan)) + rng.normal(0.0, 0.12)
            )
            if rng.random() < 0.35:
                heading += np.pi / 2
            if site.is_free(x, y, 7.5) and shore_x(y, plan) - x > 10.0:
                _build_house(site, site.stand(x, y, heading), side)
            y += rng.uniform(15.0, 23.0)


def _build_house(site: _Site, at: Placement, side: float) -> None:
    rng = site.rng
    half_length, half_width = rng.uniform(4.6, 6.6), rng.uniform(3.4, 4.4)
    eaves = 3.0 if rng.random() < 0.45 else 5.6
    ridge = eaves + half_width * rng.uniform(0.65, 1.0)
    plaster: Color = PLASTERS[rng.integers(len(PLASTERS))]
    walls, gables = Finish(Material.FACADE, plaster), Finish(Material.GABLE, plaster)
    if rng.random() < 0.3:
        gables = Finish(Material.BOARDS, TIMBER)
    roof = Finish(Material.TILES, ROOFS[rng.integers(len(ROOFS))])
    if rng.random() < 0.25:
        site.shapes.add_gabled(
            at, half_length, half_width, eaves, ridge, walls=walls, gables=walls, roof=roof, hipped=True
        )
    else:
        site.shapes.add_gabled(
            at, half_length, half_width, eaves, ridge, walls=walls, gables=gables, roof=roof
        )
        site.shapes.add_roof_slabs(at, half_length, half_width, eaves, ridge, roof)
    site.buildings.append(_Plot(at, half_length, half_width))

    brick = Finish(Material.STONE, (0.30, 0.13, 0.09))
    chimney = at.moved(along=rng.uniform(-0.6, 0.6) * half_length, across=rng.uniform(-0.4, 0.4) * half_width)
    site.shapes.add_gabled(
        chimney, 0.4, 0.35, ridge + 0.9, ridge + 0.9, walls=brick, gables=brick, roof=brick
    )

    if rng.random() < 0.6:  # a wing, or a garage with a flat roof
        wing = at.moved(
            along=rng.uniform(-0.4, 0.4) * half_length, across=-side * (half_width + 1.5), turn=np.pi / 2
        )
        if rng.random() < 0.5:
            site.shapes.add_gabled(wing, 2.8, 2.4, 2.7, 4.4, walls=gables, gables=gables, roof=roof)
            site.shapes.add_roof_slabs(wing, 2.8, 2.4, 2.7, 4.4, roof)
        else:
            flat = Finish(Material.FLAT_ROOF, (0.27, 0.26, 0.25))
            site.shapes.add_gabled(wing, 2.9, 2.3, 2.6, 2.6, walls=gables, gables=gables, roof=flat)
        site.buildings.append(_Plot(wing, 2.9, 2.4))

    kerb = site.terrain.plan
    middle = 0.5 * (at.x + road_x(at.y, kerb))
    drive_y = at.y + rng.uniform(-2.0, 2.0)
    length = 0.5 * abs(at.x - road_x(at.y, kerb))
    site.drives.append(
        _Plot(Placement(middle, drive_y, 0.0, rng.normal(0.0, 0.08)), length, rng.uniform(1.3, 2.2))
    )


def _build_barn(site: _Site) -> None:
    """A long barn with a metal roof, a lean-to and silage bales in the western fields, by the lane."""
    plan, rng = site.terrain.plan, site.rng
    x = -47.0
    at = site.stand(x, lane_y(x, plan) - 13.0, rng.uniform(-0.25, 0.25))
    boards, metal = Finish(Material.BOARDS, TIMBER), Finish(Material.METAL, (0.33, 0.35, 0.36))
    site.shapes.add_gabled(at, 11.0, 5.2, 4.6, 7.6, walls=boards, gables=boards, roof=metal)
    site.shapes.add_roof_slabs(at, 11.0, 5.2, 4.6, 7.6, metal)
    lean_to = at.moved(along=3.0, across=-7.0)
    rust = Finish(Material.METAL, (0.24, 0.13, 0.09))
    site.shapes.add_gabled(lean_to, 5.0, 2.0, 2.6, 2.6, walls=boards, gables=boards, roof=rust)
    site.buildings += [_Plot(at, 11.0, 5.2), _Plot(lean_to, 5.0, 2.0)]
    site.drives.append(_Plot(at.moved(along=-2.0, across=8.0), 4.0, 3.5))
    circle = [(0.75 * np.cos(a), 0.75 * np.sin(a)) for a in np.arange(10) * np.pi / 5]
    for _ in range(9):
        bale = at.moved(along=-9.0 + rng.uniform(-6.0, 4.0), across=-9.0 + rng.uniform(-5.0, 2.0))
        bale = site.stand(bale.x, bale.y, rng.uniform(0.0, 3.0))
        wrap = Finish(Material.PAINT, (0.60, 0.62, 0.60) if rng.random() < 0.6 else (0.42, 0.33, 0.16))
        site.shapes.add_prism(bale, circle, -0.5, 1.25, wrap, wrap)


def _build_jetty(site: _Site) -> None:
    """A jetty at the lane's end, three boats and a boat-house."""
    plan, rng = site.terrain.plan, site.rng
    shore = shore_x(lane_y(40.0, plan), plan)
    y = lane_y(shore, plan)
    start = Placement(shore + 5.5, y, 0.0, 0.10)
    deck = Finish(Material.BOARDS, OLD_BOARDS)
    for part, half_length, half_width in (
        (start, 8.5, 1.0),
        (start.moved(along=7.0, across=3.5), 1.0, 2.8),
    ):
        outline = [(half_length, half_width), (-half_length, half_width)]
        outline += [(-u, -v) for u, v in outline]
        site.shapes.add_prism(part, outline, 0.45, 0.62, deck, deck)
    for along in np.arange(-4.0, 8.6, 3.0):
        for across in (-0.95, 0.95):
            post = start.moved(along=along, across=across)
            square = [(0.12, 0.12), (-0.12, 0.12), (-0.12, -0.12), (0.12, -0.12)]
            site.shapes.add_prism(post, square, -2.0, 1.1, deck, deck)
    hull = [(2.3, 0.0), (1.2, 0.75), (-1.7, 0.8), (-2.0, 0.6), (-2.0, -0.6), (-1.7, -0.8), (1.2, -0.75)]
    for along, across, turn in ((2.0, 2.4, 0.1), (5.0, -2.3, -0.2), (12.5, 9.0, 1.9)):
        boat = start.moved(along=along, across=across, turn=turn)
        paint = Finish(Material.PAINT, PAINTS[rng.integers(len(PAINTS))])
        site.shapes.add_prism(boat, hull, -0.3, 0.55, paint, Finish(Material.BOARDS, (0.30, 0.20, 0.11)))
        bench = [(0.4, 0.55), (-0.9, 0.55), (-0.9, -0.55), (0.4, -0.55)]
        site.shapes.add_prism(boat, bench, 0.5, 0.8, paint, Finish(Material.PAINT, (0.5, 0.5, 0.48)))
    at = site.stand(shore - 5.0, y - 7.5, 0.12)
    boards = Finish(Material.BOARDS, (0.22, 0.06, 0.04))
    roof = Finish(Material.METAL, (0.16, 0.17, 0.18))
    site.shapes.add_gabled(at, 3.6, 2.4, 2.6, 4.3, walls=boards, gables=boards, roof=roof)
    site.shapes.add_roof_slabs(at, 3.6, 2.4, 2.6, 4.3, roof)
    site.buildings.append(_Plot(at, 3.6, 2.4))


def _park_cars(site: _Site) -> None:
    """Cars on the drives and a few on the road."""
    plan, rng = site.terrain.plan, site.rng
    spots = []
    for drive in site.drives:
        if rng.random() < 0.7:
            outward = 1.0 if drive.at.x > road_x(drive.at.y, plan) else -1.0
            spots.append((drive.at.x + 0.3 * outward * drive.half_length, drive.at.y, drive.at.heading))
    for y in (-71.0, -38.0, 22.0, 57.0):
        y_car = y + rng.uniform(-6.0, 6.0)
        slope = road_x(y_car + 0.5, plan) - road_x(y_car - 0.5, plan)
        spots.append((road_x(y_car, plan) + rng.choice([-1.5, 1.5]), y_car, np.pi / 2 - np.arctan(slope)))
    glass = Finish(Material.GLASS, (0.03, 0.035, 0.04))
    for x, y, heading in spots:
        if any(_rectangle_distance(plot, x, y) < 2.2 for plot in site.buildings):
            continue
        at = site.stand(x, y, heading)
        paint = Finish(Material.PAINT, PAINTS[rng.integers(len(PAINTS))])
        body = [
            (2.15, 0.6),
            (1.9, 0.88),
            (-2.0, 0.88),
            (-2.15, 0.7),
            (-2.15, -0.7),
            (-2.0, -0.88),
            (1.9, -0.88),
        ]
        site.shapes.add_prism(at, [*body, (2.15, -0.6)], 0.12, 0.85, paint, paint)
        cabin = at.moved(along=-0.3, up=0.85)
        site.shapes.add_gabled(
            cabin,
            1.35,
            0.80,
            0.05,
            1.4,
            walls=glass,
            gables=glass,
            roof=glass,
            hipped=True,
            top=0.52,
            foundation=0.1,
        )
        lid = [(0.88, 0.42), (-0.88, 0.42), (-0.88, -0.42), (0.88, -0.42)]
        site.shapes.add_prism(cabin, lid, 0.45, 0.6, paint, paint)


def _scatter_boulders(site: _Site) -> None:
    """Rocks on the knoll and along the shore."""
    plan, rng = site.terrain.plan, site.rng
    for _ in range(34):
        x, y = rng.normal([plan[6], plan[7]], 9.0)
        size = float(0.4 + 1.5 * rng.random() ** 2)
        tint = rng.uniform(0.75, 1.15)
        rock = Finish(Material.STONE, (GRANITE[0] * tint, GRANITE[1] * tint, GRANITE[2] * tint))
        if site.is_free(x, y, size + 1.0):
            site.shapes.add_boulder(site.stand(x, y, 0.0), size, rock, rng)
    for _ in range(40):
        y = rng.uniform(-110.0, 110.0)
        x = shore_x(y, plan) + rng.normal(0.5, 1.2)
        if abs(lane_distance(x, y, plan)) > 4.0:
            rock = Finish(Material.STONE, GRANITE)
            site.shapes.add_boulder(site.stand(x, y, 0.0), float(rng.uniform(0.25, 0.9)), rock, rng)


def _plant_hedges(site: _Site) -> None:
    """Hedges between the gardens, at a right angle to the road."""
    plan, rng = site.terrain.plan, site.rng
    for side in (-1.0, 1.0):
        for y in np.arange(-112.0, 112.0, 19.0) + rng.uniform(-5.0, 5.0):
            if rng.random() < 0.35:
                continue
            lean, reach = rng.normal(0.0, 0.12), rng.uniform(18.0, 30.0)
            for out in np.arange(6.0, reach, 2.2):
                x, here = road_x(y, plan) + side * out, y + lean * out
                if not site.is_free(x, here, 1.1):
                    continue
                ground = float(surface_height(site.terrain, x, here))
                blobs = [
                    (
                        x + side * k * 0.75,
                        here + lean * k * 0.75,
                        ground + rng.uniform(0.5, 0.9),
                        rng.uniform(0.6, 0.8),
                    )
                    for k in (-1, 0, 1)
                ]
                site.shapes.add_crown(np.array(blobs), 0.3, _tinted(HEDGE, rng))


def _plant_trees(site: _Site) -> None:
    """A wood in the west and north, single trees in gardens, fields and on the shore."""
    plan, rng, taken = site.terrain.plan, site.rng, np.empty((0, 2))
    for _ in range(5200):
        x, y = rng.uniform(-150.0, 60.0), rng.uniform(-150.0, 150.0)
        from_road = abs(road_distance(x, y, plan))
        wooded = noise2(x / 38.0 + 7.3, y / 38.0 - 2.1, site.terrain.seed + 31) + 0.012 * max(0.0, -x - 45.0)
        if from_road < 27.0:
            chance = 0.05
        elif shore_x(y, plan) - x < 7.0:
            chance = 0.10
        else:
            chance = 1.0 if wooded > 0.42 else 0.018
        spacing = 4.2 if chance == 1.0 else 6.5
        if rng.random() > chance or not site.is_free(x, y, 2.6):
            continue
        if len(taken) and np.hypot(taken[:, 0] - x, taken[:, 1] - y).min() < spacing:
            continue
        taken = np.concatenate([taken, [[x, y]]])
        in_wood = chance == 1.0
        if rng.random() < (0.35 if in_wood else 0.12):
            _plant_conifer(site, x, y)
        elif rng.random() < (0.1 if in_wood else 0.35):
            _plant_bush(site, x, y)
        else:
            _plant_broadleaf(site, x, y, rng.uniform(2.0, 3.3) if in_wood else rng.uniform(1.6, 3.4))


def _tinted(color: Color, rng: np.random.Generator) -> Color:
    """A colour of the same kind: no two trees are alike."""
    red, green, blue = np.array(color) * rng.uniform(0.75, 1.2) * rng.uniform(0.9, 1.1, 3)
    return float(red), float(green), float(blue)


def _plant_broadleaf(site: _Site, x: float, y: float, radius: float) -> None:
    rng, at = site.rng, site.stand(x, y, 0.0)
    trunk_height = radius * rng.uniform(0.7, 1.1)
    octagon = [(0.22 * np.cos(a), 0.22 * np.sin(a)) for a in np.arange(5) * 2 * np.pi / 5]
    bark = Finish(Material.STONE, (0.11, 0.085, 0.06))
    site.shapes.add_prism(at, octagon, -0.5, trunk_height + 0.6 * radius, bark, bark)
    middle = at.z + trunk_height + radius
    blobs = [(x, y, middle, 0.72 * radius)]
    for k in range(6):
        angle = k * 2.4 + rng.uniform(-0.5, 0.5)  # the golden angle spreads the blobs evenly
        out, up = radius * rng.uniform(0.42, 0.68), radius * rng.uniform(-0.45, 0.6)
        size = radius * rng.uniform(0.36, 0.56)
        blobs.append((x + out * np.cos(angle), y + out * np.sin(angle), middle + up, size))
    site.shapes.add_crown(np.array(blobs), 0.17 * radius + 0.15, _tinted(BROADLEAF[rng.integers(5)], rng))


def _plant_conifer(site: _Site, x: float, y: float) -> None:
    rng = site.rng
    ground = float(surface_height(site.terrain, x, y))
    height, width = rng.uniform(6.0, 11.0), rng.uniform(1.5, 2.2)
    blobs = []
    for level in np.linspace(0.12, 0.93, 12):  # close enough that the lumps leave no tip hanging in the air
        size = width * (1.0 - level) * rng.uniform(0.85, 1.1) + 0.30
        blobs.append((x + rng.normal(0, 0.1), y + rng.normal(0, 0.1), ground + level * height, size))
    site.shapes.add_crown(np.array(blobs), 0.38, _tinted(CONIFER, rng))


def _plant_bush(site: _Site, x: float, y: float) -> None:
    rng = site.rng
    ground = float(surface_height(site.terrain, x, y))
    blobs = [
        (
            x + rng.normal(0, 0.5),
            y + rng.normal(0, 0.5),
            ground + rng.uniform(0.3, 0.8),
            rng.uniform(0.5, 0.9),
        )
        for _ in range(4)
    ]
    site.shapes.add_crown(np.array(blobs), 0.35, _tinted(BROADLEAF[rng.integers(5)], rng))


def _sort_into_cells(spheres: Vector) -> Cells:
    """Which objects, given by their bounding spheres, may be met above each cell of the grid."""
    count = round(2 * GRID_EXTENT / CELL)
    cells: list[list[int]] = [[] for _ in range(count * count)]
    tops = np.full(count * count, -np.inf)
    for item, (x, y, z, radius) in enumerate(spheres):
        low_x, high_x = (int(np.clip((x + d + GRID_EXTENT) // CELL, 0, count - 1)) for d in (-radius, radius))
        low_y, high_y = (int(np.clip((y + d + GRID_EXTENT) // CELL, 0, count - 1)) for d in (-radius, radius))
        for row in range(low_y, high_y + 1):
            for column in range(low_x, high_x + 1):
                cells[row * count + column].append(item)
                tops[row * count + column] = max(tops[row * count + column], z + radius)
    first = np.concatenate([[0], np.cumsum([len(c) for c in cells])]).astype(np.int32)
    return Cells(first, np.array([item for cell in cells for item in cell], dtype=np.int32), tops)


def _rectangle_distance(plot: _Plot, x: float, y: float) -> float:
    """Metres from a point to a plot; 0 inside."""
    along, across = plot.at.along, plot.at.across
    dx, dy = x - plot.at.x, y - plot.at.y
    over_u = abs(dx * along[0] + dy * along[1]) - plot.half_length
    over_v = abs(dx * across[0] + dy * across[1]) - plot.half_width
    return float(np.hypot(max(0.0, over_u), max(0.0, over_v)))


def _rectangles(plots: list[_Plot]) -> NDArray[np.float64]:
    """(P, 6): centre, direction of the length, half extents."""
    return np.array([[p.at.x, p.at.y, *p.at.along[:2], p.half_length, p.half_width] for p in plots])


def _yard_distances(rectangles: NDArray[np.float64]) -> NDArray[np.float32]:
    count = int(2 * EXTENT / YARD_SPACING) + 1
    distances = np.full((count, count), 8.0, np.float32)
    run_in_bands(_fill_yard_distances, count, rectangles, distances)
    return distances


@kernel
def _fill_yard_distances(
    first_row: int, end_row: int, rectangles: NDArray[np.float64], distances: NDArray[np.float32]
) -> None:
    count = distances.shape[1]
    for row in range(first_row, end_row):
        y = row * YARD_SPACING - EXTENT
        for k in range(rectangles.shape[0]):
            cx, cy, ux, uy, a, b = rectangles[k]
            reach = a + b + 8.0
            if abs(y - cy) > reach:
                continue
            first = max(0, int((cx - reach + EXTENT) / YARD_SPACING))
            last = min(count, int((cx + reach + EXTENT) / YARD_SPACING) + 1)
            for column in range(first, last):
                dx, dy = column * YARD_SPACING - EXTENT - cx, y - cy
                over_u = max(0.0, abs(dx * ux + dy * uy) - a)
                over_v = max(0.0, abs(dy * ux - dx * uy) - b)
                distances[row, column] = min(
                    distances[row, column], np.sqrt(over_u * over_u + over_v * over_v)
                )
