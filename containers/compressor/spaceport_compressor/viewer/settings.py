"""The viewer's `settings.json`, version 2: colours as they are, no effects."""

from __future__ import annotations

from collections.abc import Sequence

from spaceport_compressor.viewer.camera import InitialView
from spaceport_compressor.viewer.fly_through import FlyThrough

# A neutral dark grey: photos' edges, where the model thins out, look worst against white or black.
BACKGROUND = (0.15, 0.16, 0.17)


def settings(
    opening: InitialView, flight: FlyThrough, annotations: Sequence[dict[str, object]]
) -> dict[str, object]:
    """What the viewer opens with: `opening`; `flight` is for its play button."""
    off = {"enabled": False}
    return {
        "version": 2,
        "tonemapping": "none",
        "highPrecisionRendering": False,
        "background": {"color": BACKGROUND},
        "postEffectSettings": {
            "sharpness": {**off, "amount": 0},
            "bloom": {**off, "intensity": 0.1, "blurLevel": 2},
            "grading": {**off, "brightness": 1, "contrast": 1, "saturation": 1, "tint": [1, 1, 1]},
            "vignette": {**off, "intensity": 0.5, "inner": 0.3, "outer": 0.75, "curvature": 1},
            "fringing": {**off, "intensity": 0.5},
        },
        "animTracks": [flight.track()],
        "cameras": [{"initial": opening.model_dump()}],
        "annotations": list(annotations),
        # The only mode in which the viewer takes the track for its play button; the page opens still all the
        # same. In the others it makes up a turn on the spot.
        "startMode": "animTrack",
    }
