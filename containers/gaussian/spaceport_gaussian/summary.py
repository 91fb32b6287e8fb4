"""What a person at a terminal is told when the model is trained: a few lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from spaceport.quality import TrainingReport


def summary(report: TrainingReport, out: Path) -> str:
    """The headline numbers of a finished run, and what was mended on the way."""
    return "\n".join(_lines(report, out))


def _lines(report: TrainingReport, out: Path) -> Iterator[str]:
    yield (
        f"{report.gaussians:,} Gaussians in {report.iterations:,} iterations, "
        f"{report.seconds:.0f} s on {report.device}"
    )
    trained_on = f"{report.psnr_train:.2f} dB on photos it learnt from"
    if report.psnr_holdout is None:
        yield f"{trained_on}, which flatters; --set holdout=8 keeps every 8th photo away to measure by"
    else:
        yield (
            f"{report.psnr_holdout:.2f} dB PSNR, {report.ssim_holdout:.3f} SSIM, "
            f"{report.detail_holdout:.2f} of the photos' detail on {len(report.holdout)} held-out photos; "
            f"{trained_on}"
        )
    for incident in report.incidents:
        yield f"  iteration {incident.iteration}: {incident.what} {incident.done}"
    yield f"Results are in {out}"
