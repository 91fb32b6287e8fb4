"""Densification where several photos agree that it is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spaceport_gaussian.contributions import blend
from spaceport_gaussian.optimisation import Edit
from spaceport_gaussian.photos import Photo
from spaceport_gaussian.policies.births import draw_by_score, halves, staying
from spaceport_gaussian.policies.budget import EDITS, target_count
from spaceport_gaussian.policies.cadence import Cadence
from spaceport_gaussian.policies.policy import Situation
from spaceport_gaussian.splat import Splat


@dataclass(frozen=True)
class Votes:
    """What a sample of the photos says of each Gaussian: (N,) numbers of photos.

    Attributes:
        shown: its footprint touches them.
        wrong: it paints more than its even share of the pixels that are wrong there.
        needless: its footprint touches them, but it paints next to nothing.
    """

    shown: Tensor
    wrong: Tensor
    needless: Tensor


@dataclass(frozen=True)
class ConsistentDensification:
    """Grows like `BudgetedDensification`, but only what is wrong in several photos at once.

    FastGS (Ren et al. 2025): what is wrong in one photo alone is that photo's noise, or what moved in it, and
    more Gaussians there only learn it by heart. As in the paper some training photos are drawn, pixels of a
    high error are marked, and each Gaussian is told how many of them it paints. Different from the paper: its
    counts are of pixels in the footprint, these are of blend weights (what lies hidden is not to blame); its
    thresholds are absolute, these are shares of what is usual in the photo, the same for every size of it;
    its score is a mean over photos, here each photo has a vote; it has no budget. The paper takes away what
    is at fault in all photos; here goes what has nothing to say in any that shows it.

    Attributes:
        max_gaussians: the budget, reached at `cadence.stop`.
        cadence: of the edits.
        photos: drawn for each edit (the paper's 10); each costs about an iteration and a half.
        agreeing: votes by which a Gaussian may be cut, or must go.
        high_error: a pixel is wrong where its error is so many times the photo's mean.
        needless_weight: painting less than this share of the mean Gaussian is next to nothing.
        min_opacity: as of `BudgetedDensification`.
    """

    absolute_pull: ClassVar[bool] = True  # a large Gaussian is pulled to all sides
    max_gaussians: int
    cadence: Cadence = EDITS
    photos: int = 10
    agreeing: int = 2
    high_error: float = 1.5
    needless_weight: float = 0.01
    min_opacity: float = 0.005

    def is_due(self, iterations: int, max_iterations: int) -> bool:
        return self.cadence.is_due(iterations, max_iterations)

    @torch.no_grad()
    def edit(self, situation: Situation) -> Edit:
        splat = situation.splat
        votes = self.votes(splat, self._sample(situation), situation.sh_degree)
        is_needless = (votes.shown >= self.agreeing) & (votes.needless == votes.shown)
        living = (splat.opacities >= self.min_opacity) & ~is_needless
        score = situation.supported_pull * living * (votes.wrong >= self.agreeing)
        room = target_count(self.max_gaussians, self.cadence, situation) - int(living.sum())
        parents = draw_by_score(score, room, situation.generator)
        return Edit(staying(living, parents), halves(splat, parents))

    def _sample(self, situation: Situation) -> list[Photo]:
        order = torch.randperm(len(situation.photos), generator=situation.generator)
        return [situation.photos[index] for index in order[: self.photos].tolist()]

    def votes(self, splat: Splat, photos: Sequence[Photo], sh_degree: int) -> Votes:
        """What `photos` say, rendered with SH bands up to `sh_degree`."""
        shown, wrong, needless = torch.zeros(3, len(splat), device=splat.means.device)
        for photo in photos:
            error = (splat.render(photo, sh_degree).image - photo.target).abs().mean(dim=2)
            is_wrong = (error > self.high_error * error.mean()).float()
            everywhere = torch.ones_like(error)
            seen = blend(splat, photo, torch.stack([everywhere, is_wrong, everywhere], dim=2))
            painted, at_fault, _ = seen.weights.unbind(dim=1)
            drawn = seen.is_drawn.sum().clamp(min=1)
            shown += seen.is_drawn
            wrong += at_fault > at_fault.sum() / drawn
            needless += seen.is_drawn & (painted < self.needless_weight * painted.sum() / drawn)
        return Votes(shown, wrong, needless)
