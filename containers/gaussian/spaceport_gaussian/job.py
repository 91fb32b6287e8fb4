"""One training job: from a scene on disk to a model on disk."""

from __future__ import annotations

import resource
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from spaceport.errors import UserError
from spaceport.progress import Progress
from spaceport.quality import TRAINING_REPORT, TrainingReport
from spaceport.tuning import Tuning
from spaceport_gaussian import checkpoint
from spaceport_gaussian.evaluation import evaluate, mean_psnr
from spaceport_gaussian.initialisation import check_trainable, scene_extent, starting_splat, untrained_splat
from spaceport_gaussian.photos import PhotoPyramid
from spaceport_gaussian.recipe import LEAST_BUDGET, Recipe, gaussian_budget, recipe_for
from spaceport_gaussian.schedule import SCALES
from spaceport_gaussian.splat import Splat
from spaceport_gaussian.stop_signal import StopSignal
from spaceport_gaussian.training import TrainingRun, train
from spaceport_gaussian.training_log import LOG, TrainingLog
from spaceport_gaussian.watching import PREVIEW, Watching, write_preview
from spaceport_render import holdout
from spaceport_render.ply import write_ply
from spaceport_render.scene import Scene, View, read_scene

MODEL = "model.ply"
# Shares of the progress bar: reading and seeding before the loop, measuring after it.
LOOP_SHARE = (0.05, 0.95)
# Parameters, gradients, two moments and the rasterizer's own copies: 59 floats each are 1.2 KB;
# with what an edit copies, twice that.
BYTES_PER_GAUSSIAN = 2_400
MEMORY_SHARE = 0.6  # of what the photos leave; the rest is for images and tile lists
PYRAMID_SHARE = sum(scale * scale for scale in SCALES)  # of the photos' bytes, for all sizes of the schedule


@dataclass(frozen=True)
class Folders:
    """Where a job's files are.

    Attributes:
        scene: in: `images/` and `sparse/`.
        model: out: model.ply, training.log, metrics.json.
        checkpoints: in and out: the state of an interrupted job, and the preview.
    """

    scene: Path
    model: Path
    checkpoints: Path


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


