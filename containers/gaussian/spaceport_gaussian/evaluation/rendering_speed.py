"""How quickly a splat is drawn."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median

import torch

from spaceport_gaussian.photos import Photo
from spaceport_gaussian.splat import Splat

ROUNDS = 3  # of all cameras, after one to warm up caches and the GPU's clock


@torch.no_grad()
def frames_per_second(splat: Splat, photos: Sequence[Photo]) -> float:
    """Renders a second of `splat` on its device, as large as `photos`: 1 / the median time of one.

    Activations, projection, sorting and compositing of one frame after another, the next not begun before the
    last is done; the picture stays on the device.
    """
    for photo in photos:
        _seconds(splat, photo)
    return 1 / median(_seconds(splat, photo) for _ in range(ROUNDS) for photo in photos)


def _seconds(splat: Splat, photo: Photo) -> float:
    _await_device(splat.means.device)
    started = time.perf_counter()
    splat.render(photo)
    _await_device(splat.means.device)
    return time.perf_counter() - started


def _await_device(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
