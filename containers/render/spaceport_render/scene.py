"""The training input: undistorted photos with their cameras, and the SfM points, from a COLMAP folder."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from spaceport.errors import UserError
from spaceport_render.camera import Camera
from spaceport_render.seed_file import SEED_FILE, DenseSeeds, read_seed_file
from spaceport_render.threads import available_cores

if TYPE_CHECKING:
    import pycolmap


SCENES = (
    ".",
    "colmap/dense",
    "dense",
)  # where in a folder the scene may be; the second is where SfM leaves it


@dataclass(frozen=True)
class View:
    """A photo and where it was taken.

    Attributes:
        pixels: (H, W, 3) uint8, RGB, of the camera's size.
    """

    camera: Camera
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    """What SfM hands to training.

    Attributes:
        views: sorted by photo name.
        points: (N, 3) float32, metres in the local z-up frame.
        colors: (N, 3) uint8, RGB.
        seeds: what stereo found where SfM has no points; None where the job did not look.
    """

    views: tuple[View, ...]
    points: NDArray[np.float32]
    colors: NDArray[np.uint8]
    seeds: DenseSeeds | None = None


def scene_in(folder: Path) -> Path:
    """Where in `folder`, which a person named, the scene is. Raises UserError `scene_missing`."""
    for place in SCENES:
        if all((folder / place / part).is_dir() for part in ("images", "sparse")):
            return folder / place
    raise UserError(
        "scene_missing",
        f"{folder} holds no scene: no images/ and sparse/.",
        "Name the folder that `python -m spaceport_sfm PHOTOS OUT` wrote to.",
    )


def read_scene(dense: Path, max_size: int) -> Scene:
    """The scene in `dense`: `images/*`, `sparse/*.bin` with PINHOLE cameras, and seeds where there are any.

    Args:
        max_size: photos with a longer side are scaled down to it, pixels; none is scaled up.

    Raises:
        UserError: `bad_scene`, when files are missing or don't fit together.
    """
    import pycolmap  # noqa: PLC0415 - takes a second; renderers without a scene don't need it

    try:
        model = pycolmap.Reconstruction(dense / "sparse")
    except (OSError, ValueError, RuntimeError) as error:
        raise _bad(f"There is no readable COLMAP model in {dense / 'sparse'}") from error
    posed = sorted((image for image in model.images.values() if image.has_pose), key=lambda image: image.name)
    if not posed:
        raise _bad(f"The COLMAP model in {dense / 'sparse'} has no photo with a pose")
    cameras = [_camera(image, model.cameras[image.camera_id]) for image in posed]
    # Pillow decodes and scales outside the GIL.
    with ThreadPoolExecutor(available_cores()) as pool:
        views = tuple(pool.map(lambda camera: _read_view(dense / "images", camera, max_size), cameras))
    points = [model.points3D[key] for key in sorted(model.points3D)]
    return Scene(
        views,
        points=np.array([point.xyz for point in points], np.float32).reshape(-1, 3),
        colors=np.array([point.color for point in points], np.uint8).reshape(-1, 3),
        seeds=read_seed_file(dense / SEED_FILE),
    )


def _camera(image: pycolmap.Image, lens: pycolmap.Camera) -> Camera:
    match lens.model.name, [float(value) for value in lens.params]:
        case "PINHOLE", [fx, fy, cx, cy]:
            pass
        case "SIMPLE_PINHOLE", [fx, cx, cy]:
            fy = fx
        case kind, _:
            raise _bad(f"{image.name} has a {kind} camera, where undistorted PINHOLE ones are needed")
    world_to_camera = np.eye(4)
    world_to_camera[:3] = image.cam_from_world().matrix()
    return Camera(image.name, lens.width, lens.height, fx, fy, cx, cy, world_to_camera)


def _read_view(folder: Path, camera: Camera, max_size: int) -> View:
    path = folder / camera.name
    try:
        with Image.open(path) as photo:
            if photo.size != (camera.width, camera.height):
                across, down = photo.size
                raise _bad(
                    f"{camera.name} has {across} × {down} pixels, its camera {camera.width} × {camera.height}"
                )
            shrink = min(1.0, max_size / max(photo.size))
            width, height = (max(1, round(side * shrink)) for side in photo.size)
            pixels = photo.convert("RGB")
            if shrink < 1:
                pixels = pixels.resize((width, height), Image.Resampling.LANCZOS)
    except FileNotFoundError as error:
        raise _bad(f"The photo {camera.name} is missing in {folder}") from error
    except (UnidentifiedImageError, OSError) as error:
        raise _bad(f"The photo {camera.name} in {folder} can't be read") from error
    return View(camera.resized(width, height), np.array(pixels, dtype=np.uint8))


def _bad(what: str) -> UserError:
    return UserError("bad_scene", f"{what}.", "Run the SfM stage again; it writes the whole scene folder.")
