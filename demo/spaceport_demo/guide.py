"""`python -m spaceport_demo.guide FOLDER`: the web app's pictures, made of the demo flight and its landscape.

How the flight was flown over the land, how its photos overlap, what a slanted look sees that a straight one
does not, and what a camera does that sets its exposure anew for each photo. Lines are SVG over a photo of the
same shape, so that they stay sharp; the land's contour lines are the app's one ornament.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spaceport_demo.flight import Shot, look
from spaceport_demo.photo import develop
from spaceport_demo.raycast import Pinhole, render_view
from spaceport_demo.survey import Survey
from spaceport_demo.terrain import Terrain, surface_height

QUALITY = 80  # of the JPEGs: looked at small, on a phone too
SKETCH = Survey(width=1000, height=750)  # the flight as the guide shows it: its places do not depend on these
CONTOUR_EXTENT, CONTOUR_STEP = 180.0, 2.0  # metres: half the side of the map, and between two of its lines
CONTOUR_MIDDLE = -70.0  # metres east: a lake has no contour lines
CONTOUR_GRID = 360  # points along a side: one a metre
EXPOSURES = (0.55, 1.0, 1.75)  # what an automatic makes of a dark roof, a meadow and a bright lane in turn
TINTS = ((1.06, 1.0, 0.9), (1.0, 1.0, 1.0), (0.92, 1.0, 1.1))  # and its white balance


class Picture(NamedTuple):
    """A camera of the guide, and what it drew."""

    camera: Pinhole
    radiance: NDArray[np.float32]

    def seen(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, 2) pixels of (N, 3) metres; all in front of the camera."""
        local = (points - self.camera.position) @ self.camera.rotation.T
        middle = np.array([self.camera.center_x, self.camera.center_y])
        return self.camera.focal * local[:, :2] / local[:, 2:] + middle


