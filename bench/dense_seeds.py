"""How much of what SfM leaves empty do dense seeds fill, how far off are they, and what do they cost?

    python bench/dense_seeds.py DENSE_DIR [--demo PHOTOS]

DENSE_DIR is the SfM stage's `colmap/dense/`, with or without seeds; nothing is written. With `--demo` it must
be of the demo flight of so many photos: then the true surface is rendered and each seed measured against it.
A seed's distance is that to the nearest of the points that the photos' pixels (at 800 of 1600) truly show,
0.12 m apart: so 0.03 m is nothing. Its relative distance is to the depth in the photo it comes from. "Empty"
is the share of the photos' area that has no SfM point within twice the seeds' spacing, "filled" the share of
that which has a seed as near.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from machine import machine
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from spaceport_demo.raycast import GROUND, render_view
from spaceport_demo.survey import Survey
from spaceport_render.seed_file import DenseSeeds
from spaceport_sfm.placement.similarity import Similarity, umeyama
from spaceport_sfm.seeding.dense_seeds import NEAR, PosedPhotos, find_seeds

Floats = NDArray[np.float64]

SHRINK = 2  # of the photos whose surface is the truth
FARTHEST = 150.0  # metres: the haze at the horizon is no surface
EVERY = 5  # of the truth's pixels along each side, for shares of area
CONFIDENCES = ((0.0, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 1.01))


class Truth:
    """The surface that a demo flight's photos show.

    Attributes:
        positions: (N, 3) metres, of the cameras.
        points: (M, 3) metres; kinds: (M,) "ground", "building" or "crown".
        sampled: indices of points that stand for equal shares of the photos' area.
    """

    def __init__(self, photos: int) -> None:
        survey = Survey(photos=photos)
        landscape, ground = survey.build_scene()
        shots = survey.shots()
        solids = len(landscape.solids.spheres)
        found = []
        for shot in shots:
            camera = shot.seen_by(survey.width // SHRINK, survey.height // SHRINK)
            view = render_view(landscape, ground, camera)
            rows, columns = np.mgrid[: camera.height, : camera.width]
            rays = (
                np.stack([columns + 0.5 - camera.center_x, rows + 0.5 - camera.center_y], axis=-1)
                / camera.focal
            )
            rays = np.concatenate([rays, np.ones((*rays.shape[:2], 1))], axis=-1) @ shot.rotation
            rays *= (view.distance / np.linalg.norm(rays, axis=-1))[..., None]
            near = view.distance < FARTHEST
            every = (rows % EVERY == 2) & (columns % EVERY == 2)
            found.append((shot.position + rays[near], view.items[near], every[near]))
        self.names = [Path(shot.name).stem for shot in shots]
        self.positions = np.array([shot.position for shot in shots])
        self.points = np.concatenate([points for points, _, _ in found])
        items = np.concatenate([items for _, items, _ in found])
        self.kinds = np.where(items == GROUND, "ground", np.where(items < solids, "building", "crown"))
        self.sampled = np.flatnonzero(np.concatenate([every for _, _, every in found]))

    def frame(self, photos: PosedPhotos) -> Similarity:
        """From the model's frame into the truth's."""
        shots = [
            next(index for index, name in enumerate(self.names) if name in camera.name)
            for camera in photos.cameras
        ]
        centres = np.array([camera.position for camera in photos.cameras])
        return umeyama(centres, self.positions[shots])


def row(name: str, distances: Floats, relative: Floats) -> str:
    if not len(distances):
        return f"| {name} | 0 | | | | | |"
    median, most = np.percentile(distances, [50, 90])
    relative_median, relative_most = np.percentile(100 * relative, [50, 90])
    return (
        f"| {name} | {len(distances):,} | {median:.2f} | {most:.2f} | {relative_median:.2f} "
        f"| {relative_most:.2f} | {100 * (relative > 0.01).mean():.1f} |"
    )


def accuracy(photos: PosedPhotos, seeds: DenseSeeds, truth: Truth) -> Iterator[str]:
    """The lines of the table."""
    frame = truth.frame(photos)
    points = frame.apply(seeds.points.astype(np.float64))
    homes = frame.apply(np.array([camera.position for camera in photos.cameras]))
    distances, nearest = cKDTree(truth.points).query(points)
    relative = distances / np.linalg.norm(points - homes[seeds.tellers[seeds.starts[:-1]]], axis=1)
    yield "| seeds | count | median m | 90 % m | median % of depth | 90 % | off by > 1 %, % |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    yield row("all", distances, relative)
    for kind in ("ground", "building", "crown"):
        is_of = truth.kinds[nearest] == kind
        yield row(kind, distances[is_of], relative[is_of])
    for low, high in CONFIDENCES:
        is_of = (seeds.confidence >= low) & (seeds.confidence < high)
        yield row(f"confidence {low}–{min(high, 1.0)}", distances[is_of], relative[is_of])
    shown = truth.points[truth.sampled]
    reach = NEAR * seeds.spacing
    empty = ~_is_near(frame.apply(photos.points), shown, reach)
    filled = empty & _is_near(points, shown, reach)
    for kind in ("ground", "building", "crown"):
        is_of = truth.kinds[truth.sampled] == kind
        yield (
            f"{kind}: {100 * empty[is_of].mean():.1f} % of its area empty, of which "
            f"{100 * filled[is_of].sum() / max(1, empty[is_of].sum()):.1f} % filled"
        )
    yield f"all: {100 * empty.mean():.1f} % empty, of which {100 * filled.sum() / empty.sum():.1f} % filled"


def _is_near(points: Floats, places: Floats, reach: float) -> NDArray[np.bool_]:
    distances, _ = cKDTree(points).query(places, distance_upper_bound=reach)
    return np.isfinite(distances)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dense", type=Path)
    parser.add_argument("--demo", type=int, metavar="PHOTOS", help="measure against the demo flight's truth")
    chosen = parser.parse_args()

    photos = PosedPhotos.read(chosen.dense)
    began, cpu_began = time.perf_counter(), time.process_time()
    seeds = find_seeds(photos)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    count = len(photos.cameras)
    each = cpu_seconds / count
    print(machine("opencv-python-headless", "pycolmap"))
    print(
        f"{count} photos, {len(photos.points):,} SfM points: {len(seeds):,} seeds {seeds.spacing:.2f} m "
        f"apart in {seconds:.1f} s, {cpu_seconds:.1f} CPU s, {each:.2f} a photo"
    )
    if chosen.demo:
        for line in accuracy(photos, seeds, Truth(chosen.demo)):
            print(line)


if __name__ == "__main__":
    main()
