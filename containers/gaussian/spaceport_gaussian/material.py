"""What a run learns from and is measured by."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import torch

from spaceport.tuning import Tuning
from spaceport_gaussian.distributed import ALONE, Team
from spaceport_gaussian.initialisation import scene_extent
from spaceport_gaussian.memory import affordable_gaussians
from spaceport_gaussian.photos import PhotoPyramid
from spaceport_gaussian.recipe import Recipe, gaussian_budget, recipe_for, settled
from spaceport_gaussian.trainability import check_trainable
from spaceport_render import holdout
from spaceport_render.scene import Scene, View


@dataclass(frozen=True)
class Material:
    """What a run learns from and is measured by; nothing in it changes."""

    scene: Scene
    training_views: tuple[View, ...]
    photos: PhotoPyramid
    held: PhotoPyramid
    extent: float
    recipe: Recipe
    tuning: Tuning
    device: torch.device
    team: Team = ALONE

    def within(self, max_gaussians: int) -> Material:
        """The same, with the recipe of a budget of at most `max_gaussians`."""
        if max_gaussians >= self.recipe.max_gaussians:
            return self
        recipe = recipe_for(self.tuning, max_gaussians, self.team.size)
        return replace(self, recipe=recipe.fitted_to(self.training_views, self.scene.points))


def prepare(
    scene: Scene,
    tuning: Tuning,
    device: torch.device,
    held_names: Collection[str] | None = None,
    team: Team = ALONE,
) -> Material:
    """Split off the held-out photos and choose the recipe.

    Args:
        held_names: of the photos to hold out, for measurements with a split of their own; None: as the
            tuning says.
        team: the processes that train together.

    Raises:
        UserError: as `check_trainable` and `affordable_gaussians` do.
    """
    if held_names is None:
        _, held_names = holdout.split([view.camera.name for view in scene.views], tuning.holdout)
    training_views = tuple(view for view in scene.views if view.camera.name not in held_names)
    held_views = tuple(view for view in scene.views if view.camera.name in held_names)
    check_trainable(scene, training_views)
    tuning = settled(tuning, scene)
    wanted = gaussian_budget(tuning, len(scene.points))
    max_gaussians = team.as_first(lambda: affordable_gaussians(wanted, scene.views, device))
    return Material(
        scene=scene,
        training_views=training_views,
        photos=PhotoPyramid(training_views, device),
        held=PhotoPyramid(held_views, device),
        extent=scene_extent([view.camera for view in training_views], scene.points),
        recipe=recipe_for(tuning, max_gaussians, team.size).fitted_to(training_views, scene.points),
        tuning=tuning,
        device=device,
        team=team,
    )
