"""What delivery costs: how far the decoded file's pictures are from the trained model's, and its size."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from spaceport.errors import UserError
from spaceport.progress import Progress
from spaceport.quality import DeliveryNumbers

from spaceport_render.gaussians import Gaussians
from spaceport_render.metrics import psnr
from spaceport_render.render import render
from spaceport_render.scene import View

TRAINING_SUBSET = 8  # photos, as training's own fixed subset: one alone is noise, all cost time
IDENTICAL_DB = 100.0  # stands for the infinite PSNR of equal pictures, which JSON can't hold


@dataclass(frozen=True)
class Fidelity:
    """Means over views, dB.

    Attributes:
        decode_psnr_db: PSNR of the decoded model's renders against the trained model's.
        psnr_loss_db: how much lower the decoded model's PSNR against the photos is; negative: higher.
    """

    decode_psnr_db: float
    psnr_loss_db: float


def measured_views(views: Sequence[View], holdout: Collection[str]) -> tuple[View, ...]:
    """The views that fidelity is measured on: the held-out ones, else training's fixed subset.

    Raises:
        UserError: `bad_training_report`, where a held-out photo is not in the scene.
    """
    if not holdout:
        count = min(TRAINING_SUBSET, len(views))
        return tuple(views[(2 * i + 1) * len(views) // (2 * count)] for i in range(count))
    chosen = tuple(view for view in views if view.camera.name in holdout)
    missing = set(holdout) - {view.camera.name for view in chosen}
    if missing:
        raise UserError(
            "bad_training_report",
            f"Training held out {sorted(missing)[0]}, which is not in the scene.",
            "Give the scene that the model was trained on.",
        )
    return chosen


def measure_fidelity(
    trained: Gaussians, decoded: Gaussians, views: Sequence[View], progress: Progress
) -> Fidelity:
    """Render both models at every one of `views` (at least one) and compare."""
    decode, losses = [], []
    for done, view in enumerate(views):
        photo = view.pixels / 255.0
        before = render(trained, view.camera).clip(0, 1)
        after = render(decoded, view.camera).clip(0, 1)
        decode.append(_finite(psnr(after, before)))
        losses.append(_finite(psnr(before, photo)) - _finite(psnr(after, photo)))
        progress((done + 1) / len(views), "Comparing the delivered model with the trained one")
    return Fidelity(fmean(decode), fmean(losses))


def delivery_numbers(model: Path, sog: Path, gaussians: int, fidelity: Fidelity) -> DeliveryNumbers:
    """The report's part on delivery, of the trained `model` and the delivered `sog`."""
    sog_bytes = sog.stat().st_size
    return DeliveryNumbers(
        ply_bytes=model.stat().st_size,
        sog_bytes=sog_bytes,
        bytes_per_gaussian=sog_bytes / gaussians,
        decode_psnr_db=fidelity.decode_psnr_db,
        psnr_loss_db=fidelity.psnr_loss_db,
        gaussians=gaussians,
    )


def _finite(decibels: float) -> float:
    return min(decibels, IDENTICAL_DB)
