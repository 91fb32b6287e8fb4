"""Camera poses that are off by a little."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spaceport_gaussian.photos import Photo
from spaceport_gaussian.policies.births import rotation_matrices
from spaceport_gaussian.splat import Splat


@dataclass(frozen=True)
class PoseRefinement:
    """A small rigid motion for each training photo, learnt with the splat (BARF, Lin et al., ICCV 2021; for
    splats as in gsplat's example trainer).

    The scene moves before the camera, which is the same and needs no gradient of the rasterizer by the
    camera: a point x comes to c + R (x - c) + t, c the camera's centre. Values are 6 along the world's axes:
    R as axis × angle (to third order), t in scene extents. The world's axes, not the camera's: so their mean,
    held at zero, is what would shift and turn the georegistered scene, even where every second flight line
    is flown the other way. A common scale is not held; no photo asks for it. Colours stay those seen along
    the given direction: R turns by less than they change.

    Attributes:
        rate: Adam's, radians and scene extents (gsplat: 1e-5). SfM is good to a fraction of a pixel, of
            which a thousand span a photo: 1e-3 at most, which a preview's 1,500 iterations can go.
        last_rate: exponentially reached; a hundredth, as BARF and gsplat have it.
    """

    rate: float = 1e-5
    last_rate: float = 1e-7

    def neutral(self) -> Tensor:
        return torch.zeros(6)

    def rate_at(self, progress: float) -> float:
        return float(self.rate * (self.last_rate / self.rate) ** progress)

    def moved(self, splat: Splat, photo: Photo, values: Tensor, extent: float) -> Splat:
        # (1, ω / 2) turns by 2 atan(|ω| / 2): |ω| within 1e-4 of it up to two degrees, and smooth at 0.
        turn = torch.cat([torch.ones_like(values[:1]), values[:3] / 2])
        rotation = rotation_matrices(turn[None])[0]
        centre = -photo.world_to_camera[:3, :3].T @ photo.world_to_camera[:3, 3]
        return replace(
            splat,
            means=(splat.means - centre) @ rotation.T + centre + extent * values[3:],
            quats=quaternion_product(turn, splat.quats),
        )

    def developed(self, image: Tensor, values: Tensor) -> Tensor:
        return image

    def sizes(self, values: Tensor, extent: float) -> dict[str, float]:
        """`pose_turn_deg` and `pose_shift_m`."""
        turn, shift = values.split(3, dim=1)
        return {
            "pose_turn_deg": round(math.degrees(_root_mean_square(turn)), 4),
            "pose_shift_m": round(extent * _root_mean_square(shift), 4),
        }


def quaternion_product(first: Tensor, others: Tensor) -> Tensor:
    """(N, 4) w x y z: the rotations `others` (N, 4) followed by `first` (4,); lengths multiply."""
    w, axis = first[0], first[1:]
    ws, axes = others[:, :1], others[:, 1:]
    crossed = torch.linalg.cross(axis.expand_as(axes), axes)
    return torch.cat([w * ws - axes @ axis[:, None], w * axes + ws * axis + crossed], dim=1)


def _root_mean_square(vectors: Tensor) -> float:
    return float(vectors.square().sum(dim=1).mean().sqrt())
