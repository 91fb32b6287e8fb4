"""The training loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from spaceport.quality import Incident
from spaceport_gaussian.distributed import ALONE, Team
from spaceport_gaussian.evaluation.likeness import mean_psnr, psnr
from spaceport_gaussian.finite import CHECKS, require_finite
from spaceport_gaussian.optimisation import Edit, GaussianOptimiser
from spaceport_gaussian.photos import Photo, PhotoPyramid
from spaceport_gaussian.policies.averaging import WeightAverage
from spaceport_gaussian.policies.photo_corrections import PhotoCorrections
from spaceport_gaussian.policies.policy import Situation, SplatEdit
from spaceport_gaussian.policies.pull import PullStatistics
from spaceport_gaussian.policies.stopping import Plateau, StoppedBy, reason_to_stop
from spaceport_gaussian.recipe import Recipe
from spaceport_gaussian.splat import Splat
from spaceport_render.holdout import fixed_subset


@dataclass(frozen=True)
class Step:
    """One iteration, as those who watch see it.

    Attributes:
        iterations: done so far, this one included.
        loss, psnr: scalars still on the device: to read their values is to wait for it. The PSNR, in dB, is
            of this iteration's render against its photo, at this iteration's size.
        tested_psnr: dB, over the fixed subset of training photos at full size, where it was tested now.
        scale: of the photos, 1 = full size.
    """

    iterations: int
    loss: Tensor
    psnr: Tensor
    tested_psnr: float | None
    gaussians: int
    scale: float
    sh_degree: int


class Watcher(Protocol):
    """Told of each iteration; must not change anything."""

    def __call__(self, run: TrainingRun, step: Step) -> None: ...


@dataclass
class TrainingRun:
    """Everything that changes while training: what a checkpoint holds.

    Attributes:
        initial_count: Gaussians at the start.
        extent: of the scene, metres.
        corrections: what was learnt of each photo beside the splat.
        pull: what the images wanted of each Gaussian since the last edit.
        draw: random numbers of the policies.
        order: random numbers of the order of photos.
        waiting: the photos (indices) still to come in this round, last first.
        stopped_by: which rule ended training, once one has. The splat is the average then.
        max_gaussians: the budget; less than the recipe's first where memory ran out.
        caution: the means' rate as a share of the recipe's; less than 1 where values were not finite.
        incidents: what went wrong so far, and was mended.
        average: of the splats since the last edit, where the recipe averages and has begun to.
    """

    splat: Splat
    optimiser: GaussianOptimiser
    corrections: PhotoCorrections
    pull: PullStatistics
    initial_count: int
    extent: float
    draw: torch.Generator
    order: torch.Generator
    max_gaussians: int
    iterations: int = 0
    plateau: Plateau = field(default_factory=Plateau)
    waiting: list[int] = field(default_factory=list)
    stopped_by: StoppedBy | None = None
    caution: float = 1.0
    incidents: list[Incident] = field(default_factory=list)
    average: WeightAverage | None = None

    @classmethod
    def start(cls, splat: Splat, recipe: Recipe, *, photos: int, extent: float, seed: int) -> TrainingRun:
        """A run at its first iteration; `photos`: how many there are to train on."""
        device = splat.means.device
        splat.antialiased = recipe.antialiased
        return cls(
            splat=splat,
            optimiser=GaussianOptimiser(splat, recipe.rates, extent),
            corrections=PhotoCorrections(
                recipe.corrections, photos=photos, batch=recipe.rates.batch, extent=extent, device=device
            ),
            pull=PullStatistics.empty(len(splat), device),
            initial_count=len(splat),
            extent=extent,
            draw=torch.Generator().manual_seed(seed),
            order=torch.Generator().manual_seed(seed),
            max_gaussians=recipe.max_gaussians,
        )

    def next_photo(self, count: int, team: Team = ALONE) -> int:
        """The index of the photo to learn from now: in rounds, each round in a new order.

        Each process of a team gets another photo, and remembers those of all.
        """
        return [self._pop_photo(count) for _ in range(team.size)][team.rank]

    def _pop_photo(self, count: int) -> int:
        if not self.waiting:
            self.waiting = torch.randperm(count, generator=self.order).tolist()
        return self.waiting.pop()

    @property
    def best_splat(self) -> Splat:
        """What the run would deliver now: the average where there is one."""
        return self.splat if self.average is None else self.average.splat

    def apply(self, edit: Edit) -> None:
        """Change the set of Gaussians; what the images want of the new set is yet to be seen."""
        self.optimiser.apply(edit)
        self.pull = PullStatistics.empty(len(self.splat), self.splat.means.device)
        self.average = None

    def is_whole(self) -> bool:
        """Whether each Gaussian has all its values: not so where an edit ended half-way."""
        return {len(tensor) for tensor in (*self.splat.tensors.values(), self.pull.pull)} == {len(self.splat)}

    def state_dict(self) -> dict[str, Any]:
        """Plain values and tensors; `load_state_dict` of a run started alike goes on from them."""
        return {
            "splat": {name: tensor.detach() for name, tensor in self.splat.tensors.items()},
            "bands": self.splat.bands,
            "optimiser": self.optimiser.state_dict(),
            "corrections": self.corrections.state_dict(),
            "pull": self.pull.pull,
            "views": self.pull.views,
            "initial_count": self.initial_count,
            "draw": self.draw.get_state(),
            "order": self.order.get_state(),
            "iterations": self.iterations,
            "best_psnr": self.plateau.best_psnr,
            "best_at": self.plateau.best_at,
            "waiting": self.waiting,
            "stopped_by": None if self.stopped_by is None else self.stopped_by.value,
            "max_gaussians": self.max_gaussians,
            "caution": self.caution,
            "average": None if self.average is None else self.average.splat.tensors,
            "averaged": 0 if self.average is None else self.average.taken,
            "incidents": [incident.model_dump() for incident in self.incidents],
        }

    @classmethod
    def restore(
        cls, state: dict[str, Any], recipe: Recipe, *, extent: float, device: torch.device
    ) -> TrainingRun:
        """The run that `state_dict` described."""
        tensors = {name: tensor.to(device) for name, tensor in state["splat"].items()}
        recipe, photos = recipe.slower(state["caution"]), state["corrections"]["photos"]
        run = cls.start(Splat.of(tensors), recipe, photos=photos, extent=extent, seed=0)
        run.splat.bands = None if state["bands"] is None else state["bands"].to(device)
        run.optimiser.load_state_dict(state["optimiser"])
        run.corrections.load_state_dict(state["corrections"])
        run.pull = PullStatistics(state["pull"].to(device), state["views"].to(device))
        run.initial_count = state["initial_count"]
        run.draw.set_state(state["draw"].cpu())
        run.order.set_state(state["order"].cpu())
        run.iterations = state["iterations"]
        run.plateau = Plateau(state["best_psnr"], state["best_at"])
        run.waiting = list(state["waiting"])
        run.stopped_by = None if state["stopped_by"] is None else StoppedBy(state["stopped_by"])
        run.max_gaussians = min(recipe.max_gaussians, state["max_gaussians"])
        run.caution = state["caution"]
        if state["average"] is not None:
            average = {name: tensor.to(device, copy=True) for name, tensor in state["average"].items()}
            run.average = WeightAverage(replace(run.splat, **average), state["averaged"])
        run.incidents = [Incident(**incident) for incident in state["incidents"]]
        return run


def train(
    run: TrainingRun,
    photos: PhotoPyramid,
    recipe: Recipe,
    *,
    team: Team = ALONE,
    watcher: Watcher,
    stop_requested: Callable[[], bool] = lambda: False,
) -> None:
    """Train `run` on `photos` until a rule of the recipe ends it, or `stop_requested` says so.

    A team of processes takes each step by the photos of all of them, and so do they with every decision.

    In the second case `run.stopped_by` stays None; its state is whole, can be saved, and go on later.

    Raises:
        NotFinite: where the run has come to values that are not finite.
    """
    budget = recipe.stopping.max_iterations
    while run.stopped_by is None and not team.any(stop_requested()):
        if CHECKS.is_due(run.iterations, budget):
            team.align([tensor.detach() for tensor in run.splat.tensors.values()])
            require_finite(run)
        progress = run.iterations / budget
        scale = recipe.resolution.scale_at(run.iterations)
        degree = recipe.harmonics.degree_at(progress)
        index = run.next_photo(len(photos), team)
        shown = photos.at(scale, recipe.blur_at(progress))
        photo = shown[index]

        splat = run.corrections.moved(run.splat, photo, index)
        render = splat.render(photo, degree, opacity_factors=dropout_factors(run, recipe))
        image, target = run.corrections.developed(render.image, index), photo.target
        loss = recipe.loss(image, target, progress)
        (loss + recipe.regularisation.loss(run.splat, render.radii > 0, render.alpha, run.extent)).backward()
        if recipe.densification is not None:
            run.pull.observe(render, photo, team, absolute=recipe.densification.absolute_pull)
        for optimiser in (run.optimiser, run.corrections):
            optimiser.gather(team)
            optimiser.step(progress)
        run.iterations += 1

        let_policies_act(run, recipe, shown, degree, team)
        tested = psnr_if_due(run, photos, recipe, degree, team)
        run.stopped_by = reason_to_stop(recipe.stopping, run.iterations, run.plateau, tested)
        watcher(
            run,
            Step(
                iterations=run.iterations,
                loss=loss.detach(),
                psnr=psnr(image.detach(), target),
                tested_psnr=tested,
                gaussians=len(run.splat),
                scale=scale,
                sh_degree=degree,
            ),
        )
    if run.stopped_by is not None:
        if run.average is not None:
            run.average.put_into(run.splat)
        require_finite(run)


def dropout_factors(run: TrainingRun, recipe: Recipe) -> Tensor | None:
    """(N,) what this iteration multiplies the opacities by, where the recipe drops Gaussians."""
    if recipe.dropout is None:
        return None
    progress = run.iterations / recipe.stopping.max_iterations
    return recipe.dropout.factors(len(run.splat), run.iterations, progress, run.splat.means.device)


def let_policies_act(
    run: TrainingRun, recipe: Recipe, photos: Sequence[Photo], sh_degree: int, team: Team
) -> None:
    """Change the set of Gaussians and their values, where the recipe's policies say that it is time."""
    budget = recipe.stopping.max_iterations
    growth = () if recipe.densification is None else (recipe.densification,)
    for editing in (*growth, *recipe.pruning):
        if editing.is_due(run.iterations, budget):
            told = situation(run, recipe, photos, sh_degree)
            run.apply(edit_of_team(team, editing, told))
    for adjustment in recipe.adjustments:
        if adjustment.is_due(run.iterations, budget):
            adjustment.adjust(situation(run, recipe, photos, sh_degree), run.optimiser)
    if recipe.averaging is not None and recipe.averaging.is_due(run.iterations, budget):
        run.average = recipe.averaging.taking(run.splat, run.average, budget)


