"""Which trainer gives the best held-out quality per second? A resumable cell a call, a table of all cells.

    python bench/gaussian.py DENSE_DIR --trainer T --split S --seed N --out DIR [--set name=value ...]
    python bench/gaussian.py --queue FILE --out DIR --jobs K [--minutes M]
    python bench/gaussian.py --table DIR
    python bench/gaussian.py --ablation DIR [--base name=value ...]

DENSE_DIR is SfM's `colmap/dense/`; a copy without feature tracks will do. T is one of our presets (a whole
job, measured as delivered; `--decoded`: as a viewer decodes it from the `.sog`, too) or one of gsplat's own
trainers, `gsplat-default` and `gsplat-mcmc` (bench/stock_trainer.py), measured at its best checkpoint by the
held-out photos, an oracle that ours does not get. All trainers see photos of one size (`--size`, by default
balanced's). S: `fifth` holds out every 8th photo from the fifth on, `first` from the first; a number, from
that index.

A cell is one JSON file in DIR, with one JPEG of its held-out renders left of their photos; a cell that is
there is not run again. `--queue` runs the cells of FILE (a line each: what stands after `gaussian.py`, less
`--out`) K at a time, spread over the GPUs there are; bench/queues/ has some. Training on few photos waits for
Python rather than for the GPU, so that it takes many cells at once; their quality is what it is alone, their
seconds are not shown. `--table` prints all cells, `--ablation` what each setting changes against the cells of
the `--base` settings alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from cell_queue import run_queue
from cell_tables import ablation, headline, read_cells, table
from machine import machine
from PIL import Image
from stock_trainer import STOCK, train_stock

from spaceport.quality import ViewNumbers
from spaceport.tuning import PRESETS, Preset, Tuning, parse_request, resolve
from spaceport_gaussian.evaluation.likeness import judge, render_pixels
from spaceport_gaussian.evaluation.rendering_speed import frames_per_second
from spaceport_gaussian.job import MODEL, Folders, StopSignal, run_job
from spaceport_gaussian.photos import Photo
from spaceport_gaussian.splat import Splat
from spaceport_gaussian.training_log import LOG
from spaceport_render.gaussians import Gaussians
from spaceport_render.holdout import fixed_subset
from spaceport_render.ply import read_ply, write_ply
from spaceport_render.rasterize import rasterize
from spaceport_render.scene import Scene, View, read_scene

HOLD_EVERY = 8
SPLITS = {"fifth": 4, "first": 0}
SIZE = PRESETS[Preset.BALANCED]["train_max_size"]
PICTURE_WIDTH = 1280  # pixels, of a render and its photo together: a cell's JPEG stays below 400 KB


def held_names(scene: Scene, split: str) -> list[str]:
    """The photos that `split` holds out, by the order of their names."""
    first = SPLITS[split] if split in SPLITS else int(split)
    return [view.camera.name for view in scene.views][first::HOLD_EVERY]


def run_ours(chosen: argparse.Namespace, scene: Scene, device: torch.device) -> dict[str, Any]:
    """One of our presets: the whole job, but for the film."""
    tuning = tuning_of(chosen)
    held = held_names(scene, chosen.split)
    photos = [Photo.of_view(view, device) for view in scene.views if view.camera.name in held]
    with tempfile.TemporaryDirectory() as folder:
        folders = Folders(chosen.dense, Path(folder) / "model", Path(folder) / "checkpoints")
        stop = StopSignal(sys.exit)
        report = run_job(folders, tuning, lambda *_, **__: None, device=device, stop=stop, held_names=held)
        log = [json.loads(line) for line in (folders.model / LOG).read_text().splitlines()]
        delivered = read_ply(folders.model / MODEL)
        ply_bytes = (folders.model / MODEL).stat().st_size
    training = [view for view in scene.views if view.camera.name not in held]
    return {
        "seconds": max(line["seconds"] for line in log if line["event"] == "step"),
        "job_seconds": report.seconds,
        "iterations": report.iterations,
        "stopped_by": report.stopped_by,
        "psnr_train": report.psnr_train,
        "fps": report.fps,
        "peak_mb": report.peak_memory_bytes / 1e6,
        "incidents": [incident.model_dump() for incident in report.incidents],
        "gaussians": len(delivered),
        "ply_mb": ply_bytes / 1e6,
        **measured(report.views),
        "decoded": decoded(delivered, training, photos, tuning) if chosen.decoded else None,
        "picture": beside_photos(seen_as(delivered, tuning, device), photos),
    }


def decoded(
    delivered: Gaussians, training: Sequence[View], held: Sequence[Photo], tuning: Tuning
) -> dict[str, float]:
    """The measures of what the compression stage makes of the model."""
    from spaceport_compressor.judging.fidelity import references_of  # noqa: PLC0415 - a stage of its own
    from spaceport_compressor.judging.rate_choice import write_smallest  # noqa: PLC0415
    from spaceport_compressor.sog.read import read_sog  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        sog = Path(folder) / "model.sog"
        references = references_of(delivered, fixed_subset(training))
        cameras = [view.camera for view in training]
        write_smallest(sog, delivered, cameras, references, seed=tuning.seed, progress=lambda *_, **__: None)
        views = judge(seen_as(read_sog(sog), tuning, held[0].pixels.device), held)
        return {"sog_mb": sog.stat().st_size / 1e6, **means_of(views)}


def seen_as(gaussians: Gaussians, tuning: Tuning, device: torch.device) -> Splat:
    """`gaussians`, drawn as they were trained to be."""
    splat = Splat.of_gaussians(gaussians, device)
    splat.antialiased = tuning.antialiased
    return splat


def run_stock(chosen: argparse.Namespace, scene: Scene) -> dict[str, Any]:
    """One of gsplat's trainers: its best checkpoint, and beside it the last one."""
    run = train_stock(
        STOCK[chosen.trainer],
        scene,
        held_names(scene, chosen.split),
        seed=chosen.seed,
        last_iteration=chosen.iterations,
    )
    best, last = run.best, run.checkpoints[-1]
    with tempfile.TemporaryDirectory() as folder:
        ply = Path(folder) / MODEL
        write_ply(ply, run.best_splat.to_gaussians())
        ply_bytes = ply.stat().st_size
    checkpoints = [
        {"iterations": c.iterations, "seconds": c.seconds, "gaussians": c.gaussians, **means_of(c.views)}
        for c in run.checkpoints
    ]
    return {
        "seconds": best.seconds,
        "iterations": best.iterations,
        "stopped_by": "oracle",
        "psnr_train": fmean(view.psnr for view in judge(run.best_splat, fixed_subset(run.training))),
        "fps": frames_per_second(run.best_splat, run.held),
        "peak_mb": torch.cuda.max_memory_allocated() / 1e6,
        "gaussians": best.gaussians,
        "ply_mb": ply_bytes / 1e6,
        **measured(best.views),
        "last": {"seconds": run.seconds, "iterations": last.iterations, "gaussians": last.gaussians}
        | means_of(last.views),
        "checkpoints": checkpoints,
        "picture": beside_photos(run.best_splat, run.held),
    }