class Studio:
    """The landscape of the demo flight, ready to be photographed from anywhere."""

    def __init__(self, survey: Survey) -> None:
        self._landscape, self._ground = survey.build_scene()
        self.terrain: Terrain = self._landscape.terrain

    def take(
        self, position: Sequence[float], heading: float, pitch: float, focal: float, size: tuple[int, int]
    ) -> Picture:
        """A photo from `position`, metres; angles in degrees, `focal` in widths of the photo."""
        width, height = size
        rotation = look(np.radians(heading), np.radians(pitch), 0.0)
        camera = Pinhole(
            np.array(position, float), rotation, focal * width, width / 2, height / 2, width, height
        )
        return Picture(camera, self.view(camera))

    def view(self, camera: Pinhole) -> NDArray[np.float32]:
        return render_view(self._landscape, self._ground, camera).radiance


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pictures; returns the exit code."""
    (folder,) = (Path(argument) for argument in (sys.argv[1:] if arguments is None else arguments))
    folder.mkdir(parents=True, exist_ok=True)
    studio, shots = Studio(SKETCH), SKETCH.shots()
    write_flight(folder, studio, shots)
    write_overlap(folder, studio, shots)
    write_slant(folder, studio)
    write_exposure(folder, studio, shots)
    write_contours(folder / "contours.svg", studio.terrain)
    return 0


def write_flight(folder: Path, studio: Studio, shots: Sequence[Shot]) -> None:
    """`flight.jpg` and `flight.svg`: the land at a slant, and above it the way that the drone took."""
    picture = studio.take((-120.0, -165.0, 175.0), heading=36.0, pitch=41.0, focal=1.1, size=(1500, 1125))
    save(folder / "flight.jpg", picture.radiance)
    straight = [shot for shot in shots if shot.rotation[2, 2] < -0.9]  # the camera's axis, downwards
    parts = [line(picture.seen(np.array([shot.position for shot in straight])), "way")]
    for shot in shots:
        parts += pyramid(picture, shot, 5.0, "down" if shot in straight else "slant")
    styles = (
        ".way{stroke:#fff;stroke-width:3.5;stroke-dasharray:1 11;stroke-linecap:round}"
        ".down{stroke:#fff;stroke-width:3}.slant{stroke:#ff9a5c;stroke-width:3.4}"
    )
    save_lines(folder / "flight.svg", picture.camera, parts, styles)


def write_overlap(folder: Path, studio: Studio, shots: Sequence[Shot]) -> None:
    """`overlap.jpg` and `overlap.svg`: from above, what two photos in a row show, and all places."""
    picture = studio.take((0.0, 0.0, 178.0), heading=0.0, pitch=90.0, focal=1.0, size=(900, 675))
    save(folder / "overlap.jpg", picture.radiance)
    straight = [shot for shot in shots if shot.rotation[2, 2] < -0.9]
    first, second = straight[5], straight[6]
    parts = [line(picture.seen(np.array([shot.position for shot in straight])), "way")]
    parts += [closed(picture.seen(footprint(shot)), "frame") for shot in (first, second)]
    parts += [dot(*at, 8.0) for at in picture.seen(np.array([shot.position for shot in straight]))]
    styles = (
        ".way{stroke:#fff;stroke-width:2.5}.frame{fill:#ff9a5c;fill-opacity:.2;"
        "stroke:#ff9a5c;stroke-width:4}.dot{fill:#fff;stroke:#16181b;stroke-width:2.5}"
    )
    save_lines(folder / "overlap.svg", picture.camera, parts, styles)


def write_slant(folder: Path, studio: Studio) -> None:
    """`straight.jpg` and `slanted.jpg`: the same houses from above and from the side."""
    house = np.array([22.0, 8.0, 8.0])
    size = (640, 240)  # two of them, one above the other, are as high as the other pictures
    save(folder / "straight.jpg", studio.take((*house[:2], 62.0), 0.0, 90.0, 0.9, size).radiance)
    away = 48.0
    heading = 20.0
    back = -away * np.array([np.sin(np.radians(heading)), np.cos(np.radians(heading))])
    slanted = studio.take((*(house[:2] + back), house[2] + 38.0), heading, 38.0, 0.9, size)
    save(folder / "slanted.jpg", slanted.radiance)


def write_exposure(folder: Path, studio: Studio, shots: Sequence[Shot]) -> None:
    """`locked.jpg` and `automatic.jpg`: three photos in a row with one exposure, and with three."""
    views = [studio.view(shot.seen_by(600, 450))[100:340, 192:402] for shot in shots[4:7]]
    gap = np.ones((240, 5, 3), np.float32)
    save(folder / "locked.jpg", np.hstack([views[0], gap, views[1], gap, views[2]]))
    changed = [
        (view * exposure * np.array(tint)).astype(np.float32)
        for view, exposure, tint in zip(views, EXPOSURES, TINTS, strict=True)
    ]
    save(folder / "automatic.jpg", np.hstack([changed[0], gap, changed[1], gap, changed[2]]))


def write_contours(file: Path, terrain: Terrain) -> None:
    """The land's contour lines, each fifth of them stronger, as a map of 1000 units a side."""
    at = np.linspace(-CONTOUR_EXTENT, CONTOUR_EXTENT, CONTOUR_GRID)
    heights = np.array(
        [[surface_height(terrain, x + CONTOUR_MIDDLE, y) for x in at] for y in at[::-1]], np.float32
    )
    heights = cv2.GaussianBlur(heights, (0, 0), 5.0)  # a drawn line, not the ground's roughness
    scale = 1000.0 / (CONTOUR_GRID - 1)
    fine, strong = [], []
    for index, level in enumerate(np.arange(heights.min() + 1.0, heights.max(), CONTOUR_STEP)):
        fat = cv2.resize((heights - level), None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
        found, _ = cv2.findContours((fat > 0).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        for ring in found:
            points = cv2.approxPolyDP(ring, 2.2, True)[:, 0, :] / 4.0
            if len(points) >= 6:
                (strong if index % 5 == 0 else fine).extend(runs_inside(points, CONTOUR_GRID - 2, scale))
    paths = f'<path d="{"".join(fine)}"/><path d="{"".join(strong)}" stroke-width="2.4"/>'
    file.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 1000">'
        f'<g fill="none" stroke="#000" stroke-width="1.1" stroke-linejoin="round">{paths}</g></svg>\n'
    )


def runs_inside(points: NDArray[np.float64], edge: float, scale: float) -> list[str]:
    """The ring `points` as smooth SVG paths, cut open where it runs along the map's edge."""
    on_edge = ((points < 1.5) | (points > edge - 0.5)).any(axis=1)
    if on_edge.all():
        return []
    begin = int(np.argmax(on_edge)) if on_edge.any() else 0
    turned, edges = np.roll(points, -begin, axis=0), np.roll(on_edge, -begin)
    runs: list[list[NDArray[np.float64]]] = [[]]
    for point, is_edge in zip(turned, edges, strict=True):
        if is_edge:
            runs.append([])
        else:
            runs[-1].append(point * scale)
    return [smooth(np.array(run), closed=not on_edge.any()) for run in runs if len(run) > 3]


def smooth(points: NDArray[np.float64], closed: bool) -> str:
    """A path through the midpoints of a polygon, its corners as the curves' handles."""
    middles = (points + np.roll(points, -1, axis=0)) / 2
    count = len(points) if closed else len(points) - 2
    start = middles[0]
    text = f"M{start[0]:.0f} {start[1]:.0f}"
    for k in range(count):
        handle, to = points[(k + 1) % len(points)], middles[(k + 1) % len(points)]
        text += f"Q{handle[0]:.0f} {handle[1]:.0f} {to[0]:.0f} {to[1]:.0f}"
    return text


def footprint(shot: Shot, ground: float = 10.0) -> NDArray[np.float64]:
    """(4, 3) metres: the corners of what `shot` shows of flat ground at that height."""
    camera = shot.seen_by(SKETCH.width, SKETCH.height)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [camera.center_x, camera.center_y]
    rays = np.column_stack([corners / camera.focal, np.ones(4)]) @ shot.rotation
    reach = (ground - shot.position[2]) / rays[:, 2]
    return shot.position + rays * reach[:, None]


def pyramid(picture: Picture, shot: Shot, depth: float, kind: str) -> list[str]:
    """The four edges and the frame of a camera, `depth` metres long."""
    camera = shot.seen_by(SKETCH.width, SKETCH.height)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [camera.center_x, camera.center_y]
    frame = shot.position + depth * np.column_stack([corners / camera.focal, np.ones(4)]) @ shot.rotation
    edges = [np.array([shot.position, corner]) for corner in frame]
    return [closed(picture.seen(frame), kind), *(line(picture.seen(edge), kind) for edge in edges)]


def line(points: NDArray[np.float64], kind: str) -> str:
    return f'<path class="{kind}" d="{_path(points)}"/>'


def closed(points: NDArray[np.float64], kind: str) -> str:
    return f'<path class="{kind}" d="{_path(points)}Z"/>'


def dot(x: float, y: float, radius: float) -> str:
    return f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>'


def _path(points: Iterable[NDArray[np.float64]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def save(file: Path, radiance: NDArray[np.float32]) -> None:
    pixels = develop(np.ascontiguousarray(radiance), np.random.default_rng(0))
    Image.fromarray(pixels).save(file, quality=QUALITY, optimize=True, progressive=True)


def save_lines(file: Path, camera: Pinhole, parts: Sequence[str], styles: str) -> None:
    file.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {camera.width} {camera.height}">'
        f"<style>path{{fill:none;stroke-linejoin:round}}{styles}</style>{''.join(parts)}</svg>\n"
    )


if __name__ == "__main__":
    sys.exit(main())
