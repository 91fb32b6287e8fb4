"""How true is the viewer's tape measure? On the demo flight, where each pixel's place is known.

    python bench/measuring.py COMPRESSED TRUTH.json [--photos 5] [--points 60] [--seed 0]

COMPRESSED is what the compression stage left of the demo flight (`model.sog`, `viewer/`); TRUTH.json was
written with the flight (`python -m spaceport_demo DIR`). The viewer is opened at photos' cameras; the tool
looks for the surface at random places of each, and the made landscape tells where those are. Compared are
distances between two places of a photo, 2 to 40 m long.

Prints one JSON line: the error in metres (median, and 90 % are within), what is left of it when all are of
one scale, that scale, and the share of distances that are within the margin that the page tells: 0.68 would
be just right.
"""

from __future__ import annotations

import argparse
import json
import shutil
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page
from viewer_fidelity import launched, opened, served

from spaceport_demo.raycast import render_view
from spaceport_demo.survey import Survey

Floats = NDArray[np.float64]
SIZE = (800, 600)  # of the window: the photos' shape
SHORTEST, LONGEST = 2.0, 40.0  # metres; farther apart, one end is mostly at the edge of the photo
FAR = 150.0  # metres: sky and the far shore, which the flight did not look at
PICK = """async (places) => {
    const found = [];
    for (const [x, y] of places) {
        const one = await tape.surfaceAt(x, y);
        found.push(one && [one.at.x, one.at.y, one.at.z, one.footprint]);
    }
    return found;
}"""
MARGIN = """async (ends) => {
    const { margin } = await import('./tape.js');
    const place = JSON.parse(document.getElementById('viewer').dataset.place);
    const point = ([x, y, z, footprint]) => ({
        at: { x, y, z, distance: (o) => Math.hypot(x - o.x, y - o.y, z - o.z) }, footprint });
    return ends.map((pair) => margin(pair.map(point), place));
}"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("compressed", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--photos", type=int, default=5)
    parser.add_argument("--points", type=int, default=60, help="of a photo")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--chromium", default=shutil.which("chromium") or "chromium", help="the browser")
    options = parser.parse_args(arguments)
    rng = np.random.default_rng(options.seed)
    truth = json.loads(options.truth.read_text())
    survey = Survey(photos=len(truth["photos"]))
    landscape, ground = survey.build_scene()
    shots = sorted(survey.shots(), key=lambda shot: shot.name)
    # The program's names differ from the flight's, but sort as they do.
    names = sorted(json.loads((options.compressed / "viewer/cameras.json").read_text())["cameras"])
    measured, true, margins = [], [], []
    with launched(options.chromium) as browser, served(options.compressed) as site:
        for at in np.linspace(0, len(shots) - 1, options.photos).astype(int):
            # Middles of pixels: there the landscape was looked at.
            pixels = (np.floor(rng.uniform(0.1, 0.9, (options.points, 2)) * SIZE) + 0.5) / SIZE
            address = f"{site}/viewer/?camera={quote(names[at])}"
            with opened(address, browser, viewport=dict(zip(("width", "height"), SIZE, strict=True))) as page:
                found = picked(page, pixels)
                view = render_view(landscape, ground, shots[at].seen_by(*SIZE))
                places = places_of(shots[at], view.distance, pixels)
                pairs = [
                    pair
                    for pair in combinations(range(options.points), 2)
                    if all(found[i] is not None and np.isfinite(places[i]).all() for i in pair)
                    and SHORTEST < np.linalg.norm(np.subtract(*places[list(pair)])) < LONGEST
                ]
                true += [float(np.linalg.norm(np.subtract(*places[list(pair)]))) for pair in pairs]
                ends = [[found[i] for i in pair] for pair in pairs]
                measured += [float(np.linalg.norm(np.subtract(a[:3], b[:3]))) for a, b in ends]
                margins += page.evaluate(MARGIN, ends)
    print(json.dumps(figures(np.array(measured), np.array(true), np.array(margins))))
    return 0


def picked(page: Page, pixels: Floats) -> list[list[float] | None]:
    """[x, y, z, size of a pixel] of the surface at each of these places of the window."""
    page.wait_for_function("!document.getElementById('measure').hidden")
    found: list[list[float] | None] = page.evaluate(PICK, pixels.tolist())
    return found


def places_of(shot: Any, distance: NDArray[np.float32], pixels: Floats) -> Floats:
    """(N, 3) metres: what the flight's landscape has there; NaN where that is far away."""
    camera = shot.seen_by(*SIZE)
    x, y = (pixels * SIZE).T
    ways = np.stack(
        [(x - camera.center_x) / camera.focal, (y - camera.center_y) / camera.focal, np.ones_like(x)], axis=1
    )
    ways = ways / np.linalg.norm(ways, axis=1, keepdims=True) @ shot.rotation
    far = distance[y.astype(int), x.astype(int)].astype(np.float64)
    return np.where(far < FAR, far, np.nan)[:, None] * ways + shot.position


def figures(measured: Floats, true: Floats, margins: Floats) -> dict[str, float]:
    off = measured - true
    scale = float(np.median(measured / true))
    apart = np.abs(measured / scale - true)
    return {
        "distances": len(true),
        "median_m": round(float(np.median(true)), 2),
        "error_m": round(float(np.median(np.abs(off))), 3),
        "error_90_m": round(float(np.quantile(np.abs(off), 0.9)), 3),
        "error_at_true_scale_m": round(float(np.median(apart)), 3),
        "error_90_at_true_scale_m": round(float(np.quantile(apart, 0.9)), 3),
        "scale": round(scale, 4),
        "margin_m": round(float(np.median(margins)), 3),
        "within_margin": round(float((np.abs(off) <= margins).mean()), 3),
    }


if __name__ == "__main__":
    raise SystemExit(main())
