"""Which trainer gives the best held-out quality per second? A resumable cell a call, a table of all cells.

    python bench/gaussian.py DENSE_DIR --trainer T --split S --seed N --out DIR [--set name=value ...]
    python bench/gaussian.py --queue FILE --out DIR --jobs K [--minutes M]
    python bench/gaussian.py --table DIR

DENSE_DIR is SfM's `colmap/dense/`; a copy without feature tracks will do. T is one of our presets (trained as
the job does, and measured as delivered) or one of gsplat's own trainers, `gsplat-default` and `gsplat-mcmc`
(bench/stock_trainer.py), measured at its best checkpoint by the held-out photos, an oracle that ours does not
get. All trainers see photos of one size (`--size`, by default balanced's). S: `fifth` holds out every 8th
photo from the fifth on, `first` from the first; a number, from that index.

A cell is one JSON file in DIR, with one JPEG of its held-out renders left of their photos; a cell that is
there is not run again. `--queue` runs the cells of FILE (a line each: what stands after `gaussian.py`, less
`--out`) K at a time, spread over the GPUs there are. Training on few photos waits for Python rather than for
the GPU, so that it takes many cells at once; their quality is what it is alone, their seconds are not shown.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from machine import machine
from PIL import Image
from stock_trainer import STOCK, train_stock

from spaceport.quality import ViewNumbers
from spaceport.tuning import PRESETS, Preset, Tuning, parse_request, resolve
from spaceport_gaussian.evaluation.likeness import judge, render_pixels
from spaceport_gaussian.evaluation.rendering_speed import frames_per_second
from spaceport_gaussian.job import start
from spaceport_gaussian.material import prepare
from spaceport_gaussian.measuring import measure
from spaceport_gaussian.photos import Photo
from spaceport_gaussian.splat import Splat
from spaceport_gaussian.training import train
from spaceport_render.holdout import fixed_subset
from spaceport_render.ply import write_ply
from spaceport_render.rasterize import rasterize
from spaceport_render.scene import Scene, read_scene

HOLD_EVERY = 8
SPLITS = {"fifth": 4, "first": 0}
SIZE = PRESETS[Preset.BALANCED]["train_max_size"]
COLUMNS = {
    "seconds": "training s",
    "iterations": "iterations",
    "psnr": "held out dB",
    "psnr_corrected": "colour-corrected",
    "ssim": "SSIM",
    "detail": "detail",
    "psnr_train": "training dB",
    "gaussians": "Gaussians",
    "ply_mb": "PLY MB",
    "peak_mb": "peak MB",
    "fps": "FPS",
}
DIGITS = {"seconds": 1, "psnr": 2, "psnr_corrected": 2, "ssim": 3, "detail": 2, "psnr_train": 2, "ply_mb": 1}


def held_names(scene: Scene, split: str) -> list[str]:
    """The photos that `split` holds out, by the order of their names."""
    first = SPLITS[split] if split in SPLITS else int(split)
    return [view.camera.name for view in scene.views][first::HOLD_EVERY]


def run_ours(scene: Scene, held: Sequence[str], tuning: Tuning, device: torch.device) -> dict[str, Any]:
    """One of our presets, as the job trains it."""
    began = time.perf_counter()
    material = prepare(scene, tuning, device, held)
    run = start(material)
    train(run, material.photos, material.recipe, watcher=lambda *_: None)
    await_device(device)
    seconds = time.perf_counter() - began
    report = measure(run, material, lambda: seconds)
    return {
        "seconds": seconds,
        "iterations": report.iterations,
        "stopped_by": report.stopped_by,
        "psnr_train": report.psnr_train,
        "fps": report.fps,
        "peak_mb": report.peak_memory_bytes / 1e6,
        "incidents": [incident.model_dump() for incident in report.incidents],
        **told_of(run.splat, report.views if report.holdout else [], material.held.at(1.0)),
    }


def run_stock(
    scene: Scene, held: Sequence[str], trainer: str, *, seed: int, iterations: int | None
) -> dict[str, Any]:
    """One of gsplat's trainers: its best checkpoint, and beside it the last one."""
    run = train_stock(STOCK[trainer], scene, held, seed=seed, last_iteration=iterations)
    best, last = run.best, run.checkpoints[-1]
    return {
        "seconds": run.seconds,
        "iterations": best.iterations,
        "stopped_by": "oracle",
        "seconds_to_best": best.seconds,
        "last": {"iterations": last.iterations, "gaussians": last.gaussians, **means_of(last.views)},
        "checkpoints": [
            {"iterations": c.iterations, "seconds": c.seconds, "gaussians": c.gaussians, **means_of(c.views)}
            for c in run.checkpoints
        ],
        "psnr_train": fmean(view.psnr for view in judge(run.best_splat, fixed_subset(run.training))),
        "fps": frames_per_second(run.best_splat, run.held),
        "peak_mb": torch.cuda.max_memory_allocated() / 1e6,
        **told_of(run.best_splat, best.views, run.held),
    }


