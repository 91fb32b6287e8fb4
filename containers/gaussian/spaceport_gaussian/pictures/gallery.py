"""All pictures of a finished run."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path

from spaceport.pictures import HELD_OUT, THUMBNAIL, TRAINED_ON, VIDEO
from spaceport.progress import Progress
from spaceport.time_left import SECONDS_LEFT
from spaceport_gaussian.material import Material
from spaceport_gaussian.photos import Vantage
from spaceport_gaussian.pictures.comparisons import write_comparisons
from spaceport_gaussian.pictures.drawing import Pixels, drawn
from spaceport_gaussian.pictures.flight_video import Film, film_for, write_video
from spaceport_gaussian.pictures.thumbnail import write_thumbnail
from spaceport_gaussian.splat import Splat
from spaceport_render.flight_path import Lens, flight
from spaceport_render.holdout import fixed_subset

logger = logging.getLogger(__name__)


def write_gallery(folder: Path, splat: Splat, material: Material, progress: Progress) -> None:
    """Write the comparisons, the thumbnail and, if the tuning says so, the video into `folder`.

    A fault is logged and costs the job nothing else: by now hours of work are done and delivered.
    """
    try:
        _write(folder, splat, material, progress)
    except Exception:
        logger.exception("not all pictures could be drawn; the model is delivered without")


def _write(folder: Path, splat: Splat, material: Material, progress: Progress) -> None:
    progress(0.0, "Drawing the model beside the photos")
    held = material.held.at(1.0)
    name, photos = (HELD_OUT, held) if held else (TRAINED_ON, fixed_subset(material.photos.at(1.0)))
    write_comparisons(folder, name, splat, photos)
    cameras = [view.camera for view in material.scene.views]
    write_thumbnail(folder / THUMBNAIL, splat, cameras)
    (folder / VIDEO).unlink(missing_ok=True)  # an earlier run's shows another model
    if material.tuning.video:
        film = film_for(material.tuning.preset, [(camera.width, camera.height) for camera in cameras])
        write_video(folder / VIDEO, film, _frames(film, splat, material, progress))


def _frames(film: Film, splat: Splat, material: Material, progress: Progress) -> Iterator[Pixels]:
    cameras = [view.camera for view in material.scene.views]
    lens = Lens.inside(cameras, film.width, film.height)
    path = flight(cameras, material.scene.points, lens, film.times)
    began = time.monotonic()
    for done, camera in enumerate(path):
        left = {SECONDS_LEFT: (time.monotonic() - began) / done * (len(path) - done)} if done else {}
        progress(done / len(path), "Filming a flight over the model", **left)
        yield drawn(splat, Vantage.of_camera(camera, splat.means.device))
