"""The memory that training takes, by Gaussians and pixels: what `spaceport_gaussian/memory.py` reckons with.

    python bench/training_memory.py

Trains made scenes of several sizes through two edits, each in a process of its own, and fits
bytes = per_gaussian · N + per_pixel · pixels + fixed. Photos, held beside that, are taken off before.
On a GPU its allocator's peak counts, on a CPU the process's largest resident set less that before the scene.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from itertools import product

import numpy as np
import torch

from spaceport.tuning import Tuning
from spaceport_gaussian.job import start
from spaceport_gaussian.material import prepare
from spaceport_gaussian.memory import PYRAMID_SHARE
from spaceport_gaussian.training import train
from spaceport_render.camera import Camera
from spaceport_render.scene import Scene, View

COUNTS = (20_000, 100_000, 300_000)
WIDTHS = (320, 960, 1600)
ITERATIONS = 40  # four of each size; edits are due after 10, 20 and 30
HEIGHT_M = 30.0


def made_scene(count: int, width: int) -> Scene:
    """Two photos of noise above a flat ground with `count` points, half of what the budget will be."""
    random = np.random.default_rng(0)
    height = width * 9 // 16
    views = []
    for index in range(2):
        world_to_camera = np.diag([1.0, -1.0, -1.0, 1.0])
        world_to_camera[:3, 3] = [-2.0 * index, 0.0, HEIGHT_M]
        camera = Camera(f"{index}.png", width, height, width, width, width / 2, height / 2, world_to_camera)
        views.append(View(camera, random.integers(0, 256, (height, width, 3), dtype=np.uint8)))
    points = random.uniform((-16, -10, -0.5), (18, 10, 0.5), (count // 2, 3)).astype(np.float32)
    return Scene(tuple(views), points, random.integers(0, 256, (count // 2, 3), dtype=np.uint8))


def peak_bytes(count: int, width: int) -> int:
    """The most that training took beside the photos; run once a process."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(1)
    if device.type == "cpu":
        _train(made_scene(200, 64), 200, device)  # compiled kernels are not what we measure
    scene = made_scene(count, width)
    before = 0 if device.type == "cuda" else _resident()
    _train(scene, count, device)
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else _resident() - before
    return peak - round(PYRAMID_SHARE * sum(view.pixels.nbytes for view in scene.views))


def _resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _train(scene: Scene, count: int, device: torch.device) -> None:
    tuning = Tuning(max_iterations=ITERATIONS, max_gaussians=count, train_max_size=8192, holdout=0)
    material = prepare(scene, tuning, device).within(count)
    run = start(material)
    # All SH bands from the first iteration on: they come in at the end, where the count is at its largest.
    train(run, material.photos, material.recipe, watcher=lambda *_: None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--cell", nargs=2, type=int, metavar=("COUNT", "WIDTH"), help="measure this one alone"
    )
    given = parser.parse_args()
    if given.cell:
        print(json.dumps(peak_bytes(*given.cell)))
        return
    rows, peaks = [], []
    print("| Gaussians | pixels | MiB |\n| --- | --- | --- |")
    for count, width in product(COUNTS, WIDTHS):
        command = [sys.executable, __file__, "--cell", str(count), str(width)]
        peak = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        pixels = width * (width * 9 // 16)
        rows.append((count, pixels, 1))
        peaks.append(peak)
        print(f"| {count:,} | {pixels:,} | {peak / 2**20:.0f} |", flush=True)
    fit, *_ = np.linalg.lstsq(np.array(rows, float), np.array(peaks, float), rcond=None)
    worst = max(peak / (np.array(row) @ fit) for row, peak in zip(rows, peaks, strict=True))
    per_gaussian, per_pixel, fixed = fit
    print(f"\nper Gaussian {per_gaussian:.0f} B, per pixel {per_pixel:.0f} B, fixed {fixed / 2**20:.0f} MiB;")
    print(f"a cell takes at most {worst:.2f} of the fit")


if __name__ == "__main__":
    main()
