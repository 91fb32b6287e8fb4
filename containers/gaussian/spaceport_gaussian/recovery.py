"""Training that goes on where its values or its memory give out, and tells what it did about it.

A job that has cost an hour should not end because of three Gaussians, or of a few MiB.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spaceport.errors import UserError
from spaceport.quality import Incident
from spaceport_gaussian.finite import NotFinite, finite_gaussians, is_finite
from spaceport_gaussian.material import Material
from spaceport_gaussian.memory import free_bytes, too_small
from spaceport_gaussian.optimisation import Edit
from spaceport_gaussian.training import TrainingRun, Watcher, train

MAX_INCIDENTS = 8  # a run with more of them is ill, and would only waste the time of its user
# Where more are not finite, what remains is not the scene any more, and its cause has not gone with them.
REMOVED_SHARE = 0.1
SLOWER = 0.5  # the means' rate after going back, as a share of the last
KEPT_SHARE = 0.7  # of the Gaussians when memory is out: they take half of it, the images the rest

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Guard:
    """What recovery needs of the job around it.

    Attributes:
        last_good: the state (`TrainingRun.state_dict`) to go back to: the last checkpoint's, or the first.
        tell: writes an incident to the log.
    """

    last_good: Callable[[], dict[str, Any]]
    tell: Callable[[Incident], None]


def train_guarded(
    run: TrainingRun,
    material: Material,
    guard: Guard,
    *,
    watcher: Watcher,
    stop_requested: Callable[[], bool],
) -> tuple[TrainingRun, Material]:
    """As `train`, but for a run whose values are no longer finite, or that finds no memory.

    Gaussians that are not finite are taken away; where they are too many, or something else is not finite,
    the run goes back to its last good state, and its means move more slowly from there on. Where memory is
    out, the budget is lowered and the least visible Gaussians go.

    Returns:
        The run, which is another object where it went back, and the material, with the recipe of its budget.

    Raises:
        UserError: `training_diverged`, `gpu_too_small` or `machine_too_small`, where none of this has helped.
    """
    while True:
        try:
            train(
                run,
                material.photos,
                material.recipe,
                team=material.team,
                watcher=watcher,
                stop_requested=stop_requested,
            )
        except NotFinite:
            mend: Mend = mend_values
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error) or material.team.size > 1:
                raise  # the other processes wait for this one in the midst of an iteration
            mend = mend_memory
        else:
            return run, material
        # Out here the exception is gone, and with it the frames that hold the iteration's tensors.
        run, material = mend(run, material, guard)


Mend = Callable[[TrainingRun, Material, Guard], tuple[TrainingRun, Material]]


def mend_values(run: TrainingRun, material: Material, guard: Guard) -> tuple[TrainingRun, Material]:
    """The run without what is not finite."""
    noticed_at = run.iterations
    _require_hope(run)
    finite = finite_gaussians(run)
    count, lost = len(finite), int((~finite).sum())
    what = (
        f"{lost} of {count} Gaussians were no longer finite" if lost else "Some values were no longer finite"
    )
    if 0 < lost <= REMOVED_SHARE * count:
        keep_only(run, finite.nonzero().squeeze(1))
        if is_finite(run.state_dict()):
            note(run, guard, Incident(iteration=noticed_at, what=f"{what}.", done="Removed them."))
            return run, material
    back = go_back(run, material, guard, caution=SLOWER * run.caution)
    done = (
        f"Went back to iteration {back.iterations}, with means that move at {back.caution:.3g} of their rate."
    )
    note(back, guard, Incident(iteration=noticed_at, what=f"{what}.", done=done))
    return back, material


def mend_memory(run: TrainingRun, material: Material, guard: Guard) -> tuple[TrainingRun, Material]:
    """The run with fewer Gaussians, and a recipe that makes no more of them."""
    noticed_at, count = run.iterations, len(run.splat)
    budget = round(KEPT_SHARE * min(count, run.max_gaussians))
    if len(run.incidents) >= MAX_INCIDENTS or budget == 0:
        raise too_small(material.device, free_bytes(material.device), count)
    for tensor in run.splat.tensors.values():
        tensor.grad = None  # half of the next iteration's, it may be
    run.corrections.forget_gradients()
    free_memory(material.device)
    if not run.is_whole():  # an edit found no memory half-way
        run = go_back(run, material, guard, caution=run.caution)
    material = material.within(budget)
    run.max_gaussians = budget
    run.initial_count = min(run.initial_count, budget)  # growth is reckoned from it
    if len(run.splat) > budget:
        try:
            keep_only(run, visibility(run).topk(budget).indices.sort().values)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise too_small(material.device, free_bytes(material.device), count) from error
    free_memory(material.device)
    done = f"Lowered the budget to {budget} Gaussians and removed the least visible ones."
    note(
        run,
        guard,
        Incident(iteration=noticed_at, what=f"No memory was left with {count} Gaussians.", done=done),
    )
    return run, material


def go_back(run: TrainingRun, material: Material, guard: Guard, *, caution: float) -> TrainingRun:
    """The last good state, which knows what happened since, and moves its means by `caution`."""
    good = guard.last_good()
    known = {
        "incidents": [incident.model_dump() for incident in run.incidents],
        "max_gaussians": min(good["max_gaussians"], run.max_gaussians),
        "caution": caution,
    }
    recipe, device = material.recipe, material.device
    return TrainingRun.restore({**good, **known}, recipe, extent=material.extent, device=device)


def keep_only(run: TrainingRun, survivors: Tensor) -> None:
    """Take all Gaussians but `survivors` (indices, ascending) away."""
    run.apply(Edit(survivors, {name: tensor[:0].detach() for name, tensor in run.splat.tensors.items()}))


@torch.no_grad()
def visibility(run: TrainingRun) -> Tensor:
    """(N,) how much of a photo each Gaussian can cover: opacity × the area of its largest side, m².

    Significance pruning (LightGaussian, Fan et al. 2023) renders to find out; there is no memory for that.
    """
    largest = run.splat.log_scales.topk(2, dim=1).values.sum(dim=1).exp()
    return run.splat.opacities * largest


def note(run: TrainingRun, guard: Guard, incident: Incident) -> None:
    """Remember `incident` in the run, and tell it."""
    run.incidents = [*run.incidents, incident]
    logger.warning("iteration %d: %s %s", incident.iteration, incident.what, incident.done)
    guard.tell(incident)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that there is no memory: torch and CUDA libraries have several ways to say it."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    told = str(error)
    return "out of memory" in told or "can't allocate memory" in told or "not enough memory" in told


def free_memory(device: torch.device) -> None:
    """Give back what nothing refers to any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _require_hope(run: TrainingRun) -> None:
    if len(run.incidents) >= MAX_INCIDENTS:
        raise UserError(
            "training_diverged",
            "Training came to values that are not finite again and again, "
            f"at last in iteration {run.iterations}.",
            "Try another seed or a smaller max_gaussians. If that does not help, it is a fault of ours: send "
            "us training.log.",
        )
