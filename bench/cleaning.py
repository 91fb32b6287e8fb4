"""What cleaning takes from a trained model, rule by rule, and what that costs the photos.

    python bench/cleaning.py MODEL SCENE

MODEL is a folder that training left (`model.ply`, `metrics.json`), SCENE what it was trained on. Prints one
JSON line: how many Gaussians go by which rule, seconds, bytes of a SOG file before and after, and over the
fixed subset of the training photos and over the held-out ones the PSNR in dB against the photos that is lost,
and that of the cleaned model's pictures against the trained one's. Held-out photos steer no rule.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from spaceport.tuning import PRESETS, Preset
from spaceport_compressor.cleaning.clean import Rules, clean
from spaceport_compressor.judging.fidelity import Reference, measure_fidelity
from spaceport_compressor.sog.write import write_sog
from spaceport_compressor.subject import Source, read_subject
from spaceport_render.gaussians import Gaussians


def main(model: Path, scene: Path) -> None:
    """Measure and print."""
    metrics = model / "metrics.json"
    preset = Preset(json.loads(metrics.read_text())["preset"])
    subject = read_subject(Source(model / "model.ply", metrics, scene), PRESETS[preset]["train_max_size"])
    started = time.perf_counter()
    cleaned = clean(subject.trained, subject.flight, Rules())
    seconds = time.perf_counter() - started
    held = subject.judging_references(subject.trained) if subject.held else ()
    print(
        json.dumps(
            {
                "gaussians": len(subject.trained),
                "removed": cleaned.removed.model_dump(),
                "seconds": round(seconds, 2),
                "sog_bytes": [_packed(subject.trained), _packed(cleaned.gaussians)],
                "training": _cost(cleaned.gaussians, subject.steering_references(subject.trained)),
                "held_out": _cost(cleaned.gaussians, held) if held else None,
            }
        )
    )


def _cost(cleaned: Gaussians, references: Sequence[Reference]) -> dict[str, float]:
    return asdict(measure_fidelity(cleaned, references))


def _packed(gaussians: Gaussians) -> int:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.sog"
        write_sog(file, gaussians)
        return file.stat().st_size


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("scene", type=Path)
    given = parser.parse_args()
    main(given.model, given.scene)
