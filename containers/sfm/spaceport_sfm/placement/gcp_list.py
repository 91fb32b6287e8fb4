"""`gcp_list.txt`: ground control points, in OpenDroneMap's format.

The first line names the coordinate reference system: a PROJ string, `EPSG:32615`, `WGS84 UTM 15N`. Every
other line is one sighting of a point in a photo, separated by spaces or tabs:

    geo_x geo_y geo_z im_x im_y image_name [gcp_name] [extra ...]

geo_x is the easting or longitude, geo_y the northing or latitude; geo_z may be NaN. Lines with the same
coordinates are the same point. Pixels count from the centre of the first one (0, 0), in the file as the
camera wrote it, not turned by EXIF: so OpenDroneMap reads them. Ours: a point is only measured against, not
used, if its name begins with `check` or `chk`, or one of the extra columns says so.
Source: https://docs.opendronemap.org/gcp/ and OpenSfM's reader.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pyproj
from pyproj import CRS
from pyproj.aoi import AreaOfInterest
from pyproj.enums import TransformDirection
from pyproj.exceptions import CRSError, ProjError
from pyproj.transformer import Transformer, TransformerGroup

from spaceport.errors import UserError
from spaceport_sfm.photo import Photo
from spaceport_sfm.placement.gps import ALTITUDE_RANGE_M, Position

MIN_POINTS = 3  # give 9 numbers for the 7 unknowns
MIN_SIGHTINGS = 2  # a point seen once lies anywhere on a ray
WELL_KNOWN_SHIFT_M = 0.5  # between a national datum and WGS 84: more is told
NAMED = 3  # of the lines that are wrong, in a message

_UTM = re.compile(r"WGS\s?84\s+UTM\s+(\d{1,2})\s*([NS])", re.IGNORECASE)
_SIGHTING = re.compile(r"(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S.*)")
_CHECK = re.compile(r"(check|chk)", re.IGNORECASE)
_HINT = (
    "The first line is a coordinate system like EPSG:32615 or WGS84 UTM 15N; every other one is "
    "geo_x geo_y geo_z im_x im_y image_name, separated by spaces."
)


@dataclass(frozen=True)
class Sighting:
    """A point marked in a photo.

    Attributes:
        line: of the file, from 1.
        photo: the name of the normalised photo.
        pixel: (x, y) in it, the first pixel's centre at (0.5, 0.5) as COLMAP has it.
    """

    line: int
    photo: str
    pixel: tuple[float, float]


@dataclass(frozen=True)
class ControlPoint:
    """A point on the ground; `check` ones are only measured against. `position.alt` is None for NaN."""

    name: str
    position: Position
    check: bool
    sightings: tuple[Sighting, ...]


@dataclass(frozen=True)
class GroundControl:
    """What a `gcp_list.txt` says.

    Attributes:
        complaints: what is wrong with single lines, which were left out.
        heights: what the points' heights are above, in words.
        shift_m: how well the way from the file's datum to WGS 84 is known; None where it is exact.
    """

    points: tuple[ControlPoint, ...]
    complaints: tuple[str, ...]
    heights: str
    shift_m: float | None


def read_gcp_list(text: str, photos: Sequence[Photo]) -> GroundControl:
    """The points of a `gcp_list.txt` seen in `photos`; lines that can't be used become complaints.

    Raises:
        UserError: `bad_ground_control`: the coordinate system can't be told, or fewer than three points are
            left that two photos show. They were measured on purpose: a model without them is not wanted.
    """
    lines = [line.strip() for line in text.removeprefix("\ufeff").splitlines()]
    first = next((index for index, line in enumerate(lines) if line and not line.startswith("#")), None)
    if first is None:
        raise UserError("bad_ground_control", "gcp_list.txt is empty.", _HINT)
    crs = read_crs(lines[first], first + 1)
    album = _Album.of(photos)
    complaints: list[str] = []
    records: list[_Record] = []
    for number, line in enumerate(lines[first + 1 :], start=first + 2):
        if not line or line.startswith("#"):
            continue
        try:
            records.append(_read_line(line, number, album))
        except ValueError as error:
            complaints.append(f"line {number} {error}")
    points, shift = _located(_grouped(records, complaints), crs, complaints)
    usable = [point for point in points if not point.check and len(point.sightings) >= MIN_SIGHTINGS]
    if len(usable) < MIN_POINTS:
        wrong = f" Left out: {'; '.join(complaints[:NAMED])}." if complaints else ""
        raise UserError(
            "bad_ground_control",
            f"gcp_list.txt has {len(usable)} points that are marked in {MIN_SIGHTINGS} or more of the good "
            f"photos, {MIN_POINTS} are needed.{wrong}",
            _HINT,
        )
    return GroundControl(tuple(points), tuple(complaints), _heights(crs), shift)


def read_crs(header: str, number: int) -> CRS:
    """The coordinate system that line `number`, `header`, names.

    Raises:
        UserError: `bad_ground_control`.
    """
    header = header.strip("'\" ")
    utm = _UTM.fullmatch(header)
    if utm and 1 <= int(utm[1]) <= 60:
        return CRS.from_epsg((32600 if utm[2].upper() == "N" else 32700) + int(utm[1]))
    name = "EPSG:4326" if re.fullmatch(r"WGS\s?84", header, re.IGNORECASE) else header
    try:
        crs = CRS.from_user_input(name)
    except CRSError as error:
        message = f"Line {number} of gcp_list.txt, {header[:80]!r}, names no coordinate system that we know."
        raise UserError("bad_ground_control", message, _HINT) from error
    if not (crs.is_geographic or crs.is_projected):
        message = (
            f"Line {number} of gcp_list.txt names {crs.name!r} ({crs.type_name}), which is neither longitude "
            "and latitude nor easting and northing."
        )
        raise UserError("bad_ground_control", message, _HINT)
    return crs


@dataclass(frozen=True)
class _Record:
    """A line: coordinates as they stand there, what they are called, and where they were seen."""

    place: tuple[float, float, float]
    name: str
    check: bool
    sighting: Sighting


@dataclass(frozen=True)
class _Album:
    """Photos by every name that a line may call them."""

    by_name: dict[str, list[Photo]] = field(default_factory=dict)

    @classmethod
    def of(cls, photos: Sequence[Photo]) -> _Album:
        album = cls()
        for photo in photos:
            folders = _plain(photo.source).split("/")
            for start in range(len(folders)):  # with as many of its folders as the line gives
                album.by_name.setdefault("/".join(folders[start:]), []).append(photo)
        return album

    def find(self, words: Sequence[str]) -> tuple[Photo, Sequence[str]]:
        """The photo that the first words name, and the words after: names may have spaces in them."""
        most = 1 + max((name.count(" ") for name in self.by_name), default=0)
        for count in range(min(len(words), most), 0, -1):
            found = self.by_name.get(_plain(" ".join(words[:count])), [])
            if len(found) == 1:
                return found[0], words[count:]
            if found:
                raise ValueError(f"names {words[0]}, which is {len(found)} photos: give the folder too")
        raise ValueError(f"names {words[0]}, which is not among the good photos")


def _plain(name: str) -> str:
    """`name` as names are compared: macOS writes ü in file names as two characters, an editor as one."""
    return unicodedata.normalize("NFC", name).casefold()


def _read_line(line: str, number: int, album: _Album) -> _Record:
    """Raises ValueError, whose text goes on after "line 7"."""
    parts = _SIGHTING.fullmatch(line)
    if parts is None:
        raise ValueError(f"has {len(line.split())} columns, at least 6 are needed")
    x, y, z, across, down = (
        _number(text, may_miss=index == 2) for index, text in enumerate(parts.groups()[:5])
    )
    rest = parts[6]
    photo, extras = album.find([part.strip() for part in rest.split("\t")] if "\t" in rest else rest.split())
    width, height = photo.original_size or (photo.width, photo.height)
    if not (-0.5 <= across <= width - 0.5 and -0.5 <= down <= height - 0.5):
        raise ValueError(f"marks ({across:g}, {down:g}) in {photo.source}, which has {width}x{height} pixels")
    name = extras[0] if extras else ""
    check = any(_CHECK.match(extra) for extra in extras)
    return _Record((x, y, z), name, check, Sighting(number, photo.name, upright_pixel(photo, across, down)))


def _number(text: str, *, may_miss: bool) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"has {text!r} where a number should be") from None
    if not math.isfinite(value) and not (may_miss and math.isnan(value)):
        raise ValueError(f"has {text!r} where a number should be")
    return value


def upright_pixel(photo: Photo, across: float, down: float) -> tuple[float, float]:
    """Where a pixel of the file as it was given lies in the normalised photo, COLMAP's coordinates.

    The turns are those of EXIF 2.32, tag 0x0112.
    """
    width, height = photo.original_size or (photo.width, photo.height)
    x, y = (across + 0.5) / width, (down + 0.5) / height
    turned = {
        1: (x, y),
        2: (1 - x, y),
        3: (1 - x, 1 - y),
        4: (x, 1 - y),
        5: (y, x),
        6: (1 - y, x),
        7: (1 - y, 1 - x),
        8: (y, 1 - x),
    }[photo.orientation]
    return turned[0] * photo.width, turned[1] * photo.height


@dataclass(frozen=True)
class _Raw:
    """A point in the file's own coordinates."""

    place: tuple[float, float, float]
    name: str
    check: bool
    sightings: tuple[Sighting, ...]


