"""What can be told from a photo's grey values alone: blank, dark, burnt out, blurred.

Blank and exposure are judged by absolute limits, blur against the other photos of the same camera.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

# Blur is looked for at half of the usual SfM size (1600): noise and JPEG blocks, which would count as
# detail, have averaged out there, and what smears two pixels of 1600 still shows. A fixed size makes the
# photos of two cameras, and of two runs, comparable.
FINE_PX = 800
# Coarse enough that blur of 5 to 15 pixels of 1600 leaves it as it is: the scene's own amount of detail.
COARSE_PX = 100
# A photo is blurred whose sharpness (see `sharpness`) lies this many robust standard deviations (3.5:
# Iglewicz & Hoaglin 1993) and at least this factor below the median. Measured, natural log below the median:
# brighton's photos -0.24 at worst, those of a demo flight of 60 -0.39; brighton with 5 pixels of 1600 of
# motion -0.97 at best, with 9 -1.57; the demo flight with 5 pixels -0.71. (The fine variance alone would not
# do: from shore to trees it varies 3-fold, as much as 9 pixels of motion take.)
OUTLIER_SIGMAS = 3.5
MIN_FALL = 0.5
MIN_PHOTOS_TO_COMPARE = 5  # of one camera: the median of fewer says little

# Grey values, 0..255. Blank: even fog or calm water under noise and vignetting spans more than this.
BLANK_SPAN = 3
DARK_BELOW = 40  # where 95 % of a photo lie, its detail is noise
BURNT_FROM = 252  # JPEG's ringing around 255 included
MAX_BURNT_SHARE = 0.33


@dataclass(frozen=True)
class Appearance:
    """Measures of a photo's grey values.

    Attributes:
        sharpness: variance of the Laplacian at 800 px by that at 100 px (longer side), see `sharpness`.
        brightness: mean, 0..255.
        span: from the 1st to the 99th percentile.
        bright_end: the 95th percentile.
        burnt_share: of the pixels, 0..1.
        digest: of the picture at 800 px: equal for equal pictures, and different for any two shots, for no
            sensor repeats its noise at 300,000 places.
    """

    sharpness: float
    brightness: float
    span: float
    bright_end: float
    burnt_share: float
    digest: bytes


def look_at(picture: Image.Image) -> Appearance:
    """Measure an RGB or grey `picture`."""
    fine = _scaled(picture.convert("L"), FINE_PX)
    counts = np.asarray(fine.histogram(), dtype=np.float64)
    cumulated = np.cumsum(counts) / counts.sum()
    first, bright_end, last = (int(np.searchsorted(cumulated, share)) for share in (0.01, 0.95, 0.99))
    return Appearance(
        sharpness=sharpness(fine),
        brightness=float(counts @ np.arange(256) / counts.sum()),
        span=last - first,
        bright_end=bright_end,
        burnt_share=float(counts[BURNT_FROM:].sum() / counts.sum()),
        digest=hashlib.blake2b(fine.tobytes(), digest_size=16, salt=b"%d" % fine.width).digest(),
    )


def sharpness(fine: Image.Image) -> float:
    """How much fine detail a grey picture has for its coarse detail, without unit.

    The variance of the Laplacian (Pech-Pacheco et al. 2000), by the same of the picture scaled down: so the
    scene's contrast drops out, which differs from photo to photo far more than focus does.
    """
    coarse = _scaled(fine, COARSE_PX)
    return float(_laplacian_variance(fine) / max(_laplacian_variance(coarse), 1e-6))


def exposure_warning(seen: Appearance) -> tuple[str, str] | None:
    """The code and the reason in words where the exposure has lost detail."""
    if seen.bright_end < DARK_BELOW:
        return "underexposed", "is nearly black: expose longer, or fly in better light"
    if seen.burnt_share > MAX_BURNT_SHARE:
        return "overexposed", f"is burnt out in {seen.burnt_share:.0%} of the picture: expose shorter"
    return None


def blurred(sharpnesses: Sequence[float]) -> list[bool]:
    """Which of the photos of one camera are blurred, by their `sharpness`."""
    if len(sharpnesses) < MIN_PHOTOS_TO_COMPARE:
        return [False] * len(sharpnesses)
    logs = np.log(np.maximum(sharpnesses, 1e-9))
    below = np.median(logs) - logs
    sigma = 1.4826 * np.median(np.abs(below))  # of a normal distribution, by its median absolute deviation
    return [bool(fall > max(OUTLIER_SIGMAS * sigma, MIN_FALL)) for fall in below]


def droppable(is_blurred: Sequence[bool], sharpnesses: Sequence[float], keep: int) -> list[bool]:
    """Which of the blurred photos, in the order of the flight, may be left out.

    The blurriest first, never two neighbours, and never so many that fewer than `keep` are left: photos that
    overlap by 80 % still overlap by 60 % across a gap of one, across a gap of two they hardly match.
    """
    dropped = [False] * len(is_blurred)
    spare = len(is_blurred) - keep
    blurriest_first = sorted((sharpness, index) for index, sharpness in enumerate(sharpnesses))
    for _, index in blurriest_first:
        beside = dropped[max(index - 1, 0) : index + 2]
        if is_blurred[index] and not any(beside) and sum(dropped) < spare:
            dropped[index] = True
    return dropped


def _scaled(picture: Image.Image, longer_side: int) -> Image.Image:
    scale = longer_side / max(picture.size)
    if scale >= 1:
        return picture
    size = (max(3, round(picture.width * scale)), max(3, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.BOX)


def _laplacian_variance(grey: Image.Image) -> float:
    return float(cv2.Laplacian(np.asarray(grey), cv2.CV_32F).var())
