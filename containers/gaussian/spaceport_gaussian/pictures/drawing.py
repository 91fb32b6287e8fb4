"""A splat as bytes: what pictures and frames are made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from spaceport_gaussian.photos import Vantage
from spaceport_gaussian.splat import Splat

Pixels = NDArray[np.uint8]


@torch.no_grad()
def drawn(splat: Splat, at: Vantage) -> Pixels:
    """The splat seen from `at`, (H, W, 3)."""
    image = splat.render(at).image.clamp(0.0, 1.0).nan_to_num()
    return (image * 255.0).round().to(torch.uint8).cpu().numpy()  # bytes: a quarter of the way from a GPU


def write_jpeg(file: Path, pixels: Pixels, quality: int) -> None:
    """Write `pixels` (H, W, 3) as a JPEG that is never seen half written; its folder is made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}")
    Image.fromarray(pixels).save(unfinished, format="JPEG", quality=quality)
    unfinished.replace(file)
