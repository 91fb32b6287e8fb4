"""What it is worth to look at a model from between the photos, too, before it is packed (`sog/lookouts.py`).

    python bench/lookouts.py MODEL SCENE

MODEL is a folder that training left (`model.ply`, `metrics.json`, which names held-out photos), SCENE what it
was trained on. The model is packed at some precisions, once told what shows by the flight's own places alone
and once by those between them, too. Prints bytes a Gaussian, the decoded pictures' PSNR in dB at places of
photos trained on and of those held out, and by how many dB the latter are better for a file of the same size.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from machine import machine

from spaceport.tuning import PRESETS, Preset
from spaceport_compressor.judging.fidelity import measure_fidelity
from spaceport_compressor.judging.rate_choice import ladder
from spaceport_compressor.sog.archive import write_archive
from spaceport_compressor.sog.lookouts import lookouts
from spaceport_compressor.sog.read import read_sog
from spaceport_compressor.sog.scan_order import scan_order
from spaceport_compressor.sog.viewing import viewing_from
from spaceport_compressor.sog.write import Draft
from spaceport_compressor.subject import Source, Subject, read_subject
from spaceport_render.camera import Camera

STEPS = (0, 3, 6, 9, 12)  # of the ladder: from the smallest file to nearly the finest


@dataclass(frozen=True)
class Packed:
    """One file: bytes a Gaussian, and its decoded pictures' dB at photos trained on and at those held out."""

    size: float
    trained_db: float
    held_db: float


def pack(subject: Subject, cameras: Sequence[Camera]) -> list[Packed]:
    """`subject`'s model at each of STEPS, told what shows by `cameras`."""
    model = subject.trained
    draft = Draft(model, viewing_from(model, cameras), scan_order(model.means), seed=0)
    trained, held = subject.steering_references(model), subject.judging_references(model)
    packed = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.sog"
        for step in STEPS:
            write_archive(file, draft.files(ladder(len(model))[step]))
            decoded = read_sog(file)
            decibels = (measure_fidelity(decoded, views).decode_psnr_db for views in (trained, held))
            packed.append(Packed(file.stat().st_size / len(model), *decibels))
    return packed


def better_db(files: Sequence[Packed], others: Sequence[Packed]) -> list[float]:
    """By how many dB each of `others` is better at held-out photos than `files` would be at its size."""
    sizes, decibels = [file.size for file in files], [file.held_db for file in files]
    within = [other for other in others if sizes[0] <= other.size <= sizes[-1]]
    return [other.held_db - float(np.interp(other.size, sizes, decibels)) for other in within]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("scene", type=Path)
    given = parser.parse_args()
    metrics = given.model / "metrics.json"
    preset = Preset(json.loads(metrics.read_text())["preset"])
    subject = read_subject(
        Source(given.model / "model.ply", metrics, given.scene), PRESETS[preset]["train_max_size"]
    )
    if not subject.held:
        parser.error("no photo was held out of this model's training")
    every = lookouts(subject.steering_cameras)
    photos = pack(subject, every[: len(every) // 2])
    between = pack(subject, every)
    print(machine("numba", "pillow"))
    for name, files in (("photos' places", photos), ("and between", between)):
        for file in files:
            print(f"{name}: {file.size:.2f} bytes, {file.trained_db:.1f} dB, held out {file.held_db:.1f} dB")
    gains = better_db(photos, between)
    print(f"better at held-out photos for the same size: {min(gains):.1f} to {max(gains):.1f} dB")


if __name__ == "__main__":
    main()
