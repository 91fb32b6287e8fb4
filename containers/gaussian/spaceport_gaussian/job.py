"""One training job: from a scene on disk to a model on disk."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from spaceport.progress import Progress, part_of
from spaceport.quality import TRAINING_REPORT, TrainingReport
from spaceport.stop_signal import Interrupted, StopSignal
from spaceport.time_left import SECONDS_LEFT
from spaceport.tuning import Tuning
from spaceport_gaussian import checkpoint
from spaceport_gaussian.distributed import ALONE, Team
from spaceport_gaussian.initialisation import starting_splat
from spaceport_gaussian.material import Material, prepare
from spaceport_gaussian.measuring import measure
from spaceport_gaussian.pace import FIXED_ON_CPU, FIXED_ON_CUDA, Pace
from spaceport_gaussian.pictures.gallery import write_gallery
from spaceport_gaussian.recovery import Guard, train_guarded
from spaceport_gaussian.splat import Splat
from spaceport_gaussian.training import Step, TrainingRun
from spaceport_gaussian.training_log import LOG, TrainingLog
from spaceport_gaussian.watching import PREVIEW, Watching, write_preview
from spaceport_render import holdout
from spaceport_render.ply import write_ply
from spaceport_render.scene import read_scene

MODEL = "model.ply"
# Shares of the progress bar: reading and seeding before the loop, measuring and pictures after it.
LOOP_SHARE = (0.05, 0.93)
PICTURES_SHARE = (0.95, 1.0)


@dataclass(frozen=True)
class Folders:
    """Where a job's files are.

    Attributes:
        scene: in: `images/` and `sparse/`.
        model: out: model.ply, training.log, metrics.json, and the pictures of `pictures.gallery`.
        checkpoints: in and out: the state of an interrupted job, and the preview.
    """

    scene: Path
    model: Path
    checkpoints: Path


def run_job(
    folders: Folders,
    tuning: Tuning,
    progress: Progress,
    *,
    device: torch.device,
    stop: StopSignal,
    team: Team = ALONE,
    held_names: Collection[str] | None = None,
) -> TrainingReport:
    """Train the scene and write the model with its report; go on from a checkpoint where one fits.

    Args:
        team: the processes that train together. All of them call this, the first alone writes.
        held_names: as in `prepare`.

    Raises:
        UserError: the scene can't be read (`bad_scene`) or is too small (`too_few_photos`,
            `too_few_points`, `photos_too_small`, `no_parallax`), or the memory is (`gpu_too_small`,
            `machine_too_small`), or what was learnt came to nothing (`training_diverged`).
        Interrupted: where `stop`, or that of another process, heard the signal in the loop; a checkpoint
            holds every iteration then.
    """
    started = time.monotonic()
    progress(0.0, "Reading the photos")
    scene = read_scene(folders.scene, tuning.train_max_size)
    material = prepare(scene, tuning, device, held_names, team)
    job = checkpoint.fingerprint(scene, tuning, team.size, held_names)
    saved = checkpoint.load(folders.checkpoints, job, device)
    if saved is None:
        progress(LOOP_SHARE[0] / 2, "Placing the first Gaussians")
        run = start(material)
    else:
        material = material.within(saved["run"]["max_gaussians"])
        run = restore(material, saved["run"])
    spent_before: float = 0.0 if saved is None else saved["seconds"]

    def spent() -> float:
        return spent_before + time.monotonic() - started

    def save(now: TrainingRun) -> None:
        if team.is_first:
            checkpoint.save(folders.checkpoints, job, {"run": now.state_dict(), "seconds": spent()})

    def last_good() -> dict[str, Any]:
        team.any(False)  # wait until the first process has written what it writes
        good = checkpoint.load(folders.checkpoints, job, device)
        return start(material).state_dict() if good is None else good["run"]

    log = TrainingLog(
        folders.checkpoints / LOG if team.is_first else Path(os.devnull), resumed_at=run.iterations
    )
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
        pace=pace_of(material),
    )
    found = run.iterations
    # In a team nobody may leave alone: the others could not save.
    with stop.noted_while(lambda: run.iterations > found or team.size > 1):
        guard = Guard(last_good, tell=lambda incident: log.write(event="incident", **incident.model_dump()))
        run, material = train_guarded(
            run,
            material,
            guard,
            watcher=watching if team.is_first else _unwatched,
            stop_requested=stop.is_requested,
        )
        save(run)
    if run.stopped_by is None:
        raise Interrupted  # it was another process that heard the signal

    progress(LOOP_SHARE[1], "Measuring the model")
    report = measure(run, material, spent)
    log.write(run.iterations, "end", **report.model_dump())
    if team.is_first:
        write_preview(preview, run.splat, subset[len(subset) // 2])
        _deliver(folders, run.splat, report)
        write_gallery(folders.model, run.splat, material, part_of(progress, *PICTURES_SHARE))
    numbers = {"psnr": round(report.psnr_train, 2), "gaussians": report.gaussians, SECONDS_LEFT: 0}
    progress(1.0, "The model is trained", **numbers)
    return report


def pace_of(material: Material) -> Pace:
    """What the iterations of `material`'s recipe cost."""
    schedule, iterations = material.recipe.resolution, material.recipe.stopping.max_iterations
    fixed = FIXED_ON_CUDA if material.device.type == "cuda" else FIXED_ON_CPU
    return Pace((schedule.scale_at(iteration) for iteration in range(iterations)), fixed)


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
    photos, seed = len(material.photos), material.tuning.seed
    return TrainingRun.start(splat, material.recipe, photos=photos, extent=material.extent, seed=seed)


def restore(material: Material, state: dict[str, object]) -> TrainingRun:
    """The run that a checkpoint holds."""
    return TrainingRun.restore(state, material.recipe, extent=material.extent, device=material.device)


def _unwatched(_run: TrainingRun, _step: Step) -> None:
    """For the processes of a team that tell nothing."""


def _deliver(folders: Folders, splat: Splat, report: TrainingReport) -> None:
    folders.model.mkdir(parents=True, exist_ok=True)
    write_ply(folders.model / MODEL, splat.to_gaussians())
    shutil.copyfile(folders.checkpoints / LOG, folders.model / LOG)
    (folders.model / TRAINING_REPORT).write_text(report.model_dump_json(indent=2) + "\n")
