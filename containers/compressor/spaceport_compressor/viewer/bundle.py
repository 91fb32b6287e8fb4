"""The page that shows the model: static files with relative links, so that any folder of any site serves it.

`viewer/index.html` shows `../model.sog`. The drawing itself is `@playcanvas/supersplat-viewer` (MIT),
taken from where npm installed it; nothing of it is in this repository.
"""

from __future__ import annotations

import html
import json
import shutil
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from spaceport.errors import UserError
from spaceport_compressor.viewer.camera import (
    InitialView,
    photo_camera,
    viewing_distance,
)
from spaceport_render.camera import Camera, widest_view
from spaceport_render.gaussians import Gaussians

# What the package's self-contained page is made of, relative to the package, and its name in the bundle.
VIEWER_FILES = {
    "public/index.js": "index.js",
    "public/index.css": "index.css",
    "LICENSE": "LICENSE.txt",  # MIT asks that copies carry it
}
# A neutral dark grey: photos' edges, where the model thins out, look worst against white or black.
BACKGROUND = (0.15, 0.16, 0.17)


def write_viewer(
    folder: Path, title: str, cameras: Sequence[Camera], gaussians: Gaussians, package: Path
) -> None:
    """Write the page into `folder`, beside which `model.sog` lies.

    Args:
        title: the job's name, any text.
        cameras: the flight's, at least one, in our z-up frame.
        gaussians: the model, for where to stand and how far away it is.
        package: the installed `@playcanvas/supersplat-viewer`, or a folder in it (`dist`, `public`).

    Raises:
        UserError: `no_viewer`, where the package is not there.
    """
    sources = _viewer_files(package)
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in sources.items():
        shutil.copyfile(source, folder / name)
    (folder / "index.html").write_text(_page(title), encoding="utf-8")
    photos = {camera.name: photo_camera(camera, viewing_distance(camera, gaussians)) for camera in cameras}
    opening = photos[widest_view(cameras, gaussians.means).name]
    (folder / "settings.json").write_text(json.dumps(_settings(opening.initial)))
    (folder / "cameras.json").write_text(
        json.dumps({"cameras": {name: photo.model_dump() for name, photo in photos.items()}})
    )


def _viewer_files(package: Path) -> dict[str, Path]:
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


def _page(title: str) -> str:
    template = resources.files("spaceport_compressor.viewer").joinpath("page/index.html")
    return template.read_text(encoding="utf-8").replace("{{title}}", html.escape(title))


def _settings(initial: InitialView) -> dict[str, object]:
    """The viewer's `settings.json`, version 2: colours as they are, no effects, no animation."""
    off = {"enabled": False}
    return {
        "version": 2,
        "tonemapping": "none",
        "highPrecisionRendering": False,
        "background": {"color": BACKGROUND},
        "postEffectSettings": {
            "sharpness": {**off, "amount": 0},
            "bloom": {**off, "intensity": 1, "blurLevel": 2},
            "grading": {**off, "brightness": 0, "contrast": 1, "saturation": 1, "tint": [1, 1, 1]},
            "vignette": {**off, "intensity": 0.5, "inner": 0.3, "outer": 0.75, "curvature": 1},
            "fringing": {**off, "intensity": 0.5},
        },
        "animTracks": [],
        "cameras": [{"initial": initial.model_dump()}],
        "annotations": [],
        "startMode": "default",
    }
