"""Gaussians as terms of a sum, what it costs to put one in the place of two, and how.

Two are merged by matching the moments of their mixture, each weighted by its mass, which is its opacity
times its face (the area of its shadow, over the three axes' directions): so Kerbl et al. make the inner
nodes of "A Hierarchical 3D Gaussian Representation" (SIGGRAPH 2024, section 4.2), whose opacities may exceed
one. No delivered file can hold that: here what both cover together counts once, and opacity ends at
`MOST_OPAQUE`. Colours are weighted by what can be seen, too: without it what lies hidden under a surface
shines through in the end (measured in docs/compression.md).

The cost of a pair is the squared error that its merge makes in a picture: |α₁c₁G₁ + α₂c₂G₂ − αcG|², each
dimmed by what hides it, integrated over three pictures, along the axes. Its terms are products of two
projected Gaussians, whose integrals have a closed form. `@playcanvas/splat-transform` 3.7 integrates over
space instead, where a flat splat has no volume and hence no cost.

The kernels call only what stands in this file, as `spaceport_render.kernel` asks.
"""

# ruff: noqa: PLR0917 - a kernel takes its arrays one by one

from __future__ import annotations

from dataclasses import dataclass
from math import exp, pi, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from spaceport_render.gaussians import Floats, Gaussians
from spaceport_render.kernel import inlined, kernel
from spaceport_render.spherical_harmonics import SH_0
from spaceport_render.threads import run_over

Doubles = NDArray[np.float64]
Indices = NDArray[np.int64]

LEAST_OPAQUE = 1e-6  # what is not there at all still has a mass to be weighted by
MOST_OPAQUE = 0.999  # a logit of 7; renderers stop at 0.99 or 0.999
LEAST_VARIANCE = 1e-14  # m², of a tenth of a micrometre: what rounding leaves of flat splats
LEAST_DETERMINANT = 1e-28  # m⁴, of a shadow's covariance: the square of that
# The six different numbers of a covariance stand in this order: xx xy xz yy yz zz.
ROWS, COLUMNS = np.triu_indices(3)
# The pictures along z, y and x: which three of the six numbers a shadow's covariance has, and its two axes.
SHADOWS = np.array([[0, 1, 3, 0, 1], [0, 2, 5, 0, 2], [3, 4, 5, 1, 2]])


@dataclass(frozen=True)
class Mixture:
    """N Gaussians in the form in which they are added.

    Attributes:
        means: (N, 3) metres.
        covariances: (N, 6) m²: xx xy xz yy yz zz.
        opacities: (N,) LEAST_OPAQUE to MOST_OPAQUE.
        sh: (N, K, 3) as in Gaussians.
        visible: (N,) above 0, up to 1: the share that is not hidden by others, over the photos.
        errors: (N,) what merging has cost so far.
    """

    means: Doubles
    covariances: Doubles
    opacities: Doubles
    sh: Floats
    visible: Doubles
    errors: Doubles

    def __len__(self) -> int:
        return len(self.means)

    def faces(self) -> Doubles:
        """(N,) m²: the sum of the three shadows' areas along the axes, over π."""
        faces = np.empty(len(self))
        run_over(len(self), _fill_faces, self.covariances, faces)
        return faces


def mixture_of(gaussians: Gaussians, visible: Doubles) -> Mixture:
    """`gaussians` before any merge, in their order."""
    turns = Rotation.from_quat(gaussians.quats, scalar_first=True).as_matrix()
    axes = turns * np.exp(gaussians.log_scales.astype(np.float64))[:, None, :]
    return Mixture(
        means=gaussians.means.astype(np.float64),
        covariances=np.ascontiguousarray((axes @ axes.transpose(0, 2, 1))[:, ROWS, COLUMNS]),
        opacities=np.clip(gaussians.opacities.astype(np.float64), LEAST_OPAQUE, MOST_OPAQUE),
        sh=np.ascontiguousarray(gaussians.sh),
        visible=visible,
        errors=np.zeros(len(gaussians)),
    )


