"""What a person at a terminal is told when the model is packed: a few lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from spaceport.quality import DeliveryNumbers, ModelQuality, TrainingReport


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
    seen = f"{delivery.decode_psnr_db:.1f} dB against the model before it was packed"
    if delivery.lost_db is None:
        yield f"{seen}; what that lost on the photos was not measured, --scene SCENE does"
    else:
        lost = round(delivery.lost_db, 2) + 0.0  # a rounded nothing has no sign
        loss = f"{lost:.2f} dB" if lost > 0 else "nothing"
        by_cleaning = _by_cleaning(delivery) if lost > 0 else ""
        yield f"{seen}; {loss} lost against {_judges(quality.training)}{by_cleaning}"
    yield f"Results are in {out}; {out / 'report.html'} tells how good they are"
    yield f"To see it: python -m http.server --directory {out}, then http://localhost:8000/viewer/"


def _by_cleaning(delivery: DeliveryNumbers) -> str:
    lost = round(delivery.cleaning_loss_db or 0.0, 2)
    return f", {lost:.2f} of it by cleaning" if lost > 0 else ""


def _judges(training: TrainingReport | None) -> str:
    held = training.holdout if training else []
    return f"{len(held)} held-out photo{'s' if len(held) != 1 else ''}" if held else "its photos"
