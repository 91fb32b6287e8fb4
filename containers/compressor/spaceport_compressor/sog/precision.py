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
# A bit of the harmonics' is sold for less: training fitted them last and finest to the photos, and what they
# lose against these is more than the decoded pictures tell. At equal loss brighton takes 9.7 bytes a Gaussian
# at a share of 0.1, 9.9 at 0.3, and 10.5 at 1; the demo's 295K Gaussians 12.2, 11.9 and 11.9.
HARMONICS_PRICE = 0.2


@dataclass(frozen=True)
class Precision:
    """The knobs of one file.

    Attributes:
        bit_price: by how much the mean squared error of the pictures may rise for a bit saved; 0: every
            code is the nearest.
        gaussians_per_entry: of the harmonics' palette.
    """

    bit_price: float
    gaussians_per_entry: float


FULL = Precision(0.0, gaussians_per_entry=10)
