"""How well the placed photos see the scene together: what capture advice is told by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.sparse import csr_array

if TYPE_CHECKING:
    import pycolmap  # only the guarded child imports it for real

Floats = NDArray[np.float64]

# Points looked at: a sample says the same of overlap and angles, and 100,000 of them take seconds in Python.
SAMPLE = 20_000


class PhotoCoverage(BaseModel):
    """What one placed photo sees.

    Attributes:
        off_nadir_deg: angle between its view and straight down.
        points: delivered points that it shows.
        shared: of those, points that the photo it has second most in common with shows too: with one
            partner alone, nothing says where it stands along the way.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    off_nadir_deg: float
    points: int
    shared: int


class Coverage(BaseModel):
    """The placed photos in name order; `ray_angle_deg` is the median over points of the widest angle between
    two rays to it: what depth is measured by."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    photos: list[PhotoCoverage]
    ray_angle_deg: float


def coverage(model: pycolmap.Reconstruction, most_points: int = SAMPLE) -> Coverage:
    """What the posed photos of `model`, whose z is up, see together, by a sample of so many points."""
    images = sorted(
        (image for image in model.images.values() if image.has_pose), key=lambda image: image.name
    )
    row_of = {image.image_id: row for row, image in enumerate(images)}
    points = list(model.points3D.values())
    step = -(-len(points) // most_points) or 1
    sample = points[::step]
    tracks = [[row_of[element.image_id] for element in point.track.elements] for point in sample]
    centres = np.array([image.projection_center() for image in images])
    seen = _seen(tracks, len(images))
    shared = (seen.T @ seen).toarray() * step
    points_of = shared.diagonal().copy()
    np.fill_diagonal(shared, 0)
    second = np.sort(shared, axis=1)[:, -2] if len(images) > 2 else np.zeros(len(images))
    views = [image.cam_from_world().rotation.matrix()[2] for image in images]
    return Coverage(
        photos=[
            PhotoCoverage(
                name=image.name,
                off_nadir_deg=float(np.degrees(np.arccos(np.clip(-view[2], -1.0, 1.0)))),
                points=int(count),
                shared=int(with_second),
            )
            for image, view, count, with_second in zip(images, views, points_of, second, strict=True)
        ],
        ray_angle_deg=_median_ray_angle(tracks, np.array([point.xyz for point in sample]), centres),
    )


def _seen(tracks: list[list[int]], photos: int) -> csr_array:
    """(points, photos): 1 where a photo shows a point, even if its track holds it twice."""
    rows = np.repeat(np.arange(len(tracks)), [len(track) for track in tracks])
    columns = np.concatenate([np.asarray(track, dtype=int) for track in tracks] or [np.empty(0, dtype=int)])
    seen = csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(tracks), photos))
    seen.data[:] = 1.0
    return seen


def _median_ray_angle(tracks: list[list[int]], points: Floats, centres: Floats) -> float:
    """Degrees; 0 without points."""
    widest = []
    for track, point in zip(tracks, points, strict=True):
        rays = centres[track] - point
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        widest.append(float((rays @ rays.T).min()))
    return float(np.degrees(np.arccos(np.clip(np.median(widest), -1.0, 1.0)))) if widest else 0.0
