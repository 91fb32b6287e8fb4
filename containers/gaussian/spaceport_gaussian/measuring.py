"""The report of a finished run."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable

import torch

from spaceport.quality import TrainingReport
from spaceport_gaussian.evaluation import evaluate, mean_psnr
from spaceport_gaussian.initialisation import untrained_splat
from spaceport_gaussian.material import Material
from spaceport_gaussian.training import TrainingRun
from spaceport_render import holdout


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


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _peak_memory(device: torch.device) -> int:
    """Bytes: of the GPU where there is one, else the process's largest resident set."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes on macOS, KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
