"""The model in metres, east-north-up: a similarity fitted to the GPS positions of its cameras.

An own fit, because pycolmap's returns None for flights at one altitude, and because single GPS positions
are off by anything from metres to continents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from spaceport.quality import GeorefNumbers, Origin
from spaceport_sfm.gps import Floats, Position, from_enu, median_position, to_enu
from spaceport_sfm.photo import Photo

MIN_POSITIONS = 3
# A similarity has 7 unknowns and three positions give 9 numbers: below seven positions the median residual
# of a sample's fit can't tell a good sample from a bad one, so all are trusted.
MIN_FOR_OUTLIERS = 7
SAMPLES = 500  # with 40 % outliers a sample of three is clean with 0.6³: 500 miss with probability 1e-53
MAD_TO_SIGMA = 1.4826  # of a normal distribution
OUTLIER_SIGMAS = 3.0
GPS_FLOOR_M = 1.0  # nobody's GPS but RTK is better: closer positions are never outliers
REFITS = 10  # converges in 2-4; stops then
# The cameras must spread across their main line by this many times the GPS error; below, the roll about that
# line, and so what is up, is noise (the tilt's error is about error / (spread · √N)).
MIN_SPREAD_ERRORS = 3.0
MIN_SPREAD_RATIO = 0.01  # the same for exact positions, where the error is zero


@dataclass(frozen=True)
class Similarity:
    """x ↦ scale · rotation · x + translation; rotation (3, 3), translation (3,), both float64."""

    scale: float
    rotation: Floats
    translation: Floats

    def apply(self, points: Floats) -> Floats:
        """`points` (N, 3), mapped."""
        return self.scale * points @ self.rotation.T + self.translation


class GeoReference(BaseModel):
    """`georef.json`: where the model's local frame lies on Earth, and how the fit went.

    Attributes:
        crs: the local frame as a PROJ string: metres east, north, up of `origin`.
        geodetic_crs: of `origin`: WGS 84 with a height; the height is as the photos' EXIF has it.
        scale, rotation, translation: enu = scale · rotation · x + translation takes SfM's own frame to
            the local one. The written models are in the local frame already.
        rms_horizontal_m, rms_vertical_m: residuals of the positions used.
        positions_used: how many cameras' positions the fit rests on.
        positions_rejected: the photos whose GPS contradicts the others'.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    crs: str
    geodetic_crs: str = "EPSG:4979"
    origin: Origin
    scale: float
    rotation: list[list[float]]
    translation: list[float]
    rms_horizontal_m: float
    rms_vertical_m: float
    positions_used: int
    positions_rejected: list[str]

    @property
    def similarity(self) -> Similarity:
        return Similarity(self.scale, np.array(self.rotation), np.array(self.translation))

    @property
    def numbers(self) -> GeorefNumbers:
        return GeorefNumbers(
            rms_horizontal_m=self.rms_horizontal_m, rms_vertical_m=self.rms_vertical_m, origin=self.origin
        )


def georeference(
    centres: dict[str, Floats], positions: dict[str, Position], points: Floats, seed: int
) -> GeoReference | None:
    """Fit the model to GPS; None where GPS can't tell its place, scale and direction.

    Args:
        centres: each registered photo's centre of projection (3,) in the model's own frame.
        positions: the photos' GPS positions, as far as they have one.
        points: (N, 3) points of the model: the local frame's zero is put in their middle; without any,
            in the cameras'.
        seed: of the sampling.
    """
    names = sorted(centres.keys() & positions.keys())
    if len(names) < MIN_POSITIONS:
        return None
    source = np.array([centres[name] for name in names])
    measured = [positions[name] for name in names]
    origin = median_position(measured)
    fitted = fit_robustly(source, to_enu(measured, origin), seed)
    if fitted is None:
        return None
    similarity, used = fitted
    # The same again about the scene's middle, so that coordinates are small where the splat is.
    scene = points if len(points) else source
    origin = from_enu(np.median(similarity.apply(scene), axis=0), origin)
    target = to_enu(measured, origin)
    similarity = umeyama(source[used], target[used])
    residuals = similarity.apply(source[used]) - target[used]
    return GeoReference(
        crs=f"+proj=topocentric +ellps=WGS84 +lat_0={origin.lat:.9f} +lon_0={origin.lon:.9f} "
        f"+h_0={origin.alt or 0.0:.4f}",
        origin=Origin(lat=origin.lat, lon=origin.lon, alt=origin.alt or 0.0),
        scale=similarity.scale,
        rotation=similarity.rotation.tolist(),
        translation=similarity.translation.tolist(),
        rms_horizontal_m=float(np.sqrt((residuals[:, :2] ** 2).sum(axis=1).mean())),
        rms_vertical_m=float(np.sqrt((residuals[:, 2] ** 2).mean())),
        positions_used=int(used.sum()),
        positions_rejected=[name for name, good in zip(names, used, strict=True) if not good],
    )


