"""View-dependent colour: real spherical harmonics up to degree 3, in the basis and order of 3DGS files.

The polynomial forms are those of Sloan, "Efficient Spherical Harmonic Evaluation" (JCGT 2013), as in
3DGS and gsplat.
"""

# ruff: noqa: PLR0917 - a kernel takes its arrays one by one

from __future__ import annotations

import math

import numpy as np

from spaceport_render.kernel import inlined, kernel

F = np.float32

MAX_DEGREE = 3

# √(1/4π), the constant function; √(3/4π); then degree 2's and 3's factors in the files' order.
SH_0 = F(0.28209479177387814)
SH_1 = F(0.4886025119029199)
SH_2_0 = F(1.0925484305920792)
SH_2_2 = F(0.31539156525252005)
SH_2_4 = F(0.5462742152960396)
SH_3_0 = F(0.5900435899266435)
SH_3_1 = F(2.890611442640554)
SH_3_2 = F(0.4570457994644658)
SH_3_3 = F(0.3731763325901154)
SH_3_5 = F(1.445305721320277)


@inlined
def _set_basis(x, y, z, degree, basis):
    """The basis functions in the unit direction (x, y, z), into `basis`."""
    basis[0] = SH_0
    if degree > 0:
        basis[1] = -SH_1 * y
        basis[2] = SH_1 * z
        basis[3] = -SH_1 * x
    if degree > 1:
        xx, yy, zz = x * x, y * y, z * z
        basis[4] = SH_2_0 * x * y
        basis[5] = -SH_2_0 * y * z
        basis[6] = SH_2_2 * (2 * zz - xx - yy)
        basis[7] = -SH_2_0 * x * z
        basis[8] = SH_2_4 * (xx - yy)
        if degree > 2:
            basis[9] = -SH_3_0 * y * (3 * xx - yy)
            basis[10] = SH_3_1 * x * y * z
            basis[11] = -SH_3_2 * y * (4 * zz - xx - yy)
            basis[12] = SH_3_3 * z * (2 * zz - 3 * xx - 3 * yy)
            basis[13] = -SH_3_2 * x * (4 * zz - xx - yy)
            basis[14] = SH_3_5 * z * (xx - yy)
            basis[15] = -SH_3_0 * x * (xx - 3 * yy)


@inlined
def _set_slopes(x, y, z, degree, slopes):
    """The basis functions' derivatives along x, y and z, into rows 1 and on of `slopes` (16, 3)."""
    slopes[1, 0], slopes[1, 1], slopes[1, 2] = F(0), -SH_1, F(0)
    slopes[2, 0], slopes[2, 1], slopes[2, 2] = F(0), F(0), SH_1
    slopes[3, 0], slopes[3, 1], slopes[3, 2] = -SH_1, F(0), F(0)
    if degree > 1:
        xx, yy, zz = x * x, y * y, z * z
        slopes[4, 0], slopes[4, 1], slopes[4, 2] = SH_2_0 * y, SH_2_0 * x, F(0)
        slopes[5, 0], slopes[5, 1], slopes[5, 2] = F(0), -SH_2_0 * z, -SH_2_0 * y
        slopes[6, 0], slopes[6, 1], slopes[6, 2] = -2 * SH_2_2 * x, -2 * SH_2_2 * y, 4 * SH_2_2 * z
        slopes[7, 0], slopes[7, 1], slopes[7, 2] = -SH_2_0 * z, F(0), -SH_2_0 * x
        slopes[8, 0], slopes[8, 1], slopes[8, 2] = 2 * SH_2_4 * x, -2 * SH_2_4 * y, F(0)
        if degree > 2:
            slopes[9, 0], slopes[9, 1], slopes[9, 2] = -6 * SH_3_0 * x * y, -3 * SH_3_0 * (xx - yy), F(0)
            slopes[10, 0], slopes[10, 1], slopes[10, 2] = SH_3_1 * y * z, SH_3_1 * x * z, SH_3_1 * x * y
            slopes[11, 0], slopes[11, 1], slopes[11, 2] = (
                2 * SH_3_2 * x * y,
                -SH_3_2 * (4 * zz - xx - 3 * yy),
                -8 * SH_3_2 * y * z,
            )
            slopes[12, 0], slopes[12, 1], slopes[12, 2] = (
                -6 * SH_3_3 * x * z,
                -6 * SH_3_3 * y * z,
                SH_3_3 * (6 * zz - 3 * xx - 3 * yy),
            )
            slopes[13, 0], slopes[13, 1], slopes[13, 2] = (
                -SH_3_2 * (4 * zz - 3 * xx - yy),
                2 * SH_3_2 * x * y,
                -8 * SH_3_2 * x * z,
            )
            slopes[14, 0], slopes[14, 1], slopes[14, 2] = (
                2 * SH_3_5 * x * z,
                -2 * SH_3_5 * y * z,
                SH_3_5 * (xx - yy),
            )
            slopes[15, 0], slopes[15, 1], slopes[15, 2] = -3 * SH_3_0 * (xx - yy), 6 * SH_3_0 * x * y, F(0)


