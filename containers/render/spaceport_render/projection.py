"""From Gaussians in the world to their footprints on the image, and gradients the way back.

A Gaussian with covariance Σ = R S Sᵀ Rᵀ leaves on the image a Gaussian with covariance
J W Σ Wᵀ Jᵀ + 0.3 I (EWA splatting, Zwicker et al. 2001; Kerbl et al. 2023), where W is the camera's
rotation and J the derivative of the projection at the centre. With A = J W R S, of 2 × 3, that is
A Aᵀ + 0.3 I: the kernels work on A, which is cheaper than Σ and keeps the determinant positive.

The blur makes footprints thicker than they are, and the more so the finer they are. Drawn antialiased, their
opacity is lowered by as much: by ρ = √(det A Aᵀ / det(A Aᵀ + 0.3 I)), which keeps each footprint's mass (the
2D Mip filter of Mip-Splatting, Yu et al., CVPR 2024).
"""

# ruff: noqa: PLR0915, PLR0917 - a kernel takes its arrays one by one, and reads best in one piece

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from spaceport_render.kernel import inlined, kernel

F = np.float32

# Added to the footprint's variances, pixels²: every splat covers a pixel or so (gsplat's `eps2d`).
BLUR = F(0.3)
# Nearer centres are not drawn, metres (gsplat's `near_plane`).
NEAR = F(0.01)
# The slope x/z at which J is taken stays within the image plus this share of its half width on either
# side: beyond, the linear approximation blows up (gsplat's and Inria's value).
MARGIN = F(0.3)
# Footprints beyond are culled, pixels: squares of such numbers are still far from float32's end.
FARTHEST = F(1e9)
# A quaternion as short as this has no direction.
SHORTEST_QUATERNION = F(1e-12)

# A footprint, one row a Gaussian. Its conic is the inverse covariance, pixels⁻²; its opacity the Gaussian's,
# times ρ where drawn antialiased. The ellipse outside which alpha is below the cut lies in a box of half size
# `reach` around the centre, pixels. At dx from the centre it spans dy = lean·dx ± spread·√(reach_x² - dx²);
# its lowest point is at dx = tip, its highest at dx = -tip.
FOOTPRINT = np.dtype(
    {
        "names": [
            *("x", "y", "conic_xx", "conic_xy", "conic_yy", "opacity"),
            *("red", "green", "blue", "reach_x", "reach_y", "lean", "spread", "tip", "depth"),
        ],
        "formats": [np.float32] * 15,
    }
)

# What the loss's gradient with respect to one footprint consists of. `abs_*` sum |∂L/∂x| over pixels.
FOOTPRINT_GRADIENT = np.dtype(
    {
        "names": [
            *("x", "y", "abs_x", "abs_y", "conic_xx", "conic_xy", "conic_yy", "opacity"),
            *("red", "green", "blue"),
        ],
        "formats": [np.float32] * 11,
    }
)


class Lens(NamedTuple):
    """The pinhole, float32, pixels."""

    fx: np.float32
    fy: np.float32
    cx: np.float32
    cy: np.float32
    width: np.float32
    height: np.float32


@inlined
def _slopes(lens, x, y, inverse_z):
    """x/z and y/z, kept within the image and its margin."""
    across = MARGIN * F(0.5) * lens.width / lens.fx
    down = MARGIN * F(0.5) * lens.height / lens.fy
    right = (lens.width - lens.cx) / lens.fx + across
    bottom = (lens.height - lens.cy) / lens.fy + down
    left = lens.cx / lens.fx + across
    top = lens.cy / lens.fy + down
    return (
        min(max(x * inverse_z, -left), right),
        min(max(y * inverse_z, -top), bottom),
    )


@inlined
def _to_camera(view, mean, row):
    return view[row, 0] * mean[0] + view[row, 1] * mean[1] + view[row, 2] * mean[2] + view[row, 3]


