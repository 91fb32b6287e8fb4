"""What cleaning asks of the flight: where it was, what its photos know of the ground, what they show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spaceport_compressor.judging.contributions import Contributions, contributions
from spaceport_render.camera import Camera
from spaceport_render.gaussians import Gaussians

# Longer side of the renders that tell who paints what, pixels: a floater shows in small ones, too.
LONGEST = 480
# Photos beyond these say the same again: as many look at each place from its side of it, and a photo of which
# less than a hundredth shows a place that was looked at less often from there is left out. By its side, for a
# wall is in the picture of any photo from above, and only those from aside see it (docs/cleaning.md).
LOOKS = 24
NEWS = 0.01
SIDES = 5  # from above, and the four quarters
STEEP = np.cos(np.radians(45))  # from above is nearer to straight down: in a wide lens's corners, too
PLACES = 20_000  # of the model's Gaussians tell what a photo shows to that hundredth, in a millisecond
GOLDEN = 0.6180339887  # multiples of it, less their whole part, are spread evenly wherever one stops


@dataclass(frozen=True)
class Flight:
    """The cameras of the photos trained on, at least one; and SfM's points, (M, 3), M at least one."""

    cameras: tuple[Camera, ...]
    points: NDArray[np.floating]

    @property
    def positions(self) -> NDArray[np.float64]:
        """(V, 3), metres."""
        return np.array([camera.position for camera in self.cameras])

    def shows(self, gaussians: Gaussians) -> Contributions:
        """What its photos, made small, show of `gaussians`; of very many only those that tell more."""
        return contributions(gaussians, [_small(camera) for camera in self.telling(gaussians.means)])

    def telling(self, means: NDArray[np.floating]) -> tuple[Camera, ...]:
        """Those of its cameras, spread over the flight, by which each of `means` (N, 3) is looked at LOOKS
        times from every side or as often as there are photos of it: all of them but where a place is in
        very many.
        """
        places = means[:: -(-len(means) // PLACES)]
        looks = np.zeros((len(places), SIDES), dtype=np.int64)
        chosen = []
        for index in np.argsort(np.arange(len(self.cameras)) * GOLDEN % 1):
            camera = self.cameras[index]
            seen = np.flatnonzero(camera.sees(places))
            side = sides(camera.position - places[seen])
            if (looks[seen, side] < LOOKS).sum() >= NEWS * len(seen):
                looks[seen, side] += 1
                chosen.append(index)
        return tuple(self.cameras[index] for index in sorted(chosen))

    def shows_any(self, gaussians: Gaussians) -> bool:
        """Whether any of its photos shows any of `gaussians`; mostly the first that is looked at does."""
        return any(contributions(gaussians, [_small(camera)]).pixels.any() for camera in self.cameras)


def sides(ways: NDArray[np.floating]) -> NDArray[np.intp]:
    """(N,) from which of SIDES each of the `ways` (N, 3) to a camera comes: from above, or a quarter."""
    steepness = ways[:, 2] / np.maximum(np.linalg.norm(ways, axis=1), 1e-12)
    quarter = np.floor(np.arctan2(ways[:, 1], ways[:, 0]) / (np.pi / 2)).astype(np.intp) % 4
    return np.where(steepness > STEEP, 0, 1 + quarter)


def _small(camera: Camera) -> Camera:
    shrink = min(1.0, LONGEST / max(camera.width, camera.height))
    return camera.resized(max(1, round(camera.width * shrink)), max(1, round(camera.height * shrink)))


def least_shown(
    suspects: NDArray[np.bool_], painted: NDArray[np.floating], pixels: float
) -> NDArray[np.bool_]:
    """Those of `suspects` (N,) that paint least: as many as together paint at most `pixels`.

    So a rule that is wrong about a scene can't harm its pictures.

    Args:
        painted: (N,) pixels that each Gaussian paints.
    """
    order = np.flatnonzero(suspects)
    order = order[np.argsort(painted[order], kind="stable")]
    result = np.zeros_like(suspects)
    result[order[np.cumsum(painted[order], dtype=np.float64) <= pixels]] = True
    return result
