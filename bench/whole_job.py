"""How long does a whole job take on this machine, and how good is what comes out?

    python bench/whole_job.py PHOTOS.zip [--preset preview] [--holdout 8]

Runs the product's own command on the local cloud and prints a table of the delivered `quality.json`, with
the machine and the date. Times are wall seconds; nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import machine

from spaceport.quality import QUALITY_REPORT, QualityReport


def run(photos: Path, preset: str, holdout: int) -> QualityReport:
    """The report of one job, made anew."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "run",
            str(photos),
            "--preset",
            preset,
            "--set",
            f"holdout={holdout}",
            "--again",
            "--out",
            folder,
        ]
        subprocess.run([sys.executable, "-m", "spaceport_cli", *command], check=True, stdout=sys.stderr)
        return QualityReport.model_validate_json((Path(folder) / QUALITY_REPORT).read_bytes())


def rows(quality: QualityReport) -> dict[str, str]:
    """What is worth a line, by its name."""
    training, delivery, georef = quality.training, quality.delivery, quality.georef
    return {
        "registered": f"{quality.photos.registered} of {quality.photos.given}",
        "GPS RMS": f"{georef.rms_horizontal_m:.2f} m / {georef.rms_vertical_m:.2f} m" if georef else "no GPS",
        "reprojection": f"{quality.sfm.reprojection_px:.3f} px, {quality.sfm.points} points",
        "held out": f"{training.psnr_holdout} dB, SSIM {training.ssim_holdout}",
        "held out, detail": f"{training.detail_holdout}",
        "held out, untrained": f"{training.psnr_holdout_initial} dB",
        "training photos": f"{training.psnr_train:.2f} dB",
        "delivered": f"{delivery.sog_bytes} bytes, {delivery.gaussians} Gaussians",
        "lost by delivery": f"{delivery.lost_db:.3f} dB (decode {delivery.decode_psnr_db:.1f} dB)",
        "stages": ", ".join(f"{name} {seconds:.1f} s" for name, seconds in (quality.stages or {}).items()),
        "whole job": f"{quality.total_seconds} s",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--preset", default="preview")
    parser.add_argument("--holdout", type=int, default=8)
    given = parser.parse_args()
    quality = run(given.photos, given.preset, given.holdout)
    print(f"{given.photos.name}, {given.preset}; {machine()}")
    for name, value in rows(quality).items():
        print(f"{name:>20}  {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
