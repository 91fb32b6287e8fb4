"""`georef.json`: where the model's local frame lies on Earth, and the ways back to WGS 84 and to UTM."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict
from pyproj import CRS, Proj, Transformer

from spaceport.quality import ControlNumbers, GeorefNumbers, Origin
from spaceport_sfm.placement.gps import Floats, Position, enu_frame, enu_pipeline, from_enu
from spaceport_sfm.placement.similarity import Similarity, umeyama

GEODETIC = "EPSG:4979"  # WGS 84 with a height
# UTM ends at 84° north and 80° south; beyond is the Universal Polar Stereographic (DMA TM 8358.2, 2-2).
UTM_NORTH, UTM_SOUTH = 84.0, -80.0
UPS_NORTH, UPS_SOUTH = "EPSG:32661", "EPSG:32761"
ORIGIN_DECIMALS, HEIGHT_DECIMALS = 10, 4  # 0.01 mm and 0.1 mm: the origin is a number that we choose
LEAST_RADIUS_M = 100.0

HOW_TO = (
    "The written models are in the local frame: metres east (x), north (y) and up (z) of `origin`.",
    "To WGS 84 (longitude, latitude in degrees, height in metres): the inverse of the PROJ pipeline "
    "`pipeline`; in Python, pyproj.Transformer.from_pipeline(pipeline).transform(x, y, z, "
    "direction='INVERSE').",
    "To UTM: (easting, northing, height, 1) = `projected.affine` · (x, y, z, 1), off by at most "
    "`projected.error_m` within `projected.radius_m` of the origin; farther out go by WGS 84.",
    "From SfM's own frame, which no delivered file is in: local = scale · rotation · p + translation.",
)
EXIF_HEIGHTS = (
    "Heights are as the photos' EXIF has them. The files don't tell whether that is above sea level or above "
    "the WGS 84 ellipsoid, which differ by up to 100 m, evenly over a site: only differences of height are "
    "certain."
)


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProjectedFrame(_Frozen):
    """The map projection of the place (UTM, near the poles UPS), and the way there near the origin.

    Attributes:
        crs, name: by the EPSG register; axes are easting and northing, metres.
        affine: 4x4, rows first: (easting, northing, height, 1) = affine · (east, north, up, 1).
        radius_m, error_m: the largest error of `affine` so far from the origin; the scene lies within.
        convergence_deg: from true north clockwise to the grid's north, at the origin.
        scale_factor: grid metres for a metre on the ellipsoid, at the origin.
    """

    crs: str
    name: str
    affine: list[list[float]]
    radius_m: float
    error_m: float
    convergence_deg: float
    scale_factor: float


class GeoReference(_Frozen):
    """The contents of `georef.json`.

    Attributes:
        crs: the local frame as a PROJ string: metres east, north, up of `origin`.
        geodetic_crs: of `origin`.
        pipeline: PROJ's way from longitude, latitude and height to the local frame.
        vertical_reference: what heights are above, as far as is known.
        how_to: the ways back, in words.
        source: what place, scale and direction rest on.
        scale, rotation, translation: local = scale · rotation · x + translation takes SfM's own frame to
            the local one.
        rms_horizontal_m, rms_vertical_m: residuals of the GPS positions used; where ground control is all
            there is, of that.
        positions_used: how many cameras' positions agree.
        positions_rejected: the photos whose GPS contradicts the others'.
        altitudes_rejected: those whose GPS altitude alone does.
        control: how ground control fits.
    """

    crs: str
    geodetic_crs: str = GEODETIC
    pipeline: str
    origin: Origin
    projected: ProjectedFrame
    vertical_reference: str
    how_to: list[str] = list(HOW_TO)
    source: Literal["gps", "ground_control"]
    scale: float
    rotation: list[list[float]]
    translation: list[float]
    rms_horizontal_m: float
    rms_vertical_m: float
    positions_used: int
    positions_rejected: list[str]
    altitudes_rejected: list[str]
    control: ControlNumbers | None = None

    @property
    def similarity(self) -> Similarity:
        return Similarity(self.scale, np.array(self.rotation), np.array(self.translation))

    @property
    def place(self) -> Position:
        """The origin."""
        return Position(lat=self.origin.lat, lon=self.origin.lon, alt=self.origin.alt)

    @property
    def numbers(self) -> GeorefNumbers:
        return GeorefNumbers(
            rms_horizontal_m=self.rms_horizontal_m,
            rms_vertical_m=self.rms_vertical_m,
            origin=self.origin,
            source=self.source,
            control=self.control,
        )


def frame_fields(origin: Position, radius: float) -> dict[str, object]:
    """The fields of `GeoReference` that the origin decides; `radius` metres hold the scene."""
    return {
        "crs": enu_frame(origin),
        "pipeline": enu_pipeline(origin),
        "origin": Origin(lat=origin.lat, lon=origin.lon, alt=origin.alt or 0.0),
        "projected": projected_frame(origin, max(radius, LEAST_RADIUS_M)),
    }


def rebased(similarity: Similarity, old: Position, middle: Floats) -> tuple[Similarity, Position]:
    """`similarity` into the frame about `middle` (3,) of the frame about `old`, and the new origin.

    The frames are turned against each other by as much as the Earth is round between them.
    """
    exact = from_enu(middle, old)
    new = Position(
        lat=round(exact.lat, ORIGIN_DECIMALS),
        lon=round(exact.lon, ORIGIN_DECIMALS),
        alt=round(exact.alt or 0.0, HEIGHT_DECIMALS),
    )
    marks = 1000.0 * np.concatenate([np.zeros((1, 3)), np.eye(3)])
    onward = Transformer.from_pipeline(enu_pipeline(new))
    places = [from_enu(mark, old) for mark in marks]
    moved = np.array([onward.transform(place.lon, place.lat, place.alt) for place in places])
    turn = umeyama(marks, moved)  # rigid but for rounding
    return (
        Similarity(
            similarity.scale,
            turn.rotation @ similarity.rotation,
            turn.rotation @ similarity.translation + turn.translation,
        ),
        new,
    )


def projected_frame(origin: Position, radius: float) -> ProjectedFrame:
    """The map projection of `origin`, and the matrix to it for all within `radius` metres."""
    crs = CRS.from_user_input(utm_zone(origin))
    forward = Transformer.from_crs(GEODETIC, crs, always_xy=True)

    def grid(offsets: Floats) -> Floats:
        places = [from_enu(offset, origin) for offset in offsets]
        return np.array([forward.transform(place.lon, place.lat, place.alt) for place in places])

    steps = radius * np.eye(3)
    affine = np.eye(4)
    # Central differences over the whole radius: bends cancel to the second order.
    affine[:3, :3] = (grid(steps) - grid(-steps)).T / (2 * radius)
    affine[:3, 3] = grid(np.zeros((1, 3)))[0]
    angles = np.radians(np.arange(0, 360, 30))
    rim = radius * np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], axis=1)
    factors = Proj(crs).get_factors(origin.lon, origin.lat)
    return ProjectedFrame(
        crs=f"EPSG:{crs.to_epsg()}",
        name=crs.name,
        affine=affine.tolist(),
        radius_m=radius,
        error_m=float(np.linalg.norm(rim @ affine[:3, :3].T + affine[:3, 3] - grid(rim), axis=1).max()),
        convergence_deg=factors.meridian_convergence,
        scale_factor=factors.meridional_scale,
    )


def utm_zone(place: Position) -> str:
    """The EPSG code of the UTM zone that `place` lies in; near the poles that of UPS.

    With the exceptions of south-western Norway and Svalbard, which the EPSG register does not know.
    Source: DMA TM 8358.2, "The universal grids", 2-2 and figure 2-1.
    """
    if place.lat > UTM_NORTH:
        return UPS_NORTH
    if place.lat < UTM_SOUTH:
        return UPS_SOUTH
    longitude = (place.lon + 180) % 360 - 180
    zone = int((longitude + 180) // 6) + 1
    if 56 <= place.lat < 64 and 3 <= longitude < 12:
        zone = 32
    elif place.lat >= 72 and 0 <= longitude < 42:
        zone = 31 if longitude < 9 else 33 if longitude < 21 else 35 if longitude < 33 else 37
    return f"EPSG:{(32600 if place.lat >= 0 else 32700) + zone}"