@inlined
def _set_rotation(w, x, y, z, rotation):
    """The rotation matrix of the unit quaternion (w, x, y, z), into `rotation` (3, 3)."""
    rotation[0, 0] = 1 - 2 * (y * y + z * z)
    rotation[0, 1] = 2 * (x * y - w * z)
    rotation[0, 2] = 2 * (x * z + w * y)
    rotation[1, 0] = 2 * (x * y + w * z)
    rotation[1, 1] = 1 - 2 * (x * x + z * z)
    rotation[1, 2] = 2 * (y * z - w * x)
    rotation[2, 0] = 2 * (x * z - w * y)
    rotation[2, 1] = 2 * (y * z + w * x)
    rotation[2, 2] = 1 - 2 * (x * x + y * y)


@inlined
def _set_axes(lens, view, slope_x, slope_y, inverse_z, rotation, scale, world_to_image, axes):
    """J W into `world_to_image` (2, 3), and A = J W R S into `axes` (2, 3)."""
    for c in range(3):
        world_to_image[0, c] = lens.fx * inverse_z * (view[0, c] - slope_x * view[2, c])
        world_to_image[1, c] = lens.fy * inverse_z * (view[1, c] - slope_y * view[2, c])
    for r in range(2):
        for c in range(3):
            axes[r, c] = scale[c] * (
                world_to_image[r, 0] * rotation[0, c]
                + world_to_image[r, 1] * rotation[1, c]
                + world_to_image[r, 2] * rotation[2, c]
            )


@kernel()
def project(
    first, end, means, quats, scales, opacities, view, lens, alpha_cut, antialiased, footprints, radii
):
    """Fills rows `first` to `end` of `footprints` (FOOTPRINT, without colours) and `radii` (int32).

    A radius of 0 marks what is not drawn: behind the camera, off the image, everywhere fainter than
    `alpha_cut`, or not finite.
    """
    rotation = np.empty((3, 3), np.float32)
    world_to_image = np.empty((2, 3), np.float32)
    axes = np.empty((2, 3), np.float32)
    for i in range(first, end):
        radii[i] = 0
        mean, quat, opacity = means[i], quats[i], opacities[i]
        z = _to_camera(view, mean, 2)
        length = math.sqrt(quat[0] ** 2 + quat[1] ** 2 + quat[2] ** 2 + quat[3] ** 2)
        # Written so that NaN fails each test.
        if not (z > NEAR and opacity >= alpha_cut and opacity <= F(1) and length > SHORTEST_QUATERNION):
            continue
        inverse_z = F(1) / z
        x, y = _to_camera(view, mean, 0), _to_camera(view, mean, 1)
        slope_x, slope_y = _slopes(lens, x, y, inverse_z)
        _set_rotation(quat[0] / length, quat[1] / length, quat[2] / length, quat[3] / length, rotation)
        _set_axes(lens, view, slope_x, slope_y, inverse_z, rotation, scales[i], world_to_image, axes)

        xx, xy, yy = F(0), F(0), F(0)
        for c in range(3):
            xx += axes[0, c] * axes[0, c]
            xy += axes[0, c] * axes[1, c]
            yy += axes[1, c] * axes[1, c]
        # det(A Aᵀ) as the squared cross product of A's rows: never negative, unlike xx·yy - xy².
        cross_x = axes[0, 1] * axes[1, 2] - axes[0, 2] * axes[1, 1]
        cross_y = axes[0, 2] * axes[1, 0] - axes[0, 0] * axes[1, 2]
        cross_z = axes[0, 0] * axes[1, 1] - axes[0, 1] * axes[1, 0]
        sharp = cross_x**2 + cross_y**2 + cross_z**2
        determinant = sharp + BLUR * (xx + yy) + BLUR * BLUR
        xx += BLUR
        yy += BLUR
        if antialiased:
            opacity *= math.sqrt(sharp / determinant)
            if not opacity >= alpha_cut:
                continue
        # alpha = opacity · exp(-½ d²) falls to the cut at d² = 2 ln(opacity / cut).
        cut_squared = F(2) * math.log(opacity / alpha_cut)
        reach_x, reach_y = math.sqrt(cut_squared * xx), math.sqrt(cut_squared * yy)
        center_x = lens.fx * x * inverse_z + lens.cx
        center_y = lens.fy * y * inverse_z + lens.cy
        if not (
            center_x + reach_x > 0
            and center_x - reach_x < lens.width
            and center_y + reach_y > 0
            and center_y - reach_y < lens.height
            and max(abs(center_x), abs(center_y), reach_x, reach_y) < FARTHEST
            and determinant < np.inf
        ):
            continue
        footprint = footprints[i]
        footprint.x, footprint.y, footprint.depth = center_x, center_y, z
        footprint.conic_xx = yy / determinant
        footprint.conic_xy = -xy / determinant
        footprint.conic_yy = xx / determinant
        footprint.opacity = opacity
        footprint.reach_x, footprint.reach_y = reach_x, reach_y
        footprint.lean, footprint.spread = xy / xx, math.sqrt(determinant) / xx
        footprint.tip = reach_y * xy / yy
        radii[i] = max(1, math.ceil(max(reach_x, reach_y)))


