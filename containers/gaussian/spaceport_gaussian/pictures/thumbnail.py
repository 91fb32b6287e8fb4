"""One small picture that shows what the scene is: for lists, links and messengers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spaceport_gaussian.photos import Vantage
from spaceport_gaussian.pictures.drawing import drawn, write_jpeg
from spaceport_gaussian.splat import Splat
from spaceport_render.camera import Camera, widest_view

SIDE = 640  # longer side, pixels: a phone's width on a dense screen
QUALITY = 85  # some 60 KB


def write_thumbnail(file: Path, splat: Splat, cameras: Sequence[Camera]) -> None:
    """Draw the splat as the camera that sees most of it does."""
    camera = widest_view(cameras, splat.means.detach().cpu().numpy())
    scale = SIDE / max(camera.width, camera.height)
    small = camera.resized(round(camera.width * scale), round(camera.height * scale))
    write_jpeg(file, drawn(splat, Vantage.of_camera(small, splat.means.device)), QUALITY)
