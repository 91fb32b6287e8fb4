"""Depth by comparing photos: for a few pixels of one photo, how far away is what they show?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from spaceport_render.camera import Camera
from spaceport_render.scene import View

Floats = NDArray[np.float64]

SINK = 1.1  # how many times farther than the farthest SfM point is tried; little lies below the ground


@dataclass(frozen=True)
class PlaneSweep:
    """Tries planes of equal depth and keeps, for each pixel, the one on which the neighbours agree best.

    Collins 1996 (A Space-Sweep Approach to True Multi-Image Matching), with normalised cross-correlation
    of small windows, and the mean of the best `agreeing` neighbours against occlusion (Kang et al. 2001).
    Larger windows, more planes or neighbours cost more and gave no better models.

    Attributes:
        size: the longer side at which photos are compared, pixels; leaves of a canopy are blown about,
            but at this size a crown stands still.
        radius: of the window, pixels.
        planes: how many depths are tried, evenly in inverse depth.
        rise: how many times nearer than the nearest SfM point is tried: trees without a point rise
            above the ground that has them.
        neighbours: the photos compared with, the nearest by camera position.
        agreeing: how many of them must see the pixel.
        min_correlation: of their agreement, 0..1; below, there is no answer.
    """

    size: int = 240
    radius: int = 3
    planes: int = 32
    rise: float = 1.8
    neighbours: int = 3
    agreeing: int = 2
    min_correlation: float = 0.6

    def prepare(self, views: Sequence[View]) -> tuple[SweepView, ...]:
        """The views as `depths` takes them; also what says the size of the pixels it asks for."""
        return tuple(SweepView.of(view, self.size) for view in views)

    def depths(
        self, views: Sequence[SweepView], index: int, pixels: Floats, near: float, far: float
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """Depths (P,) in metres of `pixels` (P, 2) of view `index`, and where they can be relied upon.

        Args:
            pixels: in the sweep's own size of the photo.
            near, far: metres: the depths of the SfM points that this view sees.
        """
        others = _nearest(views, index)[: self.neighbours]
        if len(others) < self.agreeing or not len(pixels):
            return np.full(len(pixels), np.nan), np.zeros(len(pixels), dtype=bool)
        inverse = torch.linspace(1 / (far * SINK), self.rise / near, self.planes)
        windows = torch.tensor(pixels, dtype=torch.float32)[:, None] + _window(self.radius)
        reference = views[index]
        own = _normalised(reference.sample(windows))
        rays = torch.nn.functional.pad(windows, (0, 1), value=1.0) @ reference.inverse_intrinsics.T
        best = torch.full((len(pixels),), -1.0)
        depths = torch.full((len(pixels),), torch.nan)
        for plane in inverse:
            agreement = torch.stack([other.agreement(reference, rays / plane, own) for other in others])
            score = agreement.topk(self.agreeing, dim=0).values.mean(dim=0)
            better = score > best
            best = torch.where(better, score, best)
            depths = torch.where(better, 1 / plane, depths)
        return depths.double().numpy(), (best >= self.min_correlation).numpy()


@dataclass(frozen=True)
class SweepView:
    """A small grey photo with its camera, as tensors.

    Attributes:
        grey: (H, W).
        world_to_camera: (4, 4); intrinsics and its inverse: (3, 3).
    """

    camera: Camera
    grey: Tensor
    world_to_camera: Tensor
    intrinsics: Tensor
    inverse_intrinsics: Tensor

    @classmethod
    def of(cls, view: View, size: int) -> SweepView:
        shrink = min(1.0, size / max(view.camera.width, view.camera.height))
        camera = view.camera.resized(
            max(1, round(view.camera.width * shrink)), max(1, round(view.camera.height * shrink))
        )
        small = Image.fromarray(view.pixels).resize((camera.width, camera.height), Image.Resampling.BOX)
        return cls(
            camera=camera,
            grey=torch.tensor(np.asarray(small), dtype=torch.float32).mean(dim=2),
            world_to_camera=torch.tensor(camera.world_to_camera, dtype=torch.float32),
            intrinsics=torch.tensor(camera.intrinsics, dtype=torch.float32),
            inverse_intrinsics=torch.tensor(np.linalg.inv(camera.intrinsics), dtype=torch.float32),
        )

    def sample(self, pixels: Tensor) -> Tensor:
        """Grey values (P, W) at `pixels` (P, W, 2), bilinear; 0 outside."""
        size = torch.tensor([self.camera.width, self.camera.height], dtype=torch.float32)
        grid = (2 * pixels / size - 1)[None]
        return torch.nn.functional.grid_sample(self.grey[None, None], grid, align_corners=False)[0, 0]

    def agreement(self, other: SweepView, points: Tensor, windows: Tensor) -> Tensor:
        """How alike (P,) this photo is to the normalised `windows` (P, W) of `other`, -1..1.

        Args:
            points: (P, W, 3), where the windows' pixels would be, in the camera of `other`.
        """
        there = self.world_to_camera @ torch.linalg.inv(other.world_to_camera)
        seen = (points @ there[:3, :3].T + there[:3, 3]) @ self.intrinsics.T
        pixels = seen[..., :2] / seen[..., 2:].clamp(min=1e-6)
        middle = pixels.shape[1] // 2  # the rest of a window may reach over the edge, where it fits nothing
        centre, size = pixels[:, middle], torch.tensor([self.camera.width, self.camera.height])
        inside = (seen[:, middle, 2] > 0) & ((centre >= 0) & (centre <= size)).all(dim=-1)
        alike = (_normalised(self.sample(pixels)) * windows).sum(dim=1)
        return torch.where(inside, alike, torch.full_like(alike, -1.0))


def _nearest(views: Sequence[SweepView], index: int) -> list[SweepView]:
    """The other views, the one taken from nearest to view `index` first."""
    here = views[index].camera.position
    others = [view for i, view in enumerate(views) if i != index]
    return sorted(others, key=lambda view: float(np.linalg.norm(view.camera.position - here)))


def _window(radius: int) -> Tensor:
    """Offsets (W, 2) of a square window's pixels."""
    steps = torch.arange(-radius, radius + 1, dtype=torch.float32)
    return torch.cartesian_prod(steps, steps)


def _normalised(windows: Tensor) -> Tensor:
    """Each window (row) less its mean and at length 1; even ones are 0, so that they agree with nothing."""
    centred = windows - windows.mean(dim=1, keepdim=True)
    length = centred.norm(dim=1, keepdim=True)
    # One grey level of noise in each pixel: less contrast than that is no picture of anything.
    return torch.where(length > windows.shape[1] ** 0.5, centred / length.clamp(min=1e-6), 0.0)
