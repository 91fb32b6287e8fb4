"""The view that the page opens with: the photo's that shows most, which the thumbnail is drawn from, too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spaceport_compressor.viewer.camera import InitialView, photo_camera
from spaceport_render.camera import Camera, widest_view
from spaceport_render.flight_path import viewing_distance


def opening_view(cameras: Sequence[Camera], surface: NDArray[np.float64]) -> InitialView:
    """The widest photo's.

    From farther off, more of the edges is in view, which few photos saw; and a list's thumbnail, the report's
    picture and the page look alike. The whole site is in the report's map.

    Args:
        cameras: the flight's, at least one, z up.
        surface: (N, 3) of the model.
    """
    widest = widest_view(cameras, surface)
    return photo_camera(widest, viewing_distance([widest], surface)).initial