def told_of(splat: Splat, views: Sequence[ViewNumbers], held: Sequence[Photo]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        ply = Path(folder) / "model.ply"
        write_ply(ply, splat.to_gaussians())
        size = ply.stat().st_size
    pairs = [np.concatenate([render_pixels(splat, photo), photo.target.cpu().numpy()], 1) for photo in held]
    return {
        "gaussians": len(splat),
        "ply_mb": size / 1e6,
        **means_of(views),
        "views": [view.model_dump() for view in views],
        "picture": np.round(np.concatenate(pairs) * 255).astype(np.uint8) if pairs else None,
    }


def means_of(views: Sequence[ViewNumbers]) -> dict[str, float]:
    names = ("psnr", "psnr_corrected", "ssim", "detail")
    return {name: fmean(getattr(view, name) for view in views) for name in names} if views else {}


def warm_up(device: torch.device) -> None:
    """What only a machine's first job pays: kernels compiled and loaded."""
    tensors = [torch.rand(100, size, device=device, requires_grad=True) for size in (3, 4, 3)]
    opacities = torch.rand(100, device=device, requires_grad=True)
    sh = torch.rand(100, 1, 3, device=device, requires_grad=True)
    view, lens = torch.eye(4, device=device), torch.eye(3, device=device) * 50
    rasterize(*tensors, opacities, sh, view, lens, 64, 64, sh_degree=0).image.sum().backward()
    await_device(device)


def await_device(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def run_cell(chosen: argparse.Namespace) -> dict[str, Any]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)  # as the trainer does
    scene = read_scene(chosen.dense, chosen.size)
    held = held_names(scene, chosen.split)
    warm_up(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    if chosen.trainer in STOCK:
        numbers = run_stock(scene, held, chosen.trainer, seed=chosen.seed, iterations=chosen.iterations)
    else:
        numbers = run_ours(scene, held, tuning_of(chosen), device)
    return {
        "scene": chosen.dense.name if chosen.dense.name != "dense" else chosen.dense.resolve().parent.name,
        "trainer": chosen.trainer,
        "set": chosen.set,
        "split": chosen.split,
        "seed": chosen.seed,
        "size": chosen.size,
        "held": held,
        "shared": chosen.shared,
        "machine": machine("torch", "gsplat" if device.type == "cuda" else "numba"),
        "gpu": torch.cuda.get_device_name() if device.type == "cuda" else None,
        **numbers,
    }


def tuning_of(chosen: argparse.Namespace) -> Tuning:
    """Raises UserError (`bad_tuning`) for a setting that does not fit."""
    given = dict(setting.split("=", 1) for setting in chosen.set)
    if chosen.iterations:
        given["max_iterations"] = str(chosen.iterations)
    fields = {"preset": chosen.trainer, "seed": chosen.seed, "train_max_size": chosen.size, **given}
    return resolve(parse_request(fields))


def file_of(chosen: argparse.Namespace) -> Path:
    """Where the cell's numbers go: a name that tells all of its settings apart."""
    parts = [
        chosen.dense.name if chosen.dense.name != "dense" else chosen.dense.resolve().parent.name,
        chosen.trainer,
        chosen.split,
        f"seed{chosen.seed}",
        f"{chosen.size}px",
        *([f"{chosen.iterations}it"] if chosen.iterations else []),
        *chosen.set,
    ]
    return chosen.out / ("_".join(parts).replace("/", "-") + ".json")


def save(cell: dict[str, Any], file: Path) -> None:
    """The picture first: a cell whose JSON is there is whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if (picture := cell.pop("picture")) is not None:
        Image.fromarray(picture).save(file.with_suffix(".jpg"), quality=80)
    unfinished = file.with_suffix(".part")
    unfinished.write_text(json.dumps(cell, indent=1) + "\n")
    unfinished.replace(file)


def run_queue(queue: Path, out: Path, jobs: int, minutes: float) -> int:
    """Run the cells of `queue`, `jobs` at a time; returns how many failed or had no time."""
    waiting = [shlex.split(line, comments=True) for line in queue.read_text().splitlines()]
    waiting = [arguments for arguments in waiting if arguments]
    gpus = torch.cuda.device_count()
    deadline = time.monotonic() + 60 * minutes
    running: list[tuple[list[str], subprocess.Popen[bytes]]] = []
    slots = list(range(jobs))
    failed = 0
    while waiting or running:
        for arguments, process in list(running):
            if time.monotonic() > deadline:
                process.kill()
            if process.poll() is not None:
                running.remove((arguments, process))
                slots.append(process.slot)  # type: ignore[attr-defined]
                failed += process.returncode != 0
                print("done " if process.returncode == 0 else "FAILED", shlex.join(arguments), flush=True)
        if time.monotonic() > deadline:
            failed += len(waiting)
            waiting = []
        while waiting and slots:
            arguments, slot = waiting.pop(0), slots.pop(0)
            environment = {**os.environ, "CUDA_VISIBLE_DEVICES": str(slot % gpus)} if gpus else None
            command = [sys.executable, __file__, *arguments, "--out", str(out), "--shared"]
            process = subprocess.Popen(command, env=environment)
            process.slot = slot  # type: ignore[attr-defined]
            running.append((arguments, process))
        time.sleep(0.2)
    return failed


def table(folder: Path) -> str:
    """All cells of `folder` as markdown, sorted by scene, split and trainer."""
    cells = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    if not cells:
        return f"no cells in {folder}"
    machines = sorted({f"{cell['machine']}; {cell['gpu'] or 'no GPU'}" for cell in cells})
    lines = [*machines, "", "| scene | split | trainer | seed | " + " | ".join(COLUMNS.values()) + " |"]
    lines.append("| --- " * (4 + len(COLUMNS)) + "|")
    cells.sort(key=lambda cell: (cell["scene"], cell["split"], cell["trainer"], cell["set"], cell["seed"]))
    for cell in cells:
        name = " ".join([cell["trainer"], *cell["set"]])
        values = [told(cell, column) for column in COLUMNS]
        row = [cell["scene"], f"{cell['split']}, {cell['size']} px", name, str(cell["seed"]), *values]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def told(cell: dict[str, Any], column: str) -> str:
    if cell.get(column) is None or (column in {"seconds", "fps"} and cell["shared"]):
        return ""
    return f"{cell[column]:,.{DIGITS.get(column, 0)}f}"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    trainers = [*Preset, *STOCK]
    parser.add_argument("dense", type=Path, nargs="?")
    parser.add_argument("--trainer", choices=trainers, default=Preset.BALANCED)
    parser.add_argument("--split", default="fifth", help="fifth, first, or an index")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=SIZE, help="the photos' longer side for all trainers, px")
    parser.add_argument("--iterations", type=int, help="fewer than the trainer's own")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of ours")
    parser.add_argument("--out", type=Path, metavar="DIR")
    parser.add_argument(
        "--shared", action="store_true", help="the machine has other work: don't show seconds"
    )
    parser.add_argument("--queue", type=Path, metavar="FILE")
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--table", type=Path, metavar="DIR")
    chosen = parser.parse_args(arguments)
    if chosen.table is None and chosen.out is None:
        parser.error("--out or --table is needed")
    if chosen.table is None and chosen.queue is None and chosen.dense is None:
        parser.error("DENSE_DIR, --queue or --table is needed")
    return chosen


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = parse(arguments)
    if chosen.table:
        print(table(chosen.table))
        return 0
    if chosen.queue:
        return min(1, run_queue(chosen.queue, chosen.out, chosen.jobs, chosen.minutes))
    file = file_of(chosen)
    if file.exists():
        print(f"{file.name} is there already")
        return 0
    if chosen.trainer not in STOCK:
        tuning_of(chosen)  # a slip is told before the scene is read
    cell = run_cell(chosen)
    save(cell, file)
    print(f"{file.stem}: " + ", ".join(f"{COLUMNS[column]} {told(cell, column)}" for column in COLUMNS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
