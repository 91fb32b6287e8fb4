"""What a person at a terminal is told when the model is packed: a few lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from spaceport.quality import ModelQuality, TrainingReport


def summary(quality: ModelQuality, out: Path) -> str:
    """How small the model became, what that cost, and how to look at it."""
    return "\n".join(_lines(quality, out))


def _lines(quality: ModelQuality, out: Path) -> Iterator[str]:
    delivery = quality.delivery
    yield (
        f"{delivery.gaussians:,} Gaussians in {delivery.sog_bytes / 1e6:.2f} MB, "
        f"{delivery.bytes_per_gaussian:.1f} bytes each: "
        f"{delivery.ply_bytes / delivery.sog_bytes:.0f} times smaller than the PLY"
    )
    seen = f"{delivery.decode_psnr_db:.1f} dB against the model as it was trained"
    if delivery.psnr_loss_db is None:
        yield f"{seen}; what that lost on the photos was not measured, --scene SCENE does"
    else:
        lost = round(delivery.psnr_loss_db, 2) + 0.0  # a rounded nothing has no sign
        yield f"{seen}; {lost:.2f} dB lost against {_judges(quality.training)}"
    yield f"Results are in {out}; {out / 'report.html'} tells how good they are"
    yield f"To see it: python -m http.server --directory {out}, then http://localhost:8000/viewer/"


def _judges(training: TrainingReport | None) -> str:
    held = training.holdout if training else []
    return f"{len(held)} held-out photo{'s' if len(held) != 1 else ''}" if held else "its photos"
