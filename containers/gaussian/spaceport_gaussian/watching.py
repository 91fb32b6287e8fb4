"""What is told while training goes on: progress, log, preview and checkpoints, each at its own pace."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from spaceport.progress import Progress
from spaceport.time_left import SECONDS_LEFT
from spaceport_gaussian.pace import Pace
from spaceport_gaussian.photos import Photo
from spaceport_gaussian.pictures.drawing import drawn, write_jpeg
from spaceport_gaussian.splat import Splat
from spaceport_gaussian.training import Step, TrainingRun
from spaceport_gaussian.training_log import TrainingLog

Clock = Callable[[], float]

PREVIEW = "preview.jpg"
PREVIEW_QUALITY = 85  # of the JPEG
TELL_EVERY_S = 0.25  # of the progress lines that this makes, one a second gets out
PREVIEW_EVERY_S = 4.0  # a render and a small JPEG: under 1 % of the time
CHECKPOINT_EVERY_S = 15.0  # what a killed machine loses; more only where saving costs more than its share:
CHECKPOINT_SHARE = 0.02  # of the time. A million Gaussians are 0.7 GB, and each goes to S3 as a whole
LOG_SHARE = 1 / 100  # a hundred log lines, whatever the budget
SMOOTHING = 0.05  # of the running PSNR: about one round over 20 photos


class Watching:
    """Passes each step of a run on to those who want to know.

    Args:
        preview_photo: the view that previews show.
        save: saves a checkpoint of the run.
        share: of the stage's progress bar that belongs to the loop: (from, to).
        pace: tells how long it will still take.
    """

    def __init__(
        self,
        *,
        max_iterations: int,
        progress: Progress,
        log: TrainingLog,
        preview: Path,
        preview_photo: Photo,
        save: Callable[[TrainingRun], None],
        share: tuple[float, float],
        pace: Pace,
        clock: Clock = time.monotonic,
    ) -> None:
        self._max_iterations = max_iterations
        self._progress = progress
        self._log = log
        self._preview = preview
        self._preview_photo = preview_photo
        self._save = save
        self._share = share
        self._pace = pace
        self._clock = clock
        self._previewed_at = self._saved_at = self._started_at = clock()
        self._saving_took = 0.0
        self._told_at = -math.inf
        self._psnr: Tensor | None = None  # a scalar on the device, where it can wait to be read

    def __call__(self, run: TrainingRun, step: Step) -> None:
        psnr = step.psnr.nan_to_num()  # a render without values is worth nothing, but for this iteration only
        before = psnr if self._psnr is None else self._psnr
        self._psnr = before + SMOOTHING * (psnr - before)
        if (
            step.iterations % max(1, round(LOG_SHARE * self._max_iterations)) == 0
            or step.tested_psnr is not None
        ):
            self._write(run, step)
        now = self._clock()
        if now - self._told_at >= TELL_EVERY_S:
            self._told_at = now
            self._tell(step)
        if now - self._previewed_at >= PREVIEW_EVERY_S:
            self._previewed_at = now
            write_preview(self._preview, run.splat, self._preview_photo)
        if now - self._saved_at >= max(CHECKPOINT_EVERY_S, self._saving_took / CHECKPOINT_SHARE):
            began = self._clock()
            self._save(run)
            self._saved_at = self._clock()
            self._saving_took = self._saved_at - began

    def _tell(self, step: Step) -> None:
        first, last = self._share
        assert self._psnr is not None
        left = self._pace.seconds_left(step.iterations, self._told_at)
        self._progress(
            first + (last - first) * step.iterations / self._max_iterations,
            f"Iteration {step.iterations} of {self._max_iterations}",
            psnr=round(self._psnr.item(), 2),
            gaussians=step.gaussians,
            iteration=step.iterations,
            **({} if left is None else {SECONDS_LEFT: round(left)}),
        )

    def _write(self, run: TrainingRun, step: Step) -> None:
        assert self._psnr is not None
        bands = run.splat.bands
        self._log.write(
            step.iterations,
            "step",
            seconds=round(self._clock() - self._started_at, 2),
            loss=_rounded(step.loss.item(), 5),
            psnr_running=round(self._psnr.item(), 3),
            psnr_subset=None if step.tested_psnr is None else _rounded(step.tested_psnr, 3),
            gaussians=step.gaussians,
            scale=step.scale,
            sh_degree=step.sh_degree,
            **({} if bands is None else {"sh_bands_off": int((~bands).sum())}),
            **run.corrections.sizes(),
        )


def _rounded(value: float, digits: int) -> float | None:
    """`value` as JSON can hold it: without NaN and infinity."""
    return round(value, digits) if math.isfinite(value) else None


def write_preview(file: Path, splat: Splat, photo: Photo) -> None:
    """The splat as the camera of `photo` sees it."""
    write_jpeg(file, drawn(splat, photo), PREVIEW_QUALITY)
