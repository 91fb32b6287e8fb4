"""From light to a JPEG file: exposure, tone curve, sensor noise, encoding."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

JPEG_QUALITY = 93
_CONTRAST, _MIDDLE = 1.18, 0.20  # a power curve around middle grey: what cameras call "standard"
_EXPOSURE = 2.3  # brings sunlit grass (reflectance 0.1) to the middle of the scale
_SHOT_NOISE = 0.0045  # standard deviation at full scale, linear light: ISO 100 on a small sensor
_READ_NOISE = 0.0006
_TONE_STEPS, _BRIGHTEST = 1 << 16, 4.0  # of the tone table; fine enough for the darkest of 8 bits


def _tone_table() -> NDArray[np.uint8]:
    """What the camera makes of light from 0 to `_BRIGHTEST`: tone curve, then sRGB's (IEC 61966-2-1)."""
    light = (np.arange(_TONE_STEPS) + 0.5) * (_BRIGHTEST / _TONE_STEPS)
    # A shoulder keeps white plaster from clipping: Reinhard's curve with white at 2.6.
    toned = light * (1.0 + light / 2.6**2) / (1.0 + 0.55 * light)
    toned = toned**_CONTRAST / _MIDDLE ** (_CONTRAST - 1.0)
    coded = np.where(toned <= 0.0031308, 12.92 * toned, 1.055 * toned ** (1 / 2.4) - 0.055)
    return np.clip(255.0 * coded + 0.5, 0, 255).astype(np.uint8)


_TONES = _tone_table()


def develop(radiance: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Linear light (H, W, 3) to 8-bit sRGB as a drone's camera gives it."""
    light = _EXPOSURE * radiance
    noise = np.sqrt(_SHOT_NOISE**2 * light + _READ_NOISE**2)
    light = np.maximum(0.0, light + noise * rng.standard_normal(light.shape, dtype=np.float32))
    return _TONES[np.minimum(light * (_TONE_STEPS / _BRIGHTEST), _TONE_STEPS - 1).astype(np.uint16)]


def encode_jpeg(pixels: NDArray[np.uint8], exif: Image.Exif, xmp: bytes) -> bytes:
    """The photo's file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=JPEG_QUALITY, exif=exif, xmp=xmp)
    return file.getvalue()
