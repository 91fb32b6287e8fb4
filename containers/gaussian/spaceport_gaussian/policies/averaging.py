"""Which of the many splats of a run's end is delivered: their average."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from spaceport_gaussian.policies.cadence import Cadence
from spaceport_gaussian.splat import Splat

# From the moment on when densification stops. One in a few iterations will do, as those in a row are much
# alike (Izmailov et al. take one an epoch): every fifth of `balanced`'s 6,000.
CADENCE = Cadence(start=0.75, stop=1.0, every=1 / 1200)


@dataclass(frozen=True)
class WeightAverage:
    """What has been averaged so far.

    Attributes:
        splat: the average; no gradients.
        taken: how many splats it is of.
    """

    splat: Splat
    taken: int

    @torch.no_grad()
    def put_into(self, splat: Splat) -> None:
        """Give `splat` the averaged values, in place."""
        for name, averaged in self.splat.tensors.items():
            splat.tensors[name].copy_(averaged)


@dataclass(frozen=True)
class WeightAveraging:
    """Averages the splat over the last part of a run, which cancels what single photos did to it last.

    Stochastic weight averaging (Izmailov et al., UAI 2018): steps of a constant size end on the rim of a good
    region, their average in its middle, where what was not trained on is fitted better. All rates but the
    means' are constant here, too. The mean is plain until it holds a window's worth of splats and exponential
    from there on, for the splat still learns: so it is sane whenever a run ends, and what is stale fades.
    The optimiser never sees it.

    Attributes:
        cadence: when a splat is taken into the average. An edit of the set of Gaussians begins it anew.
        window: share of the iterations that the average looks back over. In a twentieth of `balanced`'s each
            of 60 photos has had its say five times.
    """

    cadence: Cadence = CADENCE
    window: float = 0.05

    def is_due(self, iterations: int, max_iterations: int) -> bool:
        return self.cadence.is_due(iterations, max_iterations)

    def weight(self, taken: int, max_iterations: int) -> float:
        """What share of the average the next splat gets, where `taken` are in it."""
        in_window = max(1.0, self.window * max_iterations / self.cadence.interval(max_iterations))
        return 1.0 / min(taken + 1.0, in_window)

    @torch.no_grad()
    def taking(self, splat: Splat, average: WeightAverage | None, max_iterations: int) -> WeightAverage:
        """The average with `splat` in it; the tensors of `average` are used up."""
        latest = {name: tensor.detach() for name, tensor in splat.tensors.items()}
        # q, -q and 2 q are one rotation, but not one average.
        latest["quats"] = torch.nn.functional.normalize(latest["quats"], dim=-1)
        # Bands that were taken away since would come back with what is averaged.
        if average is None or average.splat.bands is not splat.bands:
            return WeightAverage(replace(splat, **{name: each.clone() for name, each in latest.items()}), 1)
        averaged = average.splat.tensors
        is_alike = (latest["quats"] * averaged["quats"]).sum(dim=-1, keepdim=True) >= 0
        latest["quats"] = torch.where(is_alike, latest["quats"], -latest["quats"])
        weight = self.weight(average.taken, max_iterations)
        torch._foreach_lerp_(list(averaged.values()), list(latest.values()), weight)
        return WeightAverage(average.splat, average.taken + 1)
