"""The report of a finished run."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from statistics import fmean

import torch

from spaceport.quality import TrainingReport
from spaceport_gaussian.evaluation.likeness import judge, mean_psnr
from spaceport_gaussian.evaluation.rendering_speed import frames_per_second
from spaceport_gaussian.initialisation import untrained_splat
from spaceport_gaussian.material import Material
from spaceport_gaussian.training import TrainingRun
from spaceport_render.holdout import fixed_subset


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
    held_photos = material.held.at(1.0)
    held = judge(run.splat, held_photos)
    trained_on = judge(run.splat, fixed_subset(material.photos.at(1.0)))
    return TrainingReport(
        psnr_train=fmean(view.psnr for view in trained_on),
        ssim_train=fmean(view.ssim for view in trained_on),
        psnr_holdout=fmean(view.psnr for view in held) if held else None,
        psnr_holdout_corrected=fmean(view.psnr_corrected for view in held) if held else None,
        ssim_holdout=fmean(view.ssim for view in held) if held else None,
        detail_holdout=fmean(view.detail for view in held) if held else None,
        psnr_holdout_initial=mean_psnr(untrained, held_photos) if held else None,
        views=held or trained_on,
        iterations=run.iterations,
        stopped_by=run.stopped_by,
        gaussians=len(run.splat),
        gaussians_initial=len(untrained),
        holdout=[photo.name for photo in held_photos],
        fps=frames_per_second(run.splat, fixed_subset(held_photos or material.photos.at(1.0))),
        device=_device_name(material.device),
        rasterizer="gsplat" if material.device.type == "cuda" else "numba",
        preset=material.tuning.preset,
        peak_memory_bytes=_peak_memory(material.device),
        incidents=run.incidents,
        batch=material.team.size,
        seconds=spent(),
    )


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _peak_memory(device: torch.device) -> int:
    """Bytes: of the GPU where there is one, else the process's largest resident set."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes on macOS, KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
