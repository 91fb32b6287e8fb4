"""The very same Gaussian several times, as careless merging of models leaves them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from spaceport_compressor.sog.write import LARGEST_LOG_SCALE
from spaceport_render.gaussians import Floats, Gaussians

# The sigmoid of a larger logit is 1 in float32.
LARGEST_LOGIT = 16.0


@dataclass(frozen=True)
class Merged:
    """What `merge_duplicates` did.

    Attributes:
        gaussians: as many as before; the first of each set of duplicates covers for all of them.
        spare: (N,) bool, the others, which can go.
    """

    gaussians: Gaussians
    spare: NDArray[np.bool_]


def merge_duplicates(gaussians: Gaussians) -> Merged:
    """Let one of several equal Gaussians look as all of them do.

    n of opacity a, one behind the other, hide 1 - (1 - a·g)ⁿ where each has fallen to g of its peak: no
    Gaussian, but nearly one that is broader. The merged one has that peak and that mass (the integral over
    the footprint), Σ 1/j · (1 - (1 - a)ʲ) for j = 1…n. For two, alpha is off by 0.13 at most; by raising the
    opacity alone it would be by 0.25.
    """
    counts = _copies(gaussians)
    spare = counts == 0
    several = np.flatnonzero(counts > 1)
    if not several.size:
        return Merged(gaussians, spare)
    through = 1 - gaussians.opacities[several].astype(np.float64)
    times = counts[several]
    peak = 1 - through**times
    mass = np.zeros(len(several))
    for j in range(1, int(times.max()) + 1):
        mass += np.where(j <= times, (1 - through**j) / j, 0)
    logits, log_scales = gaussians.opacity_logits.copy(), gaussians.log_scales.copy()
    with np.errstate(divide="ignore"):
        logits[several] = np.minimum(np.log(peak) - np.log(1 - peak), LARGEST_LOGIT)
    broader = log_scales[several] + (0.5 * np.log(mass / peak))[:, None]
    # Where they were as large as a file can hold, so is the one.
    log_scales[several] = np.minimum(broader, LARGEST_LOG_SCALE)
    return Merged(replace(gaussians, opacity_logits=logits, log_scales=log_scales), spare)


def _copies(gaussians: Gaussians) -> NDArray[np.int64]:
    """How many Gaussians are equal to each, itself included; 0 for all of a set but its first. (N,)."""
    copies = np.ones(len(gaussians), dtype=np.int64)
    together = _sharing_a_place(gaussians.means)
    if not together.size:
        return copies
    rows = [getattr(gaussians, field.name)[together] for field in fields(gaussians)]
    table = np.concatenate([row.reshape(len(together), -1) for row in rows], axis=1)
    _, first, counts = np.unique(table, axis=0, return_index=True, return_counts=True)
    copies[together] = 0
    copies[together[first]] = counts
    return copies


def _sharing_a_place(means: Floats) -> NDArray[np.intp]:
    """Who has a centre exactly where another has one, and few others: places are told apart by a hash."""
    keys = np.zeros(len(means), dtype=np.uint64)
    for axis in range(3):
        bits = np.ascontiguousarray(means[:, axis]).view(np.uint32)
        keys = (keys ^ bits) * np.uint64(0x9E3779B97F4A7C15)  # Knuth's multiplier; wraps around
        keys ^= keys >> np.uint64(32)
    _, places, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return np.flatnonzero(counts[places] > 1)