def gaussians_of(mixture: Mixture, kind: type[Gaussians] = Gaussians) -> Gaussians:
    """`mixture` as a model of that kind, in its order."""
    full = np.empty((len(mixture), 3, 3))
    full[:, ROWS, COLUMNS] = full[:, COLUMNS, ROWS] = mixture.covariances
    variances, axes = np.linalg.eigh(full)
    axes[np.linalg.det(axes) < 0, :, 0] *= -1  # a rotation, not a reflection
    odds = mixture.opacities / (1 - mixture.opacities)
    return kind(
        means=mixture.means.astype(np.float32),
        quats=Rotation.from_matrix(axes).as_quat(scalar_first=True).astype(np.float32),
        log_scales=(0.5 * np.log(np.maximum(variances, LEAST_VARIANCE))).astype(np.float32),
        opacity_logits=np.log(odds).astype(np.float32),
        sh=mixture.sh,
    )


def merge_costs(mixture: Mixture, faces: Doubles, neighbours: Indices) -> Doubles:
    """What it would cost to merge each Gaussian with each of its `neighbours` (N, k): (N, k), m².

    It is the squared error in the pictures along the three axes, added up with that of earlier merges: so
    those that were merged often wait until it is the others' turn. Infinite where a pair is told of by its
    other end, or is none.
    """
    colors = np.clip(0.5 + float(SH_0) * mixture.sh[:, 0].astype(np.float64), 0, 1)
    costs = np.empty(neighbours.shape)
    run_over(
        len(mixture),
        _fill_costs,
        neighbours,
        mixture.means,
        mixture.covariances,
        mixture.opacities,
        faces,
        colors,
        mixture.visible,
        mixture.errors,
        costs,
    )
    return costs


def merged(mixture: Mixture, faces: Doubles, pairs: Indices, costs: Doubles) -> Mixture:
    """One Gaussian for each of `pairs` (P, 2), which `merge_costs` told to cost `costs` (P,)."""
    count = len(pairs)
    into = Mixture(
        means=np.empty((count, 3)),
        covariances=np.empty((count, 6)),
        opacities=np.empty(count),
        sh=np.empty((count, *mixture.sh.shape[1:]), np.float32),
        visible=np.empty(count),
        errors=costs,
    )
    run_over(
        count,
        _merge_pairs,
        pairs,
        mixture.means,
        mixture.covariances,
        mixture.opacities,
        faces,
        mixture.sh,
        mixture.visible,
        into.means,
        into.covariances,
        into.opacities,
        into.sh,
        into.visible,
    )
    return into


@inlined
def _root(covariance, shadow):
    """The root of a shadow's determinant, which is its area over π."""
    xx, xy = covariance[SHADOWS[shadow, 0]], covariance[SHADOWS[shadow, 1]]
    yy = covariance[SHADOWS[shadow, 2]]
    return sqrt(max(xx * yy - xy * xy, LEAST_DETERMINANT))


@inlined
def _face(covariance):
    return _root(covariance, 0) + _root(covariance, 1) + _root(covariance, 2)


@inlined
def _overlap(one, other, gap, share, shadow):
    """The integral of the product of two shadows of height one, over 2π.

    Args:
        one, other: their covariances, (6,).
        gap, share: (3,), and what part of it lies between their centres.
    """
    xx = one[SHADOWS[shadow, 0]] + other[SHADOWS[shadow, 0]]
    xy = one[SHADOWS[shadow, 1]] + other[SHADOWS[shadow, 1]]
    yy = one[SHADOWS[shadow, 2]] + other[SHADOWS[shadow, 2]]
    u, v = share * gap[SHADOWS[shadow, 3]], share * gap[SHADOWS[shadow, 4]]
    determinant = max(xx * yy - xy * xy, LEAST_DETERMINANT)
    squared_distance = (yy * u * u - 2 * xy * u * v + xx * v * v) / determinant
    roots = _root(one, shadow) * _root(other, shadow)
    return roots / sqrt(determinant) * exp(-0.5 * squared_distance)


