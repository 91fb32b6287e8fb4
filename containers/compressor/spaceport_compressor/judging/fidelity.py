"""What delivery costs: how far the decoded file's pictures are from those of what it packs, and its size."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from spaceport.errors import UserError
from spaceport.quality import DeliveryNumbers
from spaceport_render.camera import Camera
from spaceport_render.gaussians import Floats, Gaussians
from spaceport_render.metrics import psnr
from spaceport_render.render import render
from spaceport_render.scene import View

PROMISED_DB = 40.0  # of decoded pictures, wherever they are looked at
# A margin for views not measured: held-out views of brighton, a flight of 16 photos, decode 2 to 3 dB below
# the training views that choose, and lose up to 0.03 dB more.
LEAST_DECODE_DB = 44.0
MOST_LOSS_DB = 0.1
# Where nobody took photos, made-up views judge, and these are kinder: they show more of what is blurred. On
# brighton a file with 42.5 dB from them had 38.1 dB where the drone had been.
LEAST_UNSEEN_DB = 45.0
# Pictures: enough for the report to show where a model is weak, few enough for a reader to look at each.
KEPT = 6
IDENTICAL_DB = 100.0  # stands for the infinite PSNR of equal pictures, which JSON can't hold


@dataclass(frozen=True)
class Fidelity:
    """Means over views, dB.

    Attributes:
        decode_psnr_db: PSNR of the decoded model's renders against those of the model before packing.
        psnr_loss_db: how much lower the decoded model's PSNR against the photos is; negative: higher. None
            where there are no photos.
    """

    decode_psnr_db: float
    psnr_loss_db: float | None

    @property
    def good_enough(self) -> bool:
        """Whether the file may be delivered without trying a more faithful one."""
        if self.psnr_loss_db is None:
            return self.decode_psnr_db >= LEAST_UNSEEN_DB
        return self.decode_psnr_db >= LEAST_DECODE_DB and self.psnr_loss_db <= MOST_LOSS_DB


def split_views(views: Sequence[View], holdout: Collection[str]) -> tuple[tuple[View, ...], tuple[View, ...]]:
    """The views that training used, and those held out from it.

    Raises:
        UserError: `bad_training_report`, where a held-out photo is not in the scene, or all are held out.
    """
    missing = set(holdout) - {view.camera.name for view in views}
    if missing:
        raise UserError(
            "bad_training_report",
            f"Training held out {sorted(missing)[0]}, which is not in the scene.",
            "Give the scene that the model was trained on.",
        )
    held = tuple(view for view in views if view.camera.name in holdout)
    trained_on = tuple(view for view in views if view.camera.name not in holdout)
    if not trained_on:
        raise UserError(
            "bad_training_report",
            "Training held out all photos of the scene.",
            "Give the whole scene that the model was trained on.",
        )
    return trained_on, held


@dataclass(frozen=True)
class Reference:
    """A place to judge at, the picture there of the model to hold others against, and the photo if any.

    Both pictures are (H, W, 3), the former in 0..1, the photo uint8.
    """

    camera: Camera
    picture: Floats
    photo: NDArray[np.uint8] | None = None


def references_of(model: Gaussians, views: Sequence[View]) -> tuple[Reference, ...]:
    """Pictures of `model` at `views`, with their photos: what any decoded file of it is held against."""
    return tuple(Reference(view.camera, render(model, view.camera).clip(0, 1), view.pixels) for view in views)


def references_without_photos(model: Gaussians, cameras: Sequence[Camera]) -> tuple[Reference, ...]:
    """As `references_of`, where nobody took a photo."""
    return tuple(Reference(camera, render(model, camera).clip(0, 1)) for camera in cameras)


@dataclass(frozen=True)
class Judged:
    """A photo and the decoded model's picture from the same place, (H, W, 3) uint8, and their PSNR in dB."""

    name: str
    photo: NDArray[np.uint8]
    picture: NDArray[np.uint8]
    psnr_db: float


@dataclass(frozen=True)
class Judgement:
    """What the decoded model is worth.

    Attributes:
        worst: up to KEPT of the photos, the worst PSNR first; none where there are no photos.
    """

    fidelity: Fidelity
    worst: tuple[Judged, ...]


def measure_fidelity(decoded: Gaussians, references: Sequence[Reference]) -> Fidelity:
    """Render the decoded model at each of `references` (at least one) and compare."""
    return judge(decoded, references).fidelity


def judge(decoded: Gaussians, references: Sequence[Reference]) -> Judgement:
    """As `measure_fidelity`, keeping the pictures in which the model is least like the photo."""
    decode, losses, worst = [], [], list[Judged]()
    for reference in references:
        picture = render(decoded, reference.camera).clip(0, 1)
        decode.append(_finite(psnr(picture, reference.picture)))
        if reference.photo is None:
            continue
        photo = reference.photo / 255.0
        likeness = _finite(psnr(picture, photo))
        losses.append(_finite(psnr(reference.picture, photo)) - likeness)
        pixels = np.rint(picture * 255).astype(np.uint8)
        worst.append(Judged(reference.camera.name, reference.photo, pixels, likeness))
        # A flight has more photos to judge by than pictures that memory should hold.
        worst = sorted(worst, key=lambda one: one.psnr_db)[:KEPT]
    return Judgement(Fidelity(fmean(decode), fmean(losses) if losses else None), tuple(worst))


def loss_since(before: Gaussians, references: Sequence[Reference]) -> float | None:
    """How much lower the PSNR of `references` against the photos is than that of `before`, what they were
    made of; dB, None without photos.
    """
    lost_by_going_back = measure_fidelity(before, references).psnr_loss_db
    return None if lost_by_going_back is None else 0.0 - lost_by_going_back  # nothing has no sign


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
