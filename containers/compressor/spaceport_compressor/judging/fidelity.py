"""What delivery costs: how far the decoded file's pictures are from the trained model's, and its size."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from spaceport.errors import UserError
from spaceport.quality import DeliveryNumbers
from spaceport_render.gaussians import Floats, Gaussians
from spaceport_render.metrics import psnr
from spaceport_render.render import render
from spaceport_render.scene import View

# What the product promises (decode 40 dB, loss 0.1 dB), and half a decibel for views not measured.
LEAST_DECODE_DB = 40.5
MOST_LOSS_DB = 0.1
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

    @property
    def good_enough(self) -> bool:
        """Whether the file may be delivered without trying a more faithful one."""
        return self.decode_psnr_db >= LEAST_DECODE_DB and self.psnr_loss_db <= MOST_LOSS_DB


def split_views(views: Sequence[View], holdout: Collection[str]) -> tuple[tuple[View, ...], tuple[View, ...]]:
    """The views that training used, and those held out from it.

    Raises:
        UserError: `bad_training_report`, where a held-out photo is not in the scene.
    """
    missing = set(holdout) - {view.camera.name for view in views}
    if missing:
        raise UserError(
            "bad_training_report",
            f"Training held out {sorted(missing)[0]}, which is not in the scene.",
            "Give the scene that the model was trained on.",
        )
    held = tuple(view for view in views if view.camera.name in holdout)
    return tuple(view for view in views if view.camera.name not in holdout), held


@dataclass(frozen=True)
class Reference:
    """A view to judge at, and the trained model's picture there, (H, W, 3) in 0..1."""

    view: View
    picture: Floats


def references_of(trained: Gaussians, views: Sequence[View]) -> tuple[Reference, ...]:
    """The trained model's pictures at `views`: what any decoded file is held against."""
    return tuple(Reference(view, render(trained, view.camera).clip(0, 1)) for view in views)


def measure_fidelity(decoded: Gaussians, references: Sequence[Reference]) -> Fidelity:
    """Render the decoded model at each of `references` (at least one) and compare."""
    decode, losses = [], []
    for reference in references:
        photo = reference.view.pixels / 255.0
        picture = render(decoded, reference.view.camera).clip(0, 1)
        decode.append(_finite(psnr(picture, reference.picture)))
        losses.append(_finite(psnr(reference.picture, photo)) - _finite(psnr(picture, photo)))
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