@inlined
def _mix(i, j, means, covariances, opacities, faces, gap, covariance):
    """Fills `gap`, from i's mean to j's, and their mixture's `covariance`.

    Returns:
        i's share of the mixture's mass, and its opacity.
    """
    mass_i, mass_j = opacities[i] * faces[i], opacities[j] * faces[j]
    share = mass_i / (mass_i + mass_j)
    for axis in range(3):
        gap[axis] = means[j, axis] - means[i, axis]
    for k in range(6):
        apart = gap[ROWS[k]] * gap[COLUMNS[k]]
        covariance[k] = (
            share * covariances[i, k] + (1 - share) * covariances[j, k] + share * (1 - share) * apart
        )
    twice = 0.0  # covered by both
    for shadow in range(3):
        twice += _overlap(covariances[i], covariances[j], gap, 1.0, shadow)
    covered = mass_i + mass_j - opacities[i] * opacities[j] * twice
    return share, min(covered / _face(covariance), MOST_OPAQUE)


@inlined
def _is_told_by(other, i, neighbours):
    told = False
    for slot in range(neighbours.shape[1]):
        told = told or neighbours[other, slot] == i
    return told


@kernel(fast=True)
def _fill_faces(first, end, covariances, faces):
    for i in range(first, end):
        faces[i] = _face(covariances[i])


@kernel(fast=True)
def _fill_costs(first, end, neighbours, means, covariances, opacities, faces, colors, visible, errors, costs):
    gap, covariance = np.empty(3), np.empty(6)
    for i in range(first, end):
        for slot in range(neighbours.shape[1]):
            j = neighbours[i, slot]
            if j == i or (j < i and _is_told_by(j, i, neighbours)):
                costs[i, slot] = np.inf
                continue
            share, opacity = _mix(i, j, means, covariances, opacities, faces, gap, covariance)
            seen = share * visible[i] + (1 - share) * visible[j]
            share_of_color = share * visible[i] / seen
            # Products of the three colours, each with a channel of ones, for what is covered.
            ii = jj = ij = im = jm = mm = 1.0
            for channel in range(3):
                a, b = colors[i, channel], colors[j, channel]
                m = share_of_color * a + (1 - share_of_color) * b
                ii += a * a
                jj += b * b
                ij += a * b
                im += a * m
                jm += b * m
                mm += m * m
            of_i, of_j, of_m = opacities[i] * visible[i], opacities[j] * visible[j], opacity * seen
            cost = 0.0
            for shadow in range(3):
                squares = of_i * of_i * ii * _root(covariances[i], shadow)
                squares += of_j * of_j * jj * _root(covariances[j], shadow)
                squares += of_m * of_m * mm * _root(covariance, shadow)
                cost += squares / 4
                cost += of_i * of_j * ij * _overlap(covariances[i], covariances[j], gap, 1.0, shadow)
                cost -= of_i * of_m * im * _overlap(covariances[i], covariance, gap, 1 - share, shadow)
                cost -= of_j * of_m * jm * _overlap(covariances[j], covariance, gap, share, shadow)
            costs[i, slot] = 4 * pi * max(cost, 0.0) + errors[i] + errors[j]


@kernel(fast=True)
def _merge_pairs(
    first,
    end,
    pairs,
    means,
    covariances,
    opacities,
    faces,
    sh,
    visible,
    into_means,
    into_covariances,
    into_opacities,
    into_sh,
    into_visible,
):
    gap = np.empty(3)
    for pair in range(first, end):
        i, j = pairs[pair, 0], pairs[pair, 1]
        share, opacity = _mix(i, j, means, covariances, opacities, faces, gap, into_covariances[pair])
        into_opacities[pair] = opacity
        for axis in range(3):
            into_means[pair, axis] = means[i, axis] + (1 - share) * gap[axis]
        seen = share * visible[i] + (1 - share) * visible[j]
        into_visible[pair] = seen
        share_of_color = np.float32(share * visible[i] / seen)
        for k in range(sh.shape[1]):
            for channel in range(3):
                of_i, of_j = sh[i, k, channel], sh[j, k, channel]
                into_sh[pair, k, channel] = of_j + share_of_color * (of_i - of_j)