def run_job(
    folders: Folders,
    tuning: Tuning,
    progress: Progress,
    *,
    device: torch.device,
    stop: StopSignal,
) -> TrainingReport:
    """Train the scene and write the model with its report; go on from a checkpoint where one fits.

    Raises:
        UserError: the scene can't be read (`bad_scene`) or is too small (`too_few_photos`,
            `too_few_points`), or the GPU's memory is (`gpu_too_small`).
        Interrupted: where `stop` heard the signal in the loop; a checkpoint holds every iteration then.
    """
    started = time.monotonic()
    progress(0.0, "Reading the photos")
    material = prepare(read_scene(folders.scene, tuning.train_max_size), tuning, device)
    job = checkpoint.fingerprint(material.scene, tuning)
    saved = checkpoint.load(folders.checkpoints, job, device)
    if saved is None:
        progress(LOOP_SHARE[0] / 2, "Placing the first Gaussians")
    run = start(material) if saved is None else restore(material, saved["run"])
    spent_before: float = 0.0 if saved is None else saved["seconds"]

    def spent() -> float:
        return spent_before + time.monotonic() - started

    def save(now: TrainingRun) -> None:
        checkpoint.save(folders.checkpoints, job, {"run": now.state_dict(), "seconds": spent()})

    log = TrainingLog(folders.checkpoints / LOG, resumed_at=run.iterations)
    preview = folders.checkpoints / PREVIEW
    subset = holdout.fixed_subset(material.photos.at(1.0))
    watching = Watching(
        max_iterations=material.recipe.stopping.max_iterations,
        progress=progress,
        log=log,
        preview=preview,
        preview_photo=subset[len(subset) // 2],
        save=save,
        share=LOOP_SHARE,
    )
    found = run.iterations
    with stop.noted_while(lambda: run.iterations > found):
        train(run, material.photos, material.recipe, watcher=watching, stop_requested=stop.is_requested)
        save(run)

    progress(LOOP_SHARE[1], "Measuring the model")
    write_preview(preview, run.splat, subset[len(subset) // 2])
    report = measure(run, material, spent)
    log.write(run.iterations, "end", **report.model_dump())
    _deliver(folders, run.splat, report)
    progress(1.0, "The model is trained", psnr=round(report.psnr_train, 2), gaussians=report.gaussians)
    return report


def prepare(scene: Scene, tuning: Tuning, device: torch.device) -> Material:
    """Split off the held-out photos and choose the recipe. Raises UserError as `check_trainable` does."""
    _, held_names = holdout.split([view.camera.name for view in scene.views], tuning.holdout)
    training_views = tuple(view for view in scene.views if view.camera.name not in held_names)
    held_views = tuple(view for view in scene.views if view.camera.name in held_names)
    check_trainable(scene, len(training_views))
    return Material(
        scene=scene,
        training_views=training_views,
        photos=PhotoPyramid(training_views, device),
        held=PhotoPyramid(held_views, device),
        extent=scene_extent([view.camera for view in training_views], scene.points),
        recipe=recipe_for(
            tuning, affordable_gaussians(gaussian_budget(tuning, len(scene.points)), scene.views, device)
        ),
        tuning=tuning,
        device=device,
    )


def start(material: Material) -> TrainingRun:
    """A run at its first iteration."""
    splat = starting_splat(
        material.scene,
        material.training_views,
        material.recipe,
        extent=material.extent,
        seed=material.tuning.seed,
        device=material.device,
    )
    return TrainingRun.start(splat, material.recipe, extent=material.extent, seed=material.tuning.seed)


def restore(material: Material, state: dict[str, object]) -> TrainingRun:
    """The run that a checkpoint holds."""
    return TrainingRun.restore(state, material.recipe, extent=material.extent, device=material.device)


def measure(run: TrainingRun, material: Material, spent: Callable[[], float]) -> TrainingReport:
    """The report of a finished run; `spent` tells its seconds so far, measuring included."""
    assert run.stopped_by is not None
    untrained = untrained_splat(
        material.scene,
        material.recipe,
        extent=material.extent,
        seed=material.tuning.seed,
        device=material.device,
    )
    held = material.held.at(1.0)
    quality = evaluate(run.splat, held) if held else None
    return TrainingReport(
        psnr_train=mean_psnr(run.splat, holdout.fixed_subset(material.photos.at(1.0))),
        psnr_holdout=quality and quality.psnr,
        ssim_holdout=quality and quality.ssim,
        detail_holdout=quality and quality.detail,
        psnr_holdout_initial=mean_psnr(untrained, held) if held else None,
        iterations=run.iterations,
        stopped_by=run.stopped_by,
        gaussians=len(run.splat),
        gaussians_initial=len(untrained),
        holdout=[photo.name for photo in held],
        device=_device_name(material.device),
        rasterizer="gsplat" if material.device.type == "cuda" else "numba",
        preset=material.tuning.preset,
        peak_memory_bytes=_peak_memory(material.device),
        seconds=spent(),
    )


def affordable_gaussians(wanted: int, views: Sequence[View], device: torch.device) -> int:
    """`wanted`, or as many as the CUDA device has memory for: fewer Gaussians beat a dead job.

    Raises:
        UserError: `gpu_too_small`, where that would be too few to show anything.
    """
    if device.type != "cuda":
        return wanted
    free, _ = torch.cuda.mem_get_info(device)
    return gaussians_that_fit(wanted, free, sum(view.pixels.nbytes for view in views))


def gaussians_that_fit(wanted: int, free: int, photo_bytes: int) -> int:
    """`wanted`, or as many as fit into `free` bytes beside photos of `photo_bytes` at full size.

    Raises:
        UserError: `gpu_too_small`.
    """
    fitting = int((free - PYRAMID_SHARE * photo_bytes) * MEMORY_SHARE / BYTES_PER_GAUSSIAN)
    if fitting < min(wanted, LEAST_BUDGET):
        raise UserError(
            "gpu_too_small",
            f"The GPU has {free / 2**20:.0f} MiB free, too little for {photo_bytes / 2**20:.0f} MiB of "
            f"photos and {min(wanted, LEAST_BUDGET)} Gaussians.",
            "Use a larger GPU, end what else runs on it, or lower train_max_size.",
        )
    return min(wanted, fitting)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _peak_memory(device: torch.device) -> int:
    """Bytes: of the GPU where there is one, else the process's largest resident set."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes on macOS, KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _deliver(folders: Folders, splat: Splat, report: TrainingReport) -> None:
    folders.model.mkdir(parents=True, exist_ok=True)
    write_ply(folders.model / MODEL, splat.to_gaussians())
    shutil.copyfile(folders.checkpoints / LOG, folders.model / LOG)
    (folders.model / TRAINING_REPORT).write_text(report.model_dump_json(indent=2) + "\n")