def edit_of_team(team: Team, policy: SplatEdit, told: Situation) -> Edit:
    """What `policy` changes: as the first process of the team finds, so that all keep the same Gaussians."""
    if team.size == 1:
        return policy.edit(told)
    edit, draw = team.as_first(
        lambda: (policy.edit(told).to(torch.device("cpu")), told.generator.get_state())
    )
    told.generator.set_state(draw)
    return edit.to(told.splat.means.device)


def situation(run: TrainingRun, recipe: Recipe, photos: Sequence[Photo], sh_degree: int) -> Situation:
    """What a policy is told."""
    return Situation(
        splat=run.splat,
        pull=run.pull,
        photos=photos,
        sh_degree=sh_degree,
        iterations=run.iterations,
        max_iterations=recipe.stopping.max_iterations,
        initial_count=run.initial_count,
        extent=run.extent,
        generator=run.draw,
        support=recipe.support,
    )


def psnr_if_due(
    run: TrainingRun, photos: PhotoPyramid, recipe: Recipe, sh_degree: int, team: Team
) -> float | None:
    """The PSNR over the fixed subset, remembered in the run, where the stopping rules ask for it now."""
    if not recipe.stopping.is_test_due(run.iterations, recipe.shows_all(run.iterations - 1)):
        return None
    tested = team.as_first(lambda: mean_psnr(run.best_splat, fixed_subset(photos.at(1.0)), sh_degree))
    run.plateau = run.plateau.after(run.iterations, tested, recipe.stopping.min_gain)
    return tested
