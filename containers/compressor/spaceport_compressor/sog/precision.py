"""How finely the numbers of a file are kept: what trades bytes for decibels.

One price for all of them moves every attribute of every Gaussian along its own best trade (`quantisation`).
"""

from __future__ import annotations

from dataclasses import dataclass

# How far a number may be moved at most, however little it shows in the flight's pictures: who flies freely
# looks from elsewhere.
CENTER_REACH = 0.25  # of the Gaussian's middle size
QUATERNION_REACH = 0.05  # of a component: 6°
SIZE_REACH = 0.2  # of a size's logarithm: a fifth
OPACITY_REACH = 0.04
COLOR_REACH = 0.1  # of a base colour's coefficient: 7 of 255
HARMONIC_REACH = 0.05


@dataclass(frozen=True)
class Precision:
    """The knobs of one file.

    Attributes:
        bit_price: by how much the mean squared error of the pictures may rise for a bit saved; 0: every
            code is the nearest.
        gaussians_per_entry: of the harmonics' palette.
    """

    bit_price: float
    gaussians_per_entry: int


FULL = Precision(0.0, gaussians_per_entry=10)