def _grouped(records: Sequence[_Record], complaints: list[str]) -> list[_Raw]:
    """Sightings of the same coordinates together, as OpenDroneMap does: names are only for people."""
    points: dict[str, _Raw] = {}
    for record in records:
        key = repr(record.place)  # NaN is not equal to itself
        here = points.setdefault(key, _Raw(record.place, record.name, record.check, ()))
        if any(sighting.photo == record.sighting.photo for sighting in here.sightings):
            complaints.append(f"line {record.sighting.line} marks a point once more in the same photo")
            continue
        points[key] = replace(here, sightings=(*here.sightings, record.sighting))
    taken: set[str] = set()
    named = []
    for number, point in enumerate(points.values(), start=1):
        name = point.name or f"point {number}"
        if name in taken:
            name = f"{name} (line {point.sightings[0].line})"
        taken.add(name)
        named.append(replace(point, name=name))
    return named


def _located(
    points: Sequence[_Raw], crs: CRS, complaints: list[str]
) -> tuple[list[ControlPoint], float | None]:
    """The points in WGS 84, and how well the way there is known, metres; None where it is exact."""
    if not points:
        return [], None
    pyproj.network.set_network_enabled(False)  # one answer on every machine
    with_height = len(crs.axis_info) > 2
    goal = "EPSG:4979" if with_height else "EPSG:4326"
    try:
        near = _area(points, crs)
        way = TransformerGroup(crs, goal, always_xy=True, area_of_interest=near).transformers[0]
    except (ProjError, IndexError) as error:
        message = f"There is no way known from {crs.name!r}, the system of gcp_list.txt, to WGS 84."
        raise UserError("bad_ground_control", message, _HINT) from error
    found = []
    for point in points:
        x, y, z = point.place
        height: float | None = None if math.isnan(z) else z
        if with_height:
            lon, lat, up = way.transform(x, y, height or 0.0)
            height = None if height is None else up
        else:  # a height above nobody says what stays as it is
            lon, lat = way.transform(x, y)
        # Far outside its area a projection folds: what it gives leads somewhere else on the way back.
        back = way.transform(lon, lat, height or 0.0, direction=TransformDirection.INVERSE)
        there = all(
            math.isclose(a, b, rel_tol=1e-7, abs_tol=1e-6) for a, b in zip((x, y), back[:2], strict=True)
        )
        low, high = ALTITUDE_RANGE_M
        if not there or abs(lat) > 90 or abs(lon) > 180 or not low <= (height or 0.0) <= high:
            complaints.append(
                f"line {point.sightings[0].line} has coordinates that are nowhere on Earth in {crs.name}"
            )
            continue
        place = Position(lat=lat, lon=lon, alt=height)
        found.append(ControlPoint(point.name, place, point.check, point.sightings))
    known = 0 <= way.accuracy <= WELL_KNOWN_SHIFT_M
    return found, None if known else (way.accuracy if way.accuracy > 0 else math.inf)


def _area(points: Sequence[_Raw], crs: CRS) -> AreaOfInterest | None:
    """Where the first point is that lies on Earth at all: each country has its own best way to WGS 84."""
    rough = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    for point in points:
        lon, lat = rough.transform(*point.place[:2])
        if abs(lon) <= 180 and abs(lat) <= 90:
            return AreaOfInterest(lon, lat, lon, lat)
    return None


def _heights(crs: CRS) -> str:
    if len(crs.axis_info) > 2:
        return (
            f"Heights are those of gcp_list.txt, taken from {crs.name} to the WGS 84 ellipsoid as far as "
            "PROJ can without its grid files: with a geoid in the name they may still be above sea level."
        )
    return (
        f"Heights are those of gcp_list.txt, in metres as they stand there; {crs.name} does not tell what "
        "they are above."
    )
