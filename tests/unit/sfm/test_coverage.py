"""What placed photos see together, measured on a made-up survey and counted again the slow way."""

import numpy as np
import pycolmap
import pytest
from survey import lines, survey

from spaceport_sfm.advice.coverage import coverage
from spaceport_sfm.placement.placing import place


@pytest.fixture(scope="module")
def placed():
    """A survey that looks straight down, with its model in metres east, north, up."""
    made = survey(lines(12))
    place(made.model, made.photos, None, seed=0)
    return made


def test_views_and_shared_points_are_those_of_the_model(placed):
    seen = coverage(placed.model)
    shows = [
        {
            key
            for key, point in placed.model.points3D.items()
            if any(element.image_id == image.image_id for element in point.track.elements)
        }
        for image in sorted(placed.model.images.values(), key=lambda image: image.name)
    ]
    assert [photo.name for photo in seen.photos] == [photo.name for photo in placed.photos]
    assert [photo.points for photo in seen.photos] == [len(points) for points in shows]
    for index, photo in enumerate(seen.photos):
        others = sorted(len(shows[index] & other) for k, other in enumerate(shows) if k != index)
        assert photo.shared == others[-2]
    assert max(photo.off_nadir_deg for photo in seen.photos) < 2.0


def test_the_ray_angle_is_that_between_the_outermost_photos_of_a_point(placed):
    centres = {image.image_id: image.projection_center() for image in placed.model.images.values()}
    widest = []
    for point in placed.model.points3D.values():
        rays = [centres[element.image_id] - point.xyz for element in point.track.elements]
        cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a in rays for b in rays]
        widest.append(np.degrees(np.arccos(np.clip(min(cosines), -1, 1))))
    assert coverage(placed.model).ray_angle_deg == pytest.approx(np.median(widest), abs=0.01)


def test_a_sample_of_many_points_says_about_the_same(placed):
    full = coverage(placed.model)
    sampled = coverage(placed.model, most_points=100)
    assert sampled.ray_angle_deg == pytest.approx(full.ray_angle_deg, rel=0.2)
    for few, all_points in zip(sampled.photos, full.photos, strict=True):
        assert few.points == pytest.approx(all_points.points, rel=0.4)


def test_a_model_without_points_has_no_overlap(placed):
    bare = pycolmap.Reconstruction(placed.model)
    for key in list(bare.points3D):
        bare.delete_point3D(key)
    seen = coverage(bare)
    assert seen.ray_angle_deg == 0.0
    assert {(photo.points, photo.shared) for photo in seen.photos} == {(0, 0)}
