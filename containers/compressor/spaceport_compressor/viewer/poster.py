"""The picture that stands for the model while it loads, and in link previews."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from spaceport_compressor.viewer.camera import InitialView, square_camera
from spaceport_render.gaussians import Gaussians
from spaceport_render.render import render

# The viewer's field of view is that of the window's longer side. A square picture of as much on both sides,
# scaled until it covers the window, shows at every shape of window what the model then does, pixel on pixel.
SIDE = 768
# It must be there at once, on a phone's connection too: 60 KB take 0.3 s at 1.6 Mbit/s.
MOST_BYTES = 60_000
QUALITIES = (85, 75, 65, 50, 35)  # JPEG's, the first that fits


def poster(gaussians: Gaussians, view: InitialView, background: tuple[float, float, float]) -> bytes:
    """A JPEG of SIDE × SIDE pixels of what `view` shows: MOST_BYTES or less, but for a picture of noise."""
    drawn = render(gaussians, square_camera(view, SIDE), background).clip(0.0, 1.0)
    picture = Image.fromarray(np.rint(np.nan_to_num(drawn) * 255).astype(np.uint8))
    for quality in QUALITIES:
        file = io.BytesIO()
        picture.save(file, format="JPEG", quality=quality, optimize=True, progressive=True)
        if file.tell() <= MOST_BYTES:
            break
    return file.getvalue()
