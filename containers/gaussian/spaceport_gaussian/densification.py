"""Where Gaussians are added and which are taken away. Pure torch: the same on CPU and CUDA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from spaceport_gaussian.optimisation import Edit
from spaceport_gaussian.photos import Photo
from spaceport_gaussian.splat import Splat
from spaceport_render.rasterize import Rasterization


@dataclass
class GradientStatistics:
    """How much each Gaussian is pulled about in the images, since the last edit.

    A strong pull of its centre means that one Gaussian stands where several are needed (Kerbl et al.
    2023, section 5.2).

    Attributes:
        pull: (N,) sum of the gradients' norms.
        views: (N,) the number of photos that showed the Gaussian.
    """

    pull: Tensor
    views: Tensor

    @classmethod
    def empty(cls, count: int, device: torch.device) -> GradientStatistics:
        return cls(torch.zeros(count, device=device), torch.zeros(count, device=device))

    def observe(self, rasterization: Rasterization, photo: Photo, *, absolute: bool) -> None:
        """Add what the backward pass through `rasterization` found.

        The gradient is taken by a shift of half the image, not of a pixel: thus it means the same at
        every size of the photos.

        Args:
            absolute: take each pixel's share absolutely (AbsGS, Ye et al. 2024).
        """
        gradients = rasterization.mean_gradients()
        across, down = (gradients.absolute if absolute else gradients.signed).unbind(dim=-1)
        self.pull += torch.hypot(across * (photo.camera.width / 2), down * (photo.camera.height / 2))
        self.views += (rasterization.radii > 0).float()

    def mean_pull(self) -> Tensor:
        """(N,) the mean over the photos that showed the Gaussian; 0 for those never seen."""
        return self.pull / self.views.clamp(min=1.0)


class Densification(Protocol):
    """A policy that changes the set of Gaussians while training goes on."""

    # Whether the pull is that of each pixel by itself, or what is left when they cancel each other.
    absolute_pull: ClassVar[bool]

    @property
    def max_gaussians(self) -> int:
        """There are never more than these."""
        ...

    def is_due(self, iterations_done: int, max_iterations: int) -> bool:
        """Whether to edit after this many iterations."""
        ...

    def opacity_ceiling(self, iterations_done: int, max_iterations: int) -> float | None:
        """What all opacities are to be lowered to after this many iterations; None: they stay."""
        ...

    def edit(
        self,
        splat: Splat,
        statistics: GradientStatistics,
        *,
        progress: float,
        initial_count: int,
        extent: float,
        generator: torch.Generator,
    ) -> Edit:
        """What to change.

        Args:
            progress: share of the budget that is spent, 0..1.
            initial_count: Gaussians before the first edit.
            extent: of the scene, metres.
            generator: on the CPU, wherever the splat is: so a run drawn on one device goes on on another.
        """
        ...


@dataclass(frozen=True)
class NoDensification:
    """The first Gaussians are all there ever are; for ablations."""

    absolute_pull: ClassVar[bool] = True
    max_gaussians: int

    def is_due(self, iterations_done: int, max_iterations: int) -> bool:
        return False

    def opacity_ceiling(self, iterations_done: int, max_iterations: int) -> None:
        return None

    def edit(self, splat: Splat, statistics: GradientStatistics, **_: object) -> Edit:
        raise AssertionError("never due")


@dataclass(frozen=True)
class BudgetedDensification:
    """Grows the count along a straight line to a budget, where the images pull hardest.

    The budget and the draw by score are from Taming 3DGS (Mallick et al., SIGGRAPH Asia 2024), the
    split along the longest axis from Deng et al. 2025 (Improving Densification in 3D Gaussian
    Splatting), with sizes of our own: the two halves keep the parent's mean, covariance and mass.

    Attributes:
        max_gaussians: the budget, reached at `stop`.
        start, stop: shares of the iterations between which the count grows.
        every: share of the iterations between two edits, but at least `min_every` iterations, so that
            the statistics have seen some photos.
        min_opacity: Gaussians fainter than this are taken away (3DGS).
        max_scale: those larger than this share of the scene's extent too (3DGS).
    """

    absolute_pull: ClassVar[bool] = True  # a large Gaussian is pulled to all sides
    max_gaussians: int
    start: float = 0.05
    stop: float = 0.75
    every: float = 1 / 30
    min_every: int = 10
    min_opacity: float = 0.005
    max_scale: float = 0.1

    def is_due(self, iterations_done: int, max_iterations: int) -> bool:
        return _is_due(self, iterations_done, max_iterations)

    def opacity_ceiling(self, iterations_done: int, max_iterations: int) -> None:
        return None

    def target_count(self, progress: float, initial_count: int) -> int:
        """How many Gaussians there are to be when the share `progress` of the budget is spent."""
        grown = min(1.0, max(0.0, (progress - self.start) / (self.stop - self.start)))
        return round(initial_count + (self.max_gaussians - initial_count) * grown)

    @torch.no_grad()
    def edit(
        self,
        splat: Splat,
        statistics: GradientStatistics,
        *,
        progress: float,
        initial_count: int,
        extent: float,
        generator: torch.Generator,
    ) -> Edit:
        alive = _alive(splat, self.min_opacity, self.max_scale * extent)
        score = statistics.mean_pull() * alive
        room = self.target_count(progress, initial_count) - int(alive.sum())
        parents = draw_by_score(score, room, generator)
        return Edit(_without(alive, parents), halves(splat, parents))


@dataclass(frozen=True)
class AdaptiveDensityControl:
    """The plain 3DGS recipe (Kerbl et al. 2023, section 5.2): clone the small, split the large.

    The shares are those of 3DGS's 30,000 iterations: every 100 from 500 to 15,000, opacities reset
    every 3,000.

    Attributes:
        max_gaussians: a guard of memory, not a target: the count stops growing there.
        min_pull: the mean pull from which on a Gaussian is cloned or split.
        small: share of the scene's extent up to which a Gaussian is cloned rather than split.
        reset_every: share of the iterations between two resets of the opacities.
        reset_opacity: what they are lowered to.
    """

    absolute_pull: ClassVar[bool] = (
        False  # what `min_pull` was chosen for: absolute ones pass it ever so often
    )
    max_gaussians: int
    start: float = 1 / 60
    stop: float = 0.5
    every: float = 1 / 300
    min_every: int = 10
    min_pull: float = 2e-4
    small: float = 0.01
    min_opacity: float = 0.005
    max_scale: float = 0.1
    reset_every: float = 0.1
    reset_opacity: float = 0.01

    def is_due(self, iterations_done: int, max_iterations: int) -> bool:
        return _is_due(self, iterations_done, max_iterations)

    def opacity_ceiling(self, iterations_done: int, max_iterations: int) -> float | None:
        interval = max(self.min_every, round(self.reset_every * max_iterations))
        # Not at the stop itself: what fades then would not be taken away any more.
        is_due = iterations_done % interval == 0 and iterations_done < self.stop * max_iterations
        return self.reset_opacity if is_due else None

    @torch.no_grad()
    def edit(
        self,
        splat: Splat,
        statistics: GradientStatistics,
        *,
        progress: float,
        initial_count: int,
        extent: float,
        generator: torch.Generator,
    ) -> Edit:
        # Large ones are left alone until the first reset, as in 3DGS: at first they are all there is.
        largest = self.max_scale * extent if progress > self.reset_every else float("inf")
        alive = _alive(splat, self.min_opacity, largest)
        score = statistics.mean_pull() * alive
        score = torch.where(score >= self.min_pull, score, torch.zeros_like(score))
        grown = draw_by_score(score, self.max_gaussians - int(alive.sum()), generator)
        is_small = splat.scales[grown].amax(dim=1) <= self.small * extent
        clones = {name: tensor[grown[is_small]] for name, tensor in splat.tensors.items()}
        split = grown[~is_small]
        children = _samples(splat, split, generator)
        born = {name: torch.cat([clones[name], children[name]]) for name in clones}
        return Edit(_without(alive, split), born)


def draw_by_score(score: Tensor, room: int, generator: torch.Generator) -> Tensor:
    """Up to `room` different indices drawn with odds by `score`, ascending; none with a score of 0.

    A race: each takes an exponential time at the rate of its score, the first ones in are drawn (Efraimidis
    and Spirakis 2006). `torch.multinomial` does the same, but refuses more than 2²⁴ candidates.
    """
    count = min(room, int((score > 0).sum()))
    if count <= 0:
        return torch.empty(0, dtype=torch.long, device=score.device)
    time = torch.empty(score.shape).exponential_(generator=generator).clamp_(min=1e-30)
    return (score / time.to(score.device)).topk(count).indices.sort().values


def halves(splat: Splat, parents: Tensor) -> dict[str, Tensor]:
    """Each of `parents` (P,) cut across its longest axis: the parameters of 2 P Gaussians.

    A Gaussian of deviation σ/2 at ±(√3/2) σ has, with its twin, the parent's variance: σ²/4 + 3σ²/4.
    """
    chosen = {name: tensor[parents] for name, tensor in splat.tensors.items()}
    longest = chosen["log_scales"].argmax(dim=1, keepdim=True)
    sigma = chosen["log_scales"].gather(1, longest).exp()
    axis = rotation_matrices(chosen["quats"]).gather(2, longest[:, None].expand(-1, 3, 1)).squeeze(2)
    offset = axis * sigma * 0.75**0.5
    halved = chosen["log_scales"].scatter_add(1, longest, torch.full_like(sigma, 0.5).log())
    born = {name: torch.cat([tensor, tensor]) for name, tensor in chosen.items()}
    born["means"] = torch.cat([chosen["means"] + offset, chosen["means"] - offset])
    born["log_scales"] = torch.cat([halved, halved])
    return born


def rotation_matrices(quats: Tensor) -> Tensor:
    """(N, 3, 3) from (N, 4) w x y z of any length; the columns are the Gaussians' own axes."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(rows, dim=-1).reshape(-1, 3, 3)


