"""Gaussians that no renderer can draw and no file can carry: a single one spoils the scales of all."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from spaceport.errors import UserError
from spaceport_compressor.sog.write import LARGEST_LOG_SCALE
from spaceport_render.gaussians import Gaussians
from spaceport_render.projection import SHORTEST_QUATERNION

# A few are numerical accidents; where most of a model is broken, the rest is no model either.
MOST_BROKEN = 0.5
# Farther from the middle than this many times the distance of the middle half: no survey, no sky dome is.
ASTRAY = 1000.0
# Of a harmonic's coefficient: pictures show colours of 0 to 1, and trained models have tens. One Gaussian of
# 600 with 1e20 took the decoded pictures from 38.8 to 31.7 dB; with 1e30 the palette's clustering overflows.
MOST_VIVID = 1e4
# Exactly 1, exactly 0 and exactly flat are numbers, but their logits and logarithms are infinite: so other
# programs write them. In float32 the sigmoid of ±30 is as good, and e⁻³⁰ is flatter than any wall is.
UTMOST_LOGIT = 30.0
LEAST_LOG_SCALE = -30.0


def with_finite_logarithms(gaussians: Gaussians) -> Gaussians:
    """`gaussians` with infinite logits, and logarithms of size 0, as large as they need be; NaN stays."""
    return replace(
        gaussians,
        opacity_logits=gaussians.opacity_logits.clip(-UTMOST_LOGIT, UTMOST_LOGIT),
        log_scales=gaussians.log_scales.clip(min=LEAST_LOG_SCALE),
    )


def without_broken(gaussians: Gaussians, model: str) -> Gaussians:
    """The Gaussians that can be drawn; those that can't are left out.

    Args:
        model: its name, for messages.

    Raises:
        UserError: `broken_model`, where more are broken than a mishap explains.
    """
    mended = with_finite_logarithms(gaussians)
    wrong = broken(mended)
    if len(wrong) and wrong.mean() > MOST_BROKEN:
        raise UserError(
            "broken_model",
            f"{model} can't be delivered: {wrong.sum():,} of its {len(wrong):,} Gaussians have numbers that "
            "are not finite, or sizes, rotations, colours or places that can't be.",
            "Train again, with another seed; or export the model again, if another program wrote it.",
        )
    return mended.select(~wrong) if wrong.any() else mended


def broken(gaussians: Gaussians) -> NDArray[np.bool_]:
    """Which Gaussians (N,) have numbers that are not finite, a size that overflows, a rotation of length
    zero, or a colour or a place out of this world.
    """
    wrong = np.zeros(len(gaussians), dtype=bool)
    for field in fields(gaussians):
        values = getattr(gaussians, field.name)
        # A sum of float64 is finite where all its float32 are.
        wrong |= ~np.isfinite(values.sum(axis=tuple(range(1, values.ndim)), dtype=np.float64))
    with np.errstate(invalid="ignore", over="ignore"):
        wrong |= (gaussians.log_scales > LARGEST_LOG_SCALE).any(axis=1)
        for extreme in (gaussians.sh.max(axis=(1, 2)), gaussians.sh.min(axis=(1, 2))):
            wrong |= np.abs(extreme) > MOST_VIVID
        wrong |= ~(np.linalg.norm(gaussians.quats, axis=1) > SHORTEST_QUATERNION)
    return wrong | _astray(gaussians, ~wrong)


def _astray(gaussians: Gaussians, sound: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if not sound.any():
        return np.zeros(len(gaussians), dtype=bool)
    middle = np.median(gaussians.means[sound], axis=0)
    with np.errstate(invalid="ignore", over="ignore"):
        away = np.linalg.norm(gaussians.means.astype(np.float64) - middle, axis=1)
    usual = float(np.median(away[sound]))
    # Where half of them are in one place, none tells how large the model is.
    return sound & (away > ASTRAY * (usual or np.inf))
