"""The photos that training compares against: kept in memory as bytes, at the sizes of the schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from spaceport_render.camera import Camera
from spaceport_render.scene import View

MIN_SIDE = 16  # pixels; SSIM's window is 11 wide


@dataclass(frozen=True)
class Vantage:
    """A camera as the rasterizer takes it.

    Attributes:
        camera: the view, in pixels of the picture's size.
        world_to_camera: (4, 4) float32.
        intrinsics: (3, 3) float32.
    """

    camera: Camera
    world_to_camera: Tensor
    intrinsics: Tensor

    @classmethod
    def of_camera(cls, camera: Camera, device: torch.device) -> Vantage:
        """`camera` on `device`, without any photo."""
        return Vantage(
            camera,
            torch.tensor(camera.world_to_camera, dtype=torch.float32, device=device),
            torch.tensor(camera.intrinsics, dtype=torch.float32, device=device),
        )


@dataclass(frozen=True)
class Photo(Vantage):
    """One photo at one size, and where it was taken.

    Attributes:
        pixels: (H, W, 3) uint8.
    """

    pixels: Tensor

    @property
    def name(self) -> str:
        return self.camera.name

    @property
    def target(self) -> Tensor:
        """The colours in 0..1, (H, W, 3) float32. Made on the fly: bytes take a quarter of the memory."""
        return self.pixels / 255.0

    @classmethod
    def of_view(cls, view: View, device: torch.device) -> Photo:
        at = Vantage.of_camera(view.camera, device)
        pixels = torch.tensor(view.pixels, device=device)
        return Photo(at.camera, at.world_to_camera, at.intrinsics, pixels)


class PhotoPyramid:
    """A fixed, ordered set of photos; each size is made once, when it is first asked for.

    Of blurred photos only the last kind asked for is kept: a schedule never comes back to one.
    """

    def __init__(self, views: Sequence[View], device: torch.device) -> None:
        self._views = tuple(views)
        self._device = device
        self._sharp: dict[float, tuple[Photo, ...]] = {}
        self._blurred: tuple[tuple[float, float], tuple[Photo, ...]] | None = None

    def __len__(self) -> int:
        return len(self._views)

    def at(self, scale: float, blur: float = 0.0) -> tuple[Photo, ...]:
        """The photos at `scale` (1 = full size), in the order of the views.

        Args:
            blur: the standard deviation of a Gaussian filter over them, as a share of their longer side.
        """
        if not blur:
            if scale not in self._sharp:
                self._sharp[scale] = self._made(scale, blur)
            return self._sharp[scale]
        if self._blurred is None or self._blurred[0] != (scale, blur):
            self._blurred = None  # before the next are made: memory for both is not reckoned with
            self._blurred = (scale, blur), self._made(scale, blur)
        return self._blurred[1]

    def _made(self, scale: float, blur: float) -> tuple[Photo, ...]:
        return tuple(
            Photo.of_view(_blurred(_resized(view, scale), blur), self._device) for view in self._views
        )


def _resized(view: View, scale: float) -> View:
    if scale == 1.0:
        return view
    width = max(MIN_SIDE, round(view.camera.width * scale))
    height = max(MIN_SIDE, round(view.camera.height * scale))
    # A box filter: each pixel is the mean of the area it covers, which is what a smaller sensor sees.
    small = Image.fromarray(view.pixels).resize((width, height), Image.Resampling.BOX)
    return View(view.camera.resized(width, height), np.asarray(small))


def _blurred(view: View, blur: float) -> View:
    if not blur:
        return view
    sigma = blur * max(view.camera.width, view.camera.height)
    return View(view.camera, np.asarray(Image.fromarray(view.pixels).filter(ImageFilter.GaussianBlur(sigma))))
