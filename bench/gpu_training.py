"""How fast does the trainer run on this machine's GPU, and how good is what it delivers?

    python bench/gpu_training.py DENSE_DIR --out DIR [--holdout 8] [--rows ROW ...]

A ROW is a preset with settings after it, in quotes: "balanced", "quality max_iterations=6000",
"balanced optimization_enabled=false" (plain 3DGS, the baseline). Each row is one whole training job, from
reading the scene to the written model, in this process: `job s` is its wall time, `loop s` what the log gives
for the iterations alone, peak memory what torch allocated on the device (on a CPU: the process so far).
Prints one line a row. DIR gets `results.jsonl` (settings and the whole report), `logs.jsonl` (the training
logs), and one JPEG a row: the held-out renders left of their photos; look at them.

DENSE_DIR is the SfM stage's `colmap/dense/`; a copy without feature tracks will do.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import machine
from PIL import Image

from spaceport.quality import TrainingReport
from spaceport.stop_signal import StopSignal
from spaceport.tuning import Tuning, parse_request, resolve
from spaceport_gaussian.job import MODEL, Folders, run_job
from spaceport_gaussian.photos import Photo, PhotoPyramid
from spaceport_gaussian.splat import Splat
from spaceport_gaussian.training_log import LOG
from spaceport_render.ply import read_ply
from spaceport_render.rasterize import rasterize
from spaceport_render.scene import read_scene

ROWS = (
    "balanced",
    "balanced optimization_enabled=false",
    "quality",
    "quality optimization_enabled=false",
)
COLUMNS = ("job s", "loop s", "it/s", "iterations", "stopped by", "Gaussians", "peak MiB")
JPEG_QUALITY = 88


@dataclass(frozen=True)
class Row:
    """One training job: what was asked, and what came of it.

    Attributes:
        seconds: wall time of the whole job.
        log: the lines of its training.log.
    """

    name: str
    tuning: Tuning
    seconds: float
    report: TrainingReport
    log: list[dict[str, Any]]

    @property
    def loop_seconds(self) -> float:
        """Until the last iteration, previews and checkpoints included."""
        return float(max(line["seconds"] for line in self.log if line["event"] == "step"))

    def line(self) -> str:
        """The table's row."""
        report = self.report
        cells = [
            f"{self.seconds:.1f}",
            f"{self.loop_seconds:.1f}",
            f"{report.iterations / self.loop_seconds:.0f}",
            str(report.iterations),
            report.stopped_by,
            f"{report.gaussians_initial} -> {report.gaussians}",
            f"{report.peak_memory_bytes / 2**20:.0f}",
            f"{report.psnr_train:.2f}",
            "none"
            if report.psnr_holdout is None
            else f"{report.psnr_holdout:.2f} / {report.ssim_holdout:.3f} / {report.detail_holdout:.2f}",
        ]
        return f"| {self.name} | {' | '.join(cells)} |"


def tuning_of(row: str, holdout: int) -> Tuning:
    """The tuning of "PRESET key=value ...". Raises UserError (`bad_tuning`) for what does not fit."""
    preset, *settings = row.split()
    given = dict(setting.split("=", 1) for setting in settings)
    return resolve(parse_request({"preset": preset, "holdout": holdout, **given}))


def run_row(row: str, dense: Path, holdout: int, device: torch.device) -> tuple[Row, Splat]:
    """Train one row as the job program does."""
    tuning = tuning_of(row, holdout)
    with tempfile.TemporaryDirectory() as folder:
        folders = Folders(dense, Path(folder) / "model", Path(folder) / "checkpoints")
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        began = time.perf_counter()
        report = run_job(folders, tuning, lambda *_, **__: None, device=device, stop=StopSignal())
        seconds = time.perf_counter() - began
        log = [json.loads(line) for line in (folders.model / LOG).read_text().splitlines()]
        splat = Splat.of_gaussians(read_ply(folders.model / MODEL), device)
    return Row(row, tuning, seconds, report, log), splat


@torch.no_grad()
def save_pictures(splat: Splat, photos: tuple[Photo, ...], file: Path) -> None:
    """Each photo with its render to the left."""
    pairs = [torch.cat([splat.render(photo).image.clamp(0, 1), photo.target], 1) for photo in photos]
    pixels = np.round(torch.cat(pairs).cpu().numpy() * 255).astype(np.uint8)
    Image.fromarray(pixels).save(file, quality=JPEG_QUALITY)


def save_row(row: Row, splat: Splat, dense: Path, out: Path) -> None:
    """Add the row to the files in `out`, at once: what is measured is not lost when a later row fails."""
    settings = row.tuning.model_dump(mode="json")
    told = {"row": row.name, "tuning": settings, "job_seconds": row.seconds, "loop_seconds": row.loop_seconds}
    with (out / "results.jsonl").open("a") as file:
        file.write(json.dumps({**told, **row.report.model_dump()}) + "\n")
    with (out / "logs.jsonl").open("a") as file:
        file.writelines(json.dumps({"row": row.name, **line}) + "\n" for line in row.log)
    views = read_scene(dense, row.tuning.train_max_size).views
    held = [view for view in views if view.camera.name in row.report.holdout]
    if held:
        name = row.name.replace(" ", "_").replace("=", "_")
        save_pictures(splat, PhotoPyramid(held, splat.means.device).at(1.0), out / f"{name}.jpg")


def warm_up(device: torch.device) -> float:
    """Seconds for what only a machine's first job pays: kernels compiled and loaded."""
    began = time.perf_counter()
    tensors = [torch.rand(100, size, device=device, requires_grad=True) for size in (3, 4, 3)]
    opacities = torch.rand(100, device=device, requires_grad=True)
    sh = torch.rand(100, 1, 3, device=device, requires_grad=True)
    view, lens = torch.eye(4, device=device), torch.eye(3, device=device) * 50
    rasterize(*tensors, opacities, sh, view, lens, 64, 64, sh_degree=0).image.sum().backward()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dense", type=Path)
    parser.add_argument("--rows", nargs="+", metavar="ROW", default=list(ROWS))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--holdout", type=int, default=8)
    chosen = parser.parse_args()
    for row in chosen.rows:
        tuning_of(row, chosen.holdout)  # a slip in the last row is told now, not after the others have run
    chosen.out.mkdir(parents=True, exist_ok=True)

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else "no GPU"
    if device.type == "cpu":
        torch.set_num_threads(1)  # as the trainer does
    warm = warm_up(device)
    print(f"{machine('torch', 'gsplat', 'numba')}, {name}; first kernels {warm:.1f} s", flush=True)
    print(f"| row | {' | '.join(COLUMNS)} | training dB | held-out dB / SSIM / detail |", flush=True)
    print("| --- " * (len(COLUMNS) + 3) + "|", flush=True)
    for text in chosen.rows:
        row, splat = run_row(text, chosen.dense, chosen.holdout, device)
        print(row.line(), flush=True)
        save_row(row, splat, chosen.dense, chosen.out)


if __name__ == "__main__":
    main()
