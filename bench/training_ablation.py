"""What does each part of the training recipe bring, and what does it cost?

    python bench/training_ablation.py DENSE_DIR [--preset preview] [--first 4] [--iterations N]
                                      [--pictures DIR] [--only NAME]

DENSE_DIR holds `images/` and `sparse/` as the SfM stage leaves them (`colmap/dense/`). Every 8th photo from
index `--first` on is held out; the default is the split of `holdout=8`, others are for choosing settings
without looking at it. Each variant differs from the recipe in one thing, or two where it says so. Prints one
line a variant: Gaussians at first and last, wall and CPU seconds of seeding and training, and for both the
held-out and the fixed training photos PSNR (dB) / SSIM / detail; look at the pictures too. On a machine that
does other work, compare CPU seconds.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from machine import machine
from PIL import Image

from spaceport.tuning import Tuning, parse_request, resolve
from spaceport_gaussian.evaluation import Quality, evaluate
from spaceport_gaussian.initialisation import scene_extent
from spaceport_gaussian.job import start
from spaceport_gaussian.material import Material
from spaceport_gaussian.photos import Photo, PhotoPyramid
from spaceport_gaussian.policies.adaptive_density_control import AdaptiveDensityControl
from spaceport_gaussian.policies.cadence import Cadence
from spaceport_gaussian.policies.regularisation import Regularisation
from spaceport_gaussian.policies.resolution import constant_resolution
from spaceport_gaussian.recipe import DENSE_SHARE, Recipe, gaussian_budget, plain_recipe, recipe_for
from spaceport_gaussian.splat import Splat
from spaceport_gaussian.training import train
from spaceport_render.holdout import fixed_subset
from spaceport_render.scene import Scene, read_scene

HOLD_EVERY = 8
Variant = Callable[[Recipe, Tuning], Recipe]


def with_budget(share: float) -> Variant:
    def change(recipe: Recipe, tuning: Tuning) -> Recipe:
        budget = round(share * recipe.max_gaussians)
        return dataclasses.replace(
            recipe, densification=dataclasses.replace(recipe.densification, max_gaussians=budget)
        )

    return change


def with_gradient_threshold(recipe: Recipe, tuning: Tuning) -> Recipe:
    """Kerbl's clone and split in the place of the ramp, edited as often."""
    control = AdaptiveDensityControl(tuning.max_gaussians, Cadence(start=0.05, stop=0.75, every=1 / 30))
    return dataclasses.replace(recipe, densification=control)


def at_full_size(recipe: Recipe, _: Tuning) -> Recipe:
    return dataclasses.replace(recipe, resolution=constant_resolution())


def without_densification(recipe: Recipe, tuning: Tuning) -> Recipe:
    return dataclasses.replace(recipe, densification=None)


def with_iterations(share: float) -> Variant:
    def change(recipe: Recipe, tuning: Tuning) -> Recipe:
        longer = tuning.model_copy(update={"max_iterations": round(share * tuning.max_iterations)})
        return recipe_for(longer, recipe.max_gaussians)

    return change


VARIANTS: dict[str, Variant] = {
    "the recipe": lambda recipe, _: recipe,
    "full size always": at_full_size,
    "no densification": without_densification,
    "neither": lambda recipe, tuning: at_full_size(without_densification(recipe, tuning), tuning),
    "clone and split": with_gradient_threshold,
    "1.6 x iterations": with_iterations(1.6),  # as much CPU time as full size always
    "full, 0.6 x iter.": lambda recipe, tuning: at_full_size(with_iterations(0.63)(recipe, tuning), tuning),
    "1.6 x the budget": with_budget(1.6),
    "no seeds": lambda recipe, _: dataclasses.replace(recipe, seeding=None),
    # Need the file that SfM writes with dense_seeds=true.
    "dense seeds": lambda recipe, _: dataclasses.replace(recipe, dense_share=DENSE_SHARE),
    "dense, no gaps": lambda recipe, _: dataclasses.replace(recipe, dense_share=DENSE_SHARE, seeding=None),
    "no surround": lambda recipe, _: dataclasses.replace(recipe, surround=None),
    "no regularisation": lambda recipe, _: dataclasses.replace(recipe, regularisation=Regularisation()),
    "plain 3DGS": lambda _, tuning: plain_recipe(tuning, tuning.max_gaussians),
}


def material_of(scene: Scene, tuning: Tuning, recipe: Recipe, first: int, device: torch.device) -> Material:
    held = scene.views[first::HOLD_EVERY]
    training = tuple(view for i, view in enumerate(scene.views) if i % HOLD_EVERY != first)
    return Material(
        scene=scene,
        training_views=training,
        photos=PhotoPyramid(training, device),
        held=PhotoPyramid(held, device),
        extent=scene_extent([view.camera for view in training], scene.points),
        recipe=recipe,
        tuning=tuning,
        device=device,
    )


def told(quality: Quality) -> str:
    return f"{quality.psnr:5.2f} / {quality.ssim:.3f} / {quality.detail:.2f}"


def save_pictures(splat: Splat, photos: tuple[Photo, ...], file: Path) -> None:
    """The held-out renders, each left of its photo."""
    with torch.no_grad():
        pairs = [torch.cat([splat.render(photo).image.clamp(0, 1), photo.target], 1) for photo in photos]
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.round(torch.cat(pairs).cpu().numpy() * 255).astype(np.uint8)).save(file)


def run_variant(
    name: str, *, scene: Scene, tuning: Tuning, first: int, device: torch.device, pictures: Path | None
) -> None:
    recipe = VARIANTS[name](recipe_for(tuning, gaussian_budget(tuning, len(scene.points))), tuning)
    material = material_of(scene, tuning, recipe, first, device)
    began, cpu_began = time.perf_counter(), time.process_time()
    run = start(material)
    first_count = len(run.splat)
    train(run, material.photos, recipe, watcher=lambda *_: None)
    if device.type == "cuda":
        torch.cuda.synchronize()
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    held = evaluate(run.splat, material.held.at(1.0))
    shown = evaluate(run.splat, fixed_subset(material.photos.at(1.0)))
    count = f"{first_count:6d} -> {len(run.splat):6d}"
    times = f"{seconds:6.1f} s  {cpu_seconds:6.1f} CPU s"
    print(f"{name:18s} {count}  {times}  held out {told(held)}  training {told(shown)}", flush=True)
    if pictures:
        save_pictures(run.splat, material.held.at(1.0), pictures / f"{name.replace(' ', '_')}.png")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dense", type=Path)
    parser.add_argument("--preset", default="preview")
    parser.add_argument("--first", type=int, default=HOLD_EVERY // 2, help="the first held-out photo")
    parser.add_argument("--iterations", type=int, help="the preset's, unless given")
    parser.add_argument("--pictures", type=Path, help="folder for renders beside photos")
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    chosen = parser.parse_args()

    torch.set_num_threads(1)  # as the trainer does
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    given = {"max_iterations": chosen.iterations} if chosen.iterations else {}
    tuning = resolve(parse_request({"preset": chosen.preset, **given}))
    scene = read_scene(chosen.dense, tuning.train_max_size)
    held = [view.camera.name for view in scene.views[chosen.first :: HOLD_EVERY]]
    gpu = f", {torch.cuda.get_device_name()}" if device.type == "cuda" else ""
    print(f"{machine('torch', 'numba')}{gpu}; {chosen.preset}, held out: {held}")
    for name in chosen.only:
        run_variant(
            name, scene=scene, tuning=tuning, first=chosen.first, device=device, pictures=chosen.pictures
        )


if __name__ == "__main__":
    main()
