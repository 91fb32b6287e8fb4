"""The page that shows the model: static files with relative links, so that any folder of any site serves it.

`viewer/index.html` shows `../model.sog`. The drawing itself is `@playcanvas/supersplat-viewer` (MIT),
taken from where npm installed it; nothing of it is in this repository.
"""

from __future__ import annotations

import html
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from spaceport.errors import UserError
from spaceport.quality import ControlPointNumbers
from spaceport_compressor.viewer.annotations import annotation
from spaceport_compressor.viewer.camera import photo_camera
from spaceport_compressor.viewer.fly_through import fly_through
from spaceport_compressor.viewer.opening import opening_view
from spaceport_compressor.viewer.place import Place
from spaceport_compressor.viewer.poster import poster
from spaceport_compressor.viewer.settings import BACKGROUND, settings
from spaceport_compressor.viewer.surface import surface_points
from spaceport_render.camera import Camera
from spaceport_render.flight_path import viewing_distance
from spaceport_render.gaussians import Gaussians

# What the package's self-contained page is made of, relative to the package, and its name in the bundle.
VIEWER_FILES = {
    "public/index.js": "index.js",
    "public/index.css": "index.css",
    "LICENSE": "LICENSE.txt",  # MIT asks that copies carry it
}
# Beside the page: what we add to the viewer.
TOOLS = ("compass.js", "tape.js", "tools.css")
MODEL = "../model.sog"  # from the page


@dataclass(frozen=True)
class Exhibit:
    """What a page shows.

    Attributes:
        title: the job's name, any text.
        cameras: the flight's, at least one, in our z-up frame.
        gaussians: the model, for where to stand, how far away it is and how it looks at first.
        control: ground control points, which the page shows the way to.
        model: the model's address as seen from the page, relative: a `.sog`, or a `lod-meta.json`.
        place: where the model lies on Earth; None where it has units and directions of its own.
    """

    title: str
    cameras: Sequence[Camera]
    gaussians: Gaussians
    control: Sequence[ControlPointNumbers] = ()
    model: str = MODEL
    place: Place | None = None


def write_viewer(folder: Path, exhibit: Exhibit, package: Path) -> None:
    """Write the page into `folder`.

    Args:
        package: the installed `@playcanvas/supersplat-viewer`, or a folder in it (`dist`, `public`).

    Raises:
        UserError: `no_viewer`, where the package is not there.
    """
    sources = viewer_files(package)
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in sources.items():
        shutil.copyfile(source, folder / name)
    (folder / "index.html").write_text(_page(exhibit), encoding="utf-8")
    for name in TOOLS:
        (folder / name).write_bytes(_ours(name).read_bytes())

    cameras, surface = exhibit.cameras, surface_points(exhibit.gaussians)
    photos = {camera.name: photo_camera(camera, viewing_distance([camera], surface)) for camera in cameras}
    (folder / "cameras.json").write_text(
        json.dumps({"cameras": {name: photo.model_dump() for name, photo in photos.items()}})
    )
    opening = opening_view(cameras, surface)
    (folder / "poster.jpg").write_bytes(poster(exhibit.gaussians, opening, BACKGROUND))
    flight = fly_through(cameras, surface, opening.fov)
    marks = [annotation(point, cameras, opening.fov) for point in exhibit.control]
    (folder / "settings.json").write_text(json.dumps(settings(opening, flight, marks)))


def viewer_files(package: Path) -> dict[str, Path]:
    """Where in `package` what the bundle takes from it is, by its name there. Raises as `write_viewer`."""
    root = package if (package / "package.json").is_file() else package.parent
    sources = {name: root / path for path, name in VIEWER_FILES.items()}
    missing = [str(source) for source in sources.values() if not source.is_file()]
    if missing:
        raise UserError(
            "no_viewer",
            f"The viewer is not installed: {missing[0]} is missing.",
            "Run containers/compressor/fetch_viewer.py, or set SPACEPORT_VIEWER_DIR to the package's folder.",
        )
    return sources


def _page(exhibit: Exhibit) -> str:
    page = _ours("index.html").read_text("utf-8")
    # The title last: what stands in it is only text.
    slots = {
        "{{model}}": exhibit.model,
        "{{mode}}": "antialiased" if exhibit.gaussians.antialiased else "",
        "{{place}}": json.dumps(exhibit.place.told()) if exhibit.place else "null",
        "{{title}}": exhibit.title,
    }
    for slot, text in slots.items():
        page = page.replace(slot, html.escape(text))
    return page


def _ours(name: str) -> Traversable:
    return resources.files("spaceport_compressor.viewer").joinpath(f"page/{name}")