def _samples(splat: Splat, parents: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
    """Two smaller Gaussians drawn from each parent, as 3DGS splits."""
    born = {name: torch.cat([tensor[parents]] * 2) for name, tensor in splat.tensors.items()}
    noise = torch.randn(born["means"].shape, generator=generator).to(parents.device)
    local = (noise * born["log_scales"].exp())[..., None]
    born["means"] = born["means"] + (rotation_matrices(born["quats"]) @ local).squeeze(-1)
    born["log_scales"] = born["log_scales"] - torch.tensor(1.6).log().item()  # 3DGS: φ = 1.6
    return born


def _alive(splat: Splat, min_opacity: float, max_scale: float) -> Tensor:
    return (splat.opacities >= min_opacity) & (splat.scales.amax(dim=1) <= max_scale)


def _without(alive: Tensor, parents: Tensor) -> Tensor:
    staying = alive.clone()
    staying[parents] = False
    return staying.nonzero().squeeze(1)


def _is_due(
    policy: BudgetedDensification | AdaptiveDensityControl, iterations_done: int, max_iterations: int
) -> bool:
    interval = max(policy.min_every, round(policy.every * max_iterations))
    within = policy.start * max_iterations <= iterations_done <= policy.stop * max_iterations
    return within and iterations_done % interval == 0