def umeyama(source: Floats, target: Floats) -> Similarity:
    """The similarity that takes `source` to `target`, both (N, 3), with the least squared error.

    Positions all at one altitude are fine: the reflection that a plane leaves open is ruled out.
    Source: Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    IEEE PAMI 13(4), 1991, equations 34-43.
    """
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    centred = source - source_mean
    covariance = (target - target_mean).T @ centred / len(source)
    u, singular, vt = np.linalg.svd(covariance)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt)) or 1.0])
    rotation = u @ np.diag(signs) @ vt
    variance = (centred**2).sum(axis=1).mean()
    scale = float((singular * signs).sum() / variance) if variance > 0 else 1.0
    return Similarity(scale, rotation, target_mean - scale * rotation @ source_mean)


def fit_robustly(source: Floats, target: Floats, seed: int) -> tuple[Similarity, NDArray[np.bool_]] | None:
    """`umeyama` of the positions that agree, and the mask (N,) of those; None where they say too little.

    Least median of squares over samples of three (Rousseeuw 1984), then refits on everything within three
    sigmas: bears up to half of the positions being wrong.
    """
    used = np.ones(len(source), dtype=bool)
    if len(source) >= MIN_FOR_OUTLIERS:
        best = min(
            (umeyama(source[sample], target[sample]) for sample in _samples(len(source), seed)),
            key=lambda fit: float(np.median(_distances(fit, source, target))),
        )
        used = _agreeing(best, source, target)
        for _ in range(REFITS):
            again = _agreeing(umeyama(source[used], target[used]), source, target)
            if (again == used).all():
                break
            used = again
    similarity = umeyama(source[used], target[used])
    if used.sum() < MIN_POSITIONS or not _determined(similarity, source[used], target[used]):
        return None
    return similarity, used


def _samples(count: int, seed: int) -> Iterator[list[int]]:
    if comb(count, 3) <= SAMPLES:
        yield from (list(sample) for sample in combinations(range(count), 3))
        return
    random = np.random.default_rng(seed)
    for _ in range(SAMPLES):
        yield random.choice(count, 3, replace=False).tolist()


def _distances(fit: Similarity, source: Floats, target: Floats) -> Floats:
    distances: Floats = np.linalg.norm(fit.apply(source) - target, axis=1)
    return distances


def _agreeing(fit: Similarity, source: Floats, target: Floats) -> NDArray[np.bool_]:
    distances = _distances(fit, source, target)
    sigma = MAD_TO_SIGMA * float(np.median(distances))
    agreeing: NDArray[np.bool_] = distances <= max(OUTLIER_SIGMAS * sigma, GPS_FLOOR_M)
    return agreeing


def _determined(fit: Similarity, source: Floats, target: Floats) -> bool:
    """Whether the cameras spread in two directions by more than the error of their positions."""
    error = float(np.sqrt((_distances(fit, source, target) ** 2).mean()))
    spread = fit.scale * np.linalg.svd(source - source.mean(axis=0), compute_uv=False) / np.sqrt(len(source))
    return bool(spread[1] > max(MIN_SPREAD_ERRORS * error, MIN_SPREAD_RATIO * spread[0]) > 0)


def located(photos: Iterable[Photo]) -> dict[str, Position]:
    """The positions of the photos that have one, by name; those without altitude only where none has one."""
    known = {photo.name: photo.position for photo in photos if photo.position is not None}
    with_altitude = {name: place for name, place in known.items() if place.alt is not None}
    return with_altitude or known
