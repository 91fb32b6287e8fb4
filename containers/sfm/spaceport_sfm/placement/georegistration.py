"""Place, scale and direction of a model by the GPS of its cameras.

An own fit, because pycolmap's returns None for flights at one altitude, and because single GPS positions
are off by anything from metres to continents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spaceport_sfm.photo import Photo
from spaceport_sfm.placement.consensus import Fit, Measurements, fit_robustly
from spaceport_sfm.placement.gps import Floats, Position, median_position, to_enu
from spaceport_sfm.placement.similarity import Gravity, Mask, Similarity

# A drone's receiver without RTK; where a flight's scatter tells better, that counts.
GPS_SIGMA_M = 1.5
GPS_FLOOR_M = 1.0  # nobody's GPS but RTK is better: closer positions are never outliers
# An RTK receiver claims 1-2 cm of its antenna; the camera's own place and its moment add to that.
LEAST_SIGMA_M = 0.03
RTK_FLOOR_SIGMAS = 4.0
# A flight without any altitude is taken for level, to so much.
LEVEL_SIGMA_M = 5.0


@dataclass(frozen=True)
class GpsRegistration:
    """What the cameras' GPS says of the model.

    Attributes:
        origin: of the frame that `fit` leads to: metres east, north and up.
        names: the registered photos with a position, sorted; rows of everything below.
        target: (N, 3) the positions in that frame.
        heights_known: (N,) mask of those with an altitude.
        fit: from SfM's frame.
    """

    origin: Position
    names: tuple[str, ...]
    source: Floats
    target: Floats
    heights_known: Mask
    fit: Fit

    @property
    def positions_rejected(self) -> list[str]:
        return [name for name, good in zip(self.names, self.fit.level, strict=True) if not good]

    @property
    def altitudes_rejected(self) -> list[str]:
        wrong = self.fit.level & ~self.fit.height & self.heights_known
        return [name for name, bad in zip(self.names, wrong, strict=True) if bad]

    def rms(self, similarity: Similarity) -> tuple[float, float]:
        """How far the used positions lie from where `similarity` puts the cameras: level and up, metres."""
        off = similarity.apply(self.source) - self.target
        heights = off[self.fit.height & self.heights_known, 2]
        return (
            float(np.sqrt((off[self.fit.level, :2] ** 2).sum(axis=1).mean())),
            float(np.sqrt((heights**2).mean())) if len(heights) else 0.0,
        )


def register_by_gps(
    centres: dict[str, Floats], photos: Sequence[Photo], gravity: Gravity | None, seed: int
) -> GpsRegistration | None:
    """Fit the model to GPS; None where GPS can't tell its place, scale and direction.

    Args:
        centres: each registered photo's centre of projection (3,) in the model's own frame.
        gravity: up in that frame, by the cameras' own level.
        seed: of the sampling.
    """
    located = [photo for photo in photos if photo.position is not None and photo.name in centres]
    if not located:
        return None
    located.sort(key=lambda photo: photo.name)
    positions = [photo.position for photo in located if photo.position is not None]
    origin = median_position(positions)
    source = np.array([centres[photo.name] for photo in located])
    target = to_enu(positions, origin)
    heights_known = np.array([position.alt is not None for position in positions])
    fit = fit_robustly(source, _measurements(located, target, heights_known), gravity, seed)
    if fit is None:
        return None
    names = tuple(photo.name for photo in located)
    return GpsRegistration(origin, names, source, target, heights_known, fit)


def _measurements(photos: Sequence[Photo], target: Floats, heights_known: Mask) -> Measurements:
    claims = [photo.position_sigma for photo in photos]
    sigmas = np.array([(GPS_SIGMA_M, GPS_SIGMA_M) if claim is None else claim for claim in claims])
    sigmas = np.maximum(sigmas, LEAST_SIGMA_M)
    claimed = np.array([claim is not None for claim in claims])
    level, height = sigmas[:, 0], sigmas[:, 1]
    unknown = np.inf if heights_known.any() else LEVEL_SIGMA_M
    return Measurements(
        target=target,
        sigmas=np.stack([level, level, np.where(heights_known, height, unknown)], axis=1),
        floors=np.where(claimed, np.minimum(RTK_FLOOR_SIGMAS * level, GPS_FLOOR_M), GPS_FLOOR_M),
    )
