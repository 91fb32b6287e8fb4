"""Detail goes where SfM matched the photos: what it could not match there, training only learns by heart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor


@dataclass(frozen=True)
class PointSupport:
    """How many of a scene's points must be near a place for its Gaussians to be cut as readily as any.

    An SfM point is detail that several photos agree on. Where there is none, on a canopy in the wind, on
    water, photos contradict each other, and pull harder than anywhere else for it: a budget that goes by pull
    alone is spent there, on needles that no other view confirms. Ours; docs/ablation.md has what it brings.

    Attributes:
        neighbours: points that make a place supported; a stray one does not.
        reach: a place is supported in full where these lie within so many times the distance at which a
            point of the scene usually has as many. Beyond, support falls with the square of the distance:
            as the number of points within a distance on a surface does.
    """

    neighbours: int = 8
    reach: float = 2.0

    def of(self, points: NDArray[np.float32]) -> Support:
        """What `points` (P, 3) support; all of it alike where they are too few to tell."""
        if len(points) <= self.neighbours:
            return Support(None, np.empty(0), np.inf)
        tree = cKDTree(points)
        spacings = tree.query(points, k=[self.neighbours + 1])[0][:, 0]  # the nearest is the point itself
        return Support(tree, spacings, self.reach * float(np.median(spacings)))


@dataclass(frozen=True)
class Support:
    """Which places the points of one scene support.

    Attributes:
        tree: of the points; None: there is no telling.
        spacings: (P,) within this distance of a point, metres, lie enough others.
        radius: metres; up to this spacing a place is supported in full.
    """

    tree: cKDTree | None
    spacings: NDArray[np.float64]
    radius: float

    def at(self, means: Tensor) -> Tensor:
        """(N,) in 0..1 for places (N, 3) in metres, on their device.

        A place's spacing is taken for that of its nearest point, or its distance from it where that is more:
        a third of the time of looking for all neighbours. No point supports a place that is not finite.
        """
        if self.tree is None:
            return torch.ones(len(means), device=means.device)
        places = means.detach().cpu().numpy()
        is_finite = np.isfinite(places).all(axis=1)
        distances, nearest = self.tree.query(np.where(is_finite[:, None], places, 0.0), workers=-1)
        spacing = np.maximum(distances, self.spacings[nearest])
        support = is_finite * np.minimum(1.0, self.radius / np.maximum(spacing, 1e-12)) ** 2
        return torch.from_numpy(support.astype(np.float32)).to(means.device)