@kernel()
def project_backward(
    first, end, drawn, means, quats, scales, opacities, view, lens, antialiased, footprints, gradients,
    to_means, to_quats, to_scales, to_opacities, to_means2d, to_means2d_absolute,
):  # fmt: skip
    """From `gradients` of footprints `first` to `end` to those of the Gaussians `drawn[first:end]`.

    `footprints` and `gradients` have a row for each of `drawn`; `to_*` one for each Gaussian.
    """
    rotation = np.empty((3, 3), np.float32)
    world_to_image = np.empty((2, 3), np.float32)
    axes = np.empty((2, 3), np.float32)
    to_axes = np.empty((2, 3), np.float32)
    to_rotation = np.empty((3, 3), np.float32)
    for n in range(first, end):
        i = drawn[n]
        mean, quat, scale = means[i], quats[i], scales[i]
        footprint, gradient = footprints[n], gradients[n]
        x, y = _to_camera(view, mean, 0), _to_camera(view, mean, 1)
        inverse_z = F(1) / _to_camera(view, mean, 2)
        slope_x, slope_y = _slopes(lens, x, y, inverse_z)
        length = math.sqrt(quat[0] ** 2 + quat[1] ** 2 + quat[2] ** 2 + quat[3] ** 2)
        qw, qx, qy, qz = quat[0] / length, quat[1] / length, quat[2] / length, quat[3] / length
        _set_rotation(qw, qx, qy, qz, rotation)
        _set_axes(lens, view, slope_x, slope_y, inverse_z, rotation, scale, world_to_image, axes)

        # The conic X is the covariance's inverse: dL/dΣ = -X (dL/dX) X. The loss sees X's off-diagonal
        # twice, so each of its two entries takes half of that gradient.
        a, b, c = footprint.conic_xx, footprint.conic_xy, footprint.conic_yy
        to_a, to_b, to_c = gradient.conic_xx, F(0.5) * gradient.conic_xy, gradient.conic_yy
        left_xx, left_xy = a * to_a + b * to_b, a * to_b + b * to_c
        left_yx, left_yy = b * to_a + c * to_b, b * to_b + c * to_c
        to_xx = -(left_xx * a + left_xy * b)
        to_xy = -(left_xx * b + left_xy * c)
        to_yy = -(left_yx * b + left_yy * c)
        to_means2d[i, 0], to_means2d[i, 1] = gradient.x, gradient.y
        to_means2d_absolute[i, 0], to_means2d_absolute[i, 1] = gradient.abs_x, gradient.abs_y
        to_opacities[i] = gradient.opacity
        if antialiased:
            # With e the blur and D the blurred determinant, D² ∂(ρ²)/∂xx = e (yy² + e yy + xy²), without a
            # difference of nearly equal numbers, and D² ∂(ρ²)/∂xy = -e xy (xx + yy + e) for each entry.
            compensation = footprint.opacity / opacities[i]
            to_opacities[i] *= compensation
            xx, xy, yy = F(0), F(0), F(0)
            for k in range(3):
                xx += axes[0, k] * axes[0, k]
                xy += axes[0, k] * axes[1, k]
                yy += axes[1, k] * axes[1, k]
            inverse_determinant = c / (xx + BLUR)
            to_square = gradient.opacity * opacities[i] / (F(2) * compensation) * BLUR
            to_square *= inverse_determinant * inverse_determinant
            to_xx += to_square * (yy * yy + BLUR * yy + xy * xy)
            to_xy -= to_square * xy * (xx + yy + BLUR)
            to_yy += to_square * (xx * xx + BLUR * xx + xy * xy)
        # Σ = A Aᵀ + blur, so dL/dA = 2 (dL/dΣ) A.
        for k in range(3):
            to_axes[0, k] = F(2) * (to_xx * axes[0, k] + to_xy * axes[1, k])
            to_axes[1, k] = F(2) * (to_xy * axes[0, k] + to_yy * axes[1, k])

        # A = (J W) (R S): to the scales and R on one side, to J, and so the centre, on the other.
        to_inverse_z, to_slope_x, to_slope_y = F(0), F(0), F(0)
        for k in range(3):
            to_scale = F(0)
            for r in range(3):
                to_spread = world_to_image[0, r] * to_axes[0, k] + world_to_image[1, r] * to_axes[1, k]
                to_scale += to_spread * rotation[r, k]
                to_rotation[r, k] = to_spread * scale[k]
            to_scales[i, k] = to_scale
        for r in range(3):
            to_jw_x, to_jw_y = F(0), F(0)
            for k in range(3):
                to_jw_x += to_axes[0, k] * rotation[r, k] * scale[k]
                to_jw_y += to_axes[1, k] * rotation[r, k] * scale[k]
            to_inverse_z += to_jw_x * lens.fx * (view[0, r] - slope_x * view[2, r])
            to_inverse_z += to_jw_y * lens.fy * (view[1, r] - slope_y * view[2, r])
            to_slope_x -= to_jw_x * lens.fx * inverse_z * view[2, r]
            to_slope_y -= to_jw_y * lens.fy * inverse_z * view[2, r]

        # Through the centre itself; through J's slope only where it was not held at the margin.
        to_ratio_x, to_ratio_y = gradient.x * lens.fx, gradient.y * lens.fy
        if slope_x == x * inverse_z:
            to_ratio_x += to_slope_x
        if slope_y == y * inverse_z:
            to_ratio_y += to_slope_y
        to_inverse_z += to_ratio_x * x + to_ratio_y * y
        to_x, to_y = to_ratio_x * inverse_z, to_ratio_y * inverse_z
        to_z = -to_inverse_z * inverse_z * inverse_z
        for k in range(3):
            to_means[i, k] = view[0, k] * to_x + view[1, k] * to_y + view[2, k] * to_z

        g = to_rotation
        to_w = F(2) * (qz * (g[1, 0] - g[0, 1]) + qy * (g[0, 2] - g[2, 0]) + qx * (g[2, 1] - g[1, 2]))
        to_qx = F(2) * (
            qy * (g[0, 1] + g[1, 0])
            + qz * (g[0, 2] + g[2, 0])
            - F(2) * qx * (g[1, 1] + g[2, 2])
            + qw * (g[2, 1] - g[1, 2])
        )
        to_qy = F(2) * (
            qx * (g[0, 1] + g[1, 0])
            + qz * (g[1, 2] + g[2, 1])
            - F(2) * qy * (g[0, 0] + g[2, 2])
            + qw * (g[0, 2] - g[2, 0])
        )
        to_qz = F(2) * (
            qx * (g[0, 2] + g[2, 0])
            + qy * (g[1, 2] + g[2, 1])
            - F(2) * qz * (g[0, 0] + g[1, 1])
            + qw * (g[1, 0] - g[0, 1])
        )
        # A longer quaternion is the same rotation: no gradient along it.
        along = to_w * qw + to_qx * qx + to_qy * qy + to_qz * qz
        to_quats[i, 0] = (to_w - along * qw) / length
        to_quats[i, 1] = (to_qx - along * qx) / length
        to_quats[i, 2] = (to_qy - along * qy) / length
        to_quats[i, 3] = (to_qz - along * qz) / length