@kernel()
def color(first, end, drawn, means, sh_dc, sh_rest, camera_position, degree, footprints):
    """Sets the colours of `footprints` `first` to `end`, which belong to the Gaussians `drawn`.

    Colour = ½ + Σ basis · sh in the direction from the camera, never below 0. A colour that is not
    finite becomes 0.
    """
    basis = np.empty(16, np.float32)
    count = (degree + 1) ** 2
    for n in range(first, end):
        i = drawn[n]
        x = means[i, 0] - camera_position[0]
        y = means[i, 1] - camera_position[1]
        z = means[i, 2] - camera_position[2]
        distance = math.sqrt(x * x + y * y + z * z)
        _set_basis(x / distance, y / distance, z / distance, degree, basis)
        red = F(0.5) + SH_0 * sh_dc[i, 0, 0]
        green = F(0.5) + SH_0 * sh_dc[i, 0, 1]
        blue = F(0.5) + SH_0 * sh_dc[i, 0, 2]
        for k in range(1, count):
            red += basis[k] * sh_rest[i, k - 1, 0]
            green += basis[k] * sh_rest[i, k - 1, 1]
            blue += basis[k] * sh_rest[i, k - 1, 2]
        # Written so that NaN and infinity fail the test.
        footprints[n].red = red if F(0) < red < np.inf else F(0)
        footprints[n].green = green if F(0) < green < np.inf else F(0)
        footprints[n].blue = blue if F(0) < blue < np.inf else F(0)


@kernel()
def harmonics_towards(first, end, chosen, means, camera_position, degree, values):
    """Fills rows `first` to `end` of `values` (M, (degree + 1)² - 1) float32: the basis functions above the
    constant one, in the directions from the camera to the Gaussians `chosen` (M,).
    """
    basis = np.empty(16, np.float32)
    for n in range(first, end):
        i = chosen[n]
        x = means[i, 0] - camera_position[0]
        y = means[i, 1] - camera_position[1]
        z = means[i, 2] - camera_position[2]
        distance = math.sqrt(x * x + y * y + z * z)
        _set_basis(x / distance, y / distance, z / distance, degree, basis)
        values[n] = basis[1 : (degree + 1) ** 2]


@kernel()
def color_backward(
    first, end, drawn, means, sh_rest, camera_position, degree, footprints, gradients,
    to_means, to_sh_dc, to_sh_rest,
):  # fmt: skip
    """From the colours' `gradients` to `to_sh_*`; what comes through the direction is added to `to_means`."""
    basis = np.empty(16, np.float32)
    slopes = np.empty((16, 3), np.float32)
    count = (degree + 1) ** 2
    for n in range(first, end):
        i = drawn[n]
        # A colour held at 0 passes no gradient.
        red = gradients[n].red if footprints[n].red > 0 else F(0)
        green = gradients[n].green if footprints[n].green > 0 else F(0)
        blue = gradients[n].blue if footprints[n].blue > 0 else F(0)
        x = means[i, 0] - camera_position[0]
        y = means[i, 1] - camera_position[1]
        z = means[i, 2] - camera_position[2]
        distance = math.sqrt(x * x + y * y + z * z)
        x, y, z = x / distance, y / distance, z / distance
        _set_basis(x, y, z, degree, basis)
        to_sh_dc[i, 0, 0], to_sh_dc[i, 0, 1], to_sh_dc[i, 0, 2] = SH_0 * red, SH_0 * green, SH_0 * blue
        for k in range(1, count):
            to_sh_rest[i, k - 1, 0] = basis[k] * red
            to_sh_rest[i, k - 1, 1] = basis[k] * green
            to_sh_rest[i, k - 1, 2] = basis[k] * blue
        if degree > 0:
            _set_slopes(x, y, z, degree, slopes)
            to_x, to_y, to_z = F(0), F(0), F(0)
            for k in range(1, count):
                through = (
                    sh_rest[i, k - 1, 0] * red + sh_rest[i, k - 1, 1] * green + sh_rest[i, k - 1, 2] * blue
                )
                to_x += slopes[k, 0] * through
                to_y += slopes[k, 1] * through
                to_z += slopes[k, 2] * through
            # Moving along the line of sight does not change the direction.
            along = to_x * x + to_y * y + to_z * z
            to_means[i, 0] += (to_x - along * x) / distance
            to_means[i, 1] += (to_y - along * y) / distance
            to_means[i, 2] += (to_z - along * z) / distance
