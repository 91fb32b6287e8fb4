"""What cleaning takes from a trained model, rule by rule, and what that costs and saves.

    python bench/cleaning.py MODEL SCENE [--times N]

MODEL is a folder that training left (`model.ply`, `metrics.json`), SCENE what it was trained on. Prints the
machine and one JSON line of what docs/cleaning.md tells:

    removed           how many Gaussians go by which rule
    seconds           that takes
    training          over the fixed subset of the training photos, the cleaned model's pictures against the
                      trained one's, and how much nearer to the photos these are; dB
    held_out          the same at the held-out photos, which steer no rule
    delivered_bytes   of the file that is chosen: of the cleaned model, held against itself, as it is
                      delivered; the same held against the trained one; and of the model as it was trained
    worst_photo       the training photo that is hurt most, and by how much; dB
    worst_if_cropped_by_all_photos
                      the same, were the crop allowed its share of all photos together and not of each
    from_around       share of the pixels that change by more than a tenth, before a white background, in each
                      of four views that show all of the model from around it

With --times N the flight is that many times as large, each photo taken again from 5 m around, and all that is
printed is how many of them are looked at, and the seconds and the rules' counts with these and with all.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from machine import machine

from spaceport.tuning import PRESETS, Preset
from spaceport_compressor.cleaning import flight as flights
from spaceport_compressor.cleaning.clean import MOST_CROPPED, Rules, clean
from spaceport_compressor.cleaning.crop import outside
from spaceport_compressor.cleaning.flight import Flight, least_shown
from spaceport_compressor.judging.fidelity import Reference, measure_fidelity, references_of
from spaceport_compressor.judging.orbit import OVERVIEWS, orbit_around
from spaceport_compressor.judging.rate_choice import write_smallest
from spaceport_compressor.subject import Source, Subject, read_subject
from spaceport_render.camera import Camera
from spaceport_render.gaussians import Gaussians
from spaceport_render.render import render

SHOWS = 0.1  # of the brightest, what a change must have to be seen at a glance
WHITE = (1.0, 1.0, 1.0)  # before black, what darkens does not show
AROUND = 5.0  # metres, standard deviation


def main(model: Path, scene: Path, times: int) -> None:
    """Measure and print."""
    metrics = model / "metrics.json"
    preset = Preset(json.loads(metrics.read_text())["preset"])
    subject = read_subject(Source(model / "model.ply", metrics, scene), PRESETS[preset]["train_max_size"])
    if subject.flight is None:
        raise SystemExit(f"{scene} has no points, without which nothing tells what floats.")
    print(machine("numba"))
    if times > 1:
        print(json.dumps(_of_many_photos(subject.trained, subject.flight, times)))
    else:
        print(json.dumps(_of_the_flight(subject, subject.flight)))


def _of_the_flight(subject: Subject, flight: Flight) -> dict[str, Any]:
    trained = subject.trained
    started = time.perf_counter()
    cleaned = clean(trained, flight, Rules())
    seconds = time.perf_counter() - started
    left = cleaned.gaussians
    steering = subject.steering_references(trained)
    return {
        "gaussians": len(trained),
        "removed": cleaned.removed.model_dump(),
        "seconds": round(seconds, 2),
        "training": asdict(measure_fidelity(left, steering)),
        "held_out": asdict(measure_fidelity(left, subject.judging_references(trained)))
        if subject.held
        else None,
        "delivered_bytes": {
            "cleaned": _delivered(left, subject, subject.steering_references(left)),
            "held against the trained model": _delivered(left, subject, steering),
            "as trained": _delivered(trained, subject, steering),
        },
        "worst_photo": _worst_photo(left, subject),
        "worst_if_cropped_by_all_photos": _worst_photo(_cropped_by_all_photos(trained, flight), subject),
        "from_around": _changed(trained, left),
    }


def _delivered(gaussians: Gaussians, subject: Subject, references: Sequence[Reference]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.sog"
        write_smallest(
            file, gaussians, subject.steering_cameras, references, seed=0, progress=lambda *_, **__: None
        )
        return file.stat().st_size


def _worst_photo(left: Gaussians, subject: Subject) -> tuple[float, str]:
    """How many dB the photo of `subject` loses that loses most where the model becomes `left`; its name."""
    losses = (
        (measure_fidelity(left, references_of(subject.trained, [view])).psnr_loss_db or 0.0, view.camera.name)
        for view in subject.trained_on
    )
    loss, name = max(losses)
    return round(loss, 3), name


def _cropped_by_all_photos(gaussians: Gaussians, flight: Flight) -> Gaussians:
    shown = flight.shows(gaussians)
    allowed = MOST_CROPPED * float(shown.pixels.sum())
    gone = least_shown(outside(gaussians, flight, Rules().crop_margin), shown.pixels, allowed)
    return gaussians.select(~gone)


def _changed(before: Gaussians, after: Gaussians) -> list[float]:
    changes = (
        np.abs(render(after, camera, WHITE) - render(before, camera, WHITE)).max(axis=-1)
        for camera in orbit_around(before, 480)[:OVERVIEWS]
    )
    return [round(float((change > SHOWS).mean()), 2) for change in changes]


def _of_many_photos(gaussians: Gaussians, flight: Flight, times: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    cameras = tuple(_beside(camera, rng) for camera in flight.cameras for _ in range(times))
    many = Flight(cameras, flight.points)
    told: dict[str, Any] = {"photos": len(cameras), "looked at": len(many.telling(gaussians.means))}
    for name, looks in (("these", flights.LOOKS), ("all", len(cameras))):
        with patch.object(flights, "LOOKS", looks):
            started = time.process_time()
            removed = clean(gaussians, many, Rules()).removed
            told[name] = {"removed": removed.model_dump(), "cpu_s": round(time.process_time() - started, 1)}
    return told


def _beside(camera: Camera, rng: np.random.Generator) -> Camera:
    world_to_camera = camera.world_to_camera.copy()
    world_to_camera[:3, 3] += rng.normal(0, AROUND, 3)
    return replace(camera, world_to_camera=world_to_camera)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--times", type=int, default=1, metavar="N", help="take each photo N times")
    given = parser.parse_args()
    main(given.model, given.scene, given.times)
