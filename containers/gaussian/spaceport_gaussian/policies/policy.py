"""What a policy may do to a splat between two iterations, and what it is told for that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from spaceport_gaussian.optimisation import Edit, GaussianOptimiser
from spaceport_gaussian.photos import Photo
from spaceport_gaussian.policies.point_support import Support
from spaceport_gaussian.policies.pull import PullStatistics
from spaceport_gaussian.splat import Splat


@dataclass(frozen=True)
class Situation:
    """Where a run stands when a policy is asked to act.

    Attributes:
        pull: what the images wanted of each Gaussian since the last edit.
        photos: the training photos at this iteration's size; never a held-out one.
        sh_degree: in use now.
        iterations: done so far, of `max_iterations`.
        initial_count: Gaussians before the first edit.
        extent: of the scene, metres.
        support: of places by SfM's points; None: all count alike.
        generator: on the CPU, wherever the splat is: so a run drawn on one device goes on on another.
    """

    splat: Splat
    pull: PullStatistics
    photos: Sequence[Photo]
    sh_degree: int
    iterations: int
    max_iterations: int
    initial_count: int
    extent: float
    generator: torch.Generator
    support: Support | None = None

    @property
    def supported_pull(self) -> Tensor:
        """(N,) how hard the images pulled each Gaussian, by how far points support it."""
        pull = self.pull.mean()
        return pull if self.support is None else pull * self.support.at(self.splat.means)

    @property
    def progress(self) -> float:
        """Share of the iterations that are done, 0..1."""
        return self.iterations / self.max_iterations


class SplatEdit(Protocol):
    """A policy that changes the set of Gaussians."""

    def is_due(self, iterations: int, max_iterations: int) -> bool:
        """Whether to edit after this many iterations."""
        ...

    def edit(self, situation: Situation) -> Edit:
        """What to change."""
        ...


class Densification(SplatEdit, Protocol):
    """The policy that lets the set of Gaussians grow."""

    # Whether the pull is that of each pixel by itself, or what is left when they cancel each other.
    absolute_pull: ClassVar[bool]


class Adjustment(Protocol):
    """A policy that changes the Gaussians' values, but not which there are."""

    def is_due(self, iterations: int, max_iterations: int) -> bool:
        """Whether to adjust after this many iterations."""
        ...

    def adjust(self, situation: Situation, optimiser: GaussianOptimiser) -> None:
        """Change values of the splat in place."""
        ...