def measured(views: Sequence[ViewNumbers]) -> dict[str, Any]:
    return {**means_of(views), "views": [view.model_dump() for view in views]}


def means_of(views: Sequence[ViewNumbers]) -> dict[str, float]:
    names = ("psnr", "psnr_corrected", "ssim", "detail")
    return {name: fmean(getattr(view, name) for view in views) for name in names}


def beside_photos(splat: Splat, photos: Sequence[Photo]) -> Image.Image:
    """The renders, each left of its photo, one pair below the other."""
    pairs = [np.concatenate([render_pixels(splat, photo), photo.target.cpu().numpy()], 1) for photo in photos]
    picture = Image.fromarray(np.round(np.concatenate(pairs) * 255).astype(np.uint8))
    picture.thumbnail((PICTURE_WIDTH, picture.height), Image.Resampling.LANCZOS)
    return picture


def warm_up(device: torch.device) -> None:
    """What only a machine's first job pays: kernels compiled and loaded."""
    tensors = [torch.rand(100, size, device=device, requires_grad=True) for size in (3, 4, 3)]
    opacities = torch.rand(100, device=device, requires_grad=True)
    sh = torch.rand(100, 1, 3, device=device, requires_grad=True)
    view, lens = torch.eye(4, device=device), torch.eye(3, device=device) * 50
    rasterize(*tensors, opacities, sh, view, lens, 64, 64, sh_degree=0).image.sum().backward()
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def run_cell(chosen: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    scene = read_scene(chosen.dense, chosen.size)
    warm_up(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    numbers = run_stock(chosen, scene) if chosen.trainer in STOCK else run_ours(chosen, scene, device)
    return {
        "scene": scene_name(chosen.dense),
        "trainer": chosen.trainer,
        "set": chosen.set,
        "split": chosen.split,
        "seed": chosen.seed,
        "size": chosen.size,
        "asked_iterations": chosen.iterations,
        "held": held_names(scene, chosen.split),
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
    size = {"train_max_size": chosen.size, "video": False}
    return resolve(parse_request({"preset": chosen.trainer, "seed": chosen.seed, **size, **given}))


def scene_name(dense: Path) -> str:
    """The folder's name, or that of the job that has it as `colmap/dense/`."""
    return next(part for part in reversed(dense.resolve().parts) if part not in {"dense", "colmap"})


def file_of(chosen: argparse.Namespace) -> Path:
    """Where the cell's numbers go: a name that tells all of its settings apart."""
    parts = [
        scene_name(chosen.dense),
        chosen.trainer,
        chosen.split,
        f"seed{chosen.seed}",
        f"{chosen.size}px",
        *([f"{chosen.iterations}it"] if chosen.iterations else []),
        *(["decoded"] if chosen.decoded else []),
        *chosen.set,
    ]
    return Path(chosen.out / ("_".join(parts).replace("/", "-") + ".json"))


def save(cell: dict[str, Any], file: Path) -> None:
    """The picture first: a cell whose JSON is there is whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    cell.pop("picture").save(file.with_name(f"{file.stem}.jpg"), quality=85)
    unfinished = file.with_name(f"{file.stem}.part")
    unfinished.write_text(json.dumps(cell, indent=1) + "\n")
    unfinished.replace(file)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dense", type=Path, nargs="?")
    parser.add_argument("--trainer", choices=[*Preset, *STOCK], default=Preset.BALANCED)
    parser.add_argument("--split", default="fifth", help="fifth, first, or an index")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=SIZE, help="the photos' longer side for all trainers, px")
    parser.add_argument("--iterations", type=int, help="ours: as max_iterations; gsplat's: end after so many")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of ours")
    parser.add_argument("--decoded", action="store_true", help="ours: measure the decoded .sog, too")
    parser.add_argument("--out", type=Path, metavar="DIR")
    parser.add_argument("--shared", action="store_true", help="the machine is busy: don't show seconds")
    parser.add_argument("--queue", type=Path, metavar="FILE")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60.0, help="what runs then is ended")
    parser.add_argument("--table", type=Path, metavar="DIR")
    parser.add_argument("--ablation", type=Path, metavar="DIR")
    parser.add_argument("--base", nargs="+", default=[], metavar="NAME=VALUE")
    chosen = parser.parse_args(arguments)
    if chosen.table or chosen.ablation:
        return chosen
    if chosen.out is None or (chosen.queue is None and chosen.dense is None):
        parser.error("needs DENSE_DIR or --queue with --out, or --table, or --ablation")
    if chosen.dense and chosen.trainer not in STOCK:
        tuning_of(chosen)  # a slip is told before anything is trained
    return chosen


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = parse(arguments)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if chosen.table:
        print(table(read_cells(chosen.table)))
        return 0
    if chosen.ablation:
        print(ablation(read_cells(chosen.ablation), chosen.base))
        return 0
    if chosen.queue:
        warm_up(device)  # compile once, not in all cells at once
        return run_queue(chosen.queue, chosen.out, chosen.jobs, chosen.minutes)
    file = file_of(chosen)
    if file.exists():
        print(f"{file.name} is there already")
        return 0
    if device.type == "cpu":
        if chosen.trainer in STOCK:
            raise SystemExit(f"{chosen.trainer} needs a CUDA device: gsplat has no kernels for the CPU")
        torch.set_num_threads(1)  # as the trainer does
    cell = run_cell(chosen, device)
    save(cell, file)
    print(headline(file.stem, cell), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
