"""SPZ, Niantic's format: fixed-point coordinates, bytes for all else, compressed.

Written by gsply, which keeps the harmonics' bytes whole. Niantic's own library, and so what wraps it
(gaussforge), rounds them to 5 and 4 bits, with no way to say otherwise in Python.
Source: https://github.com/nianticlabs/spz.
"""

from __future__ import annotations

import gzip
import math
from enum import IntEnum
from pathlib import Path

import gsply
import numpy as np
from numpy.typing import NDArray

from spaceport_compressor.formats.fit import DoesNotFitError
from spaceport_render.gaussians import Gaussians

# Coordinates are 24 bits with the sign; so many of them behind the point, a quarter millimetre, is what all
# writers use. What is more than 2 km away takes some of them for the metres: 4 km leave half a millimetre.
MOST_FRACTION_BITS = 12
COORDINATE_BITS = 23
# Bits of the harmonics of degree 1 and of those above, of 8 in the file: rounding makes it compress better.
# Decoded dB and MB of brighton (22K) and of the 300K demo model, November 2026:
#   5, 4 (Niantic's default)  33.0  0.40   39.6  5.3
#   6, 5                      40.1  0.47   41.4  5.7
#   7, 6                      46.6  0.58   46.7  7.1
#   8, 8                      52.8  0.76   53.4  9.5
FIRST_BITS, HIGHER_BITS = 7, 6
_GZIP_TIME = slice(4, 8)
_FLAGS, _ANTIALIASED = 14, 0x1  # where they are in the file's own header, and the one that is ours to set


class SpzVersion(IntEnum):
    """Of the file."""

    GZIP = 3  # all readers know it
    ZSTD = 4  # of 2026: smaller, and read faster


def write_spz(path: Path, upright: Gaussians, version: SpzVersion = SpzVersion.ZSTD) -> None:
    """Write `upright`, which is in the format's y-up axes: the same bytes for the same arguments.

    Raises:
        DoesNotFitError: for what is farther from the origin than the coordinates go.
    """
    farthest = float(np.abs(upright.means).max())
    whole_bits = math.frexp(farthest)[1] if farthest > 0 else 0  # `farthest` is below 2 to this
    fraction_bits = min(MOST_FRACTION_BITS, COORDINATE_BITS - whole_bits)
    if fraction_bits < 1:
        raise DoesNotFitError(f"it reaches {2**COORDINATE_BITS / 2e3:.0f} km, and the model {farthest:.0f} m")
    splat = gsply.GSData(
        means=upright.means,
        scales=upright.log_scales,
        quats=upright.quats,
        opacities=upright.opacity_logits,
        sh0=upright.sh[:, 0],
        shN=_rounded(upright.sh[:, 1:]),
    )
    gsply.write_spz(path, splat, version=int(version), fractional_bits=fraction_bits)
    written = bytearray(path.read_bytes())
    if version is SpzVersion.GZIP:  # whose header has the time of day
        written[_GZIP_TIME] = bytes(4)
    if upright.antialiased:  # gsply has no word for it
        unpacked = bytearray(gzip.decompress(written)) if version is SpzVersion.GZIP else written
        unpacked[_FLAGS] |= _ANTIALIASED
        written = bytearray(gzip.compress(unpacked, mtime=0)) if version is SpzVersion.GZIP else unpacked
    path.write_bytes(written)


def _rounded(harmonics: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, C, 3) with as many bits as are kept; the file's range is -1 to 1."""
    bits = np.where(np.arange(harmonics.shape[1]) < 3, FIRST_BITS, HIGHER_BITS)
    steps = (2.0 ** (bits - 1)).astype(np.float32)[:, None]
    return np.rint(harmonics * steps) / steps
