"""How finely each attribute is kept in the file: what trades bytes for decibels.

Measured on a real flight (brighton, 39K Gaussians after 1,500 iterations), each attribute coarsened by
itself, decoded renders against the trained model's: 14 bits a mean 53 dB, 127 rotation steps 56 dB,
96 levels of size 53 dB, of colour 58 dB, 63 opacity steps 58 dB, a palette of 512 entries 47 dB. So one
attribute's last bits can be had for the price of nothing seen, and together they are 3 bytes of 16.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Precision:
    """The knobs of one file.

    Attributes:
        mean_bits: bits kept of an axis of a centre, 16 at most.
        rotation_steps: over the range of a quaternion's component, 255 at most.
        scale_levels, color_levels: of the codebooks, 256 at most.
        opacity_steps: 255 at most.
        gaussians_per_entry: of the harmonics' palette. An entry of three bands takes about 40 bytes.
    """

    mean_bits: int
    rotation_steps: int
    scale_levels: int
    color_levels: int
    opacity_steps: int
    gaussians_per_entry: int


FULL = Precision(16, 255, 256, 256, 255, gaussians_per_entry=10)
# From the smallest file to the most faithful one; the first that is good enough is delivered. The loss
# against the photos follows the palette, not the other attributes: on that flight 0.094, 0.076, 0.061 and
# 0.040 dB, at 13.0, 13.6, 14.7 and 19.4 bytes a Gaussian.
LADDER = (
    Precision(14, 127, 96, 96, 63, gaussians_per_entry=80),
    Precision(14, 127, 96, 96, 63, gaussians_per_entry=40),
    Precision(14, 127, 96, 96, 63, gaussians_per_entry=20),
    FULL,
)
