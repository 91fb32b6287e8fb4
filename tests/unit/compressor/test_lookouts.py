"""Where a model is looked at from, to learn what shows of it."""

from dataclasses import replace

import numpy as np
import pytest

from spaceport_compressor.sog.lookouts import PLACES, WIDER, lookouts
from spaceport_compressor.sog.viewing import viewing_from, viewing_of
from spaceport_render.camera import Camera


def looking_down(east, up=60.0):
    world_to_camera = np.diag([1.0, -1.0, -1.0, 1.0])
    world_to_camera[:3, 3] = -world_to_camera[:3, :3] @ (east, 0.0, up)
    return Camera(f"photo {east}", 96, 64, 60.0, 60.0, 48.0, 32.0, world_to_camera)


def test_half_of_them_stand_between_a_photo_and_the_nearest_other():
    # Given a line of photos
    flight = [looking_down(east) for east in (0, 10, 30)]
    # When it is asked where to look from
    places = [camera.position[0] for camera in lookouts(flight)]
    # Then from the photos' places, and from half way to each one's nearest neighbour
    assert places == pytest.approx([0, 10, 30, 5, 5, 20])


def test_those_between_see_more_at_the_edges():
    # Given a point outside of the photo, by a tenth of its width
    photo = looking_down(0)
    beyond = photo.unproject(np.array([[96 * 1.1, 32.0]]), np.array([60.0])).astype(np.float32)
    assert not photo.sees(beyond).any()
    # Then who looks from the same place, wider, sees it
    assert lookouts([photo])[1].sees(beyond).all()
    assert lookouts([photo])[1].fx == pytest.approx(photo.fx / WIDER)


def test_photos_taken_from_one_place_are_beside_the_next_place():
    flight = [looking_down(0), replace(looking_down(0), name="again"), looking_down(8)]
    assert [camera.position[0] for camera in lookouts(flight)[3:]] == pytest.approx([4, 4, 4])


@pytest.mark.parametrize(("photos", "places"), [(0, 0), (1, 1), (PLACES, PLACES), (PLACES + 1, 9), (200, 16)])
def test_a_long_flight_is_looked_at_from_some_of_its_places(photos, places):
    assert len(lookouts([looking_down(east) for east in range(photos)])) == 2 * places


def test_what_no_photo_shows_is_not_free_to_change(make_gaussians):
    # Given a model of which a photo shows only a part
    model, photo = make_gaussians(2000), looking_down(0, up=25.0)
    shown = viewing_from(model, [photo]).sensitivity.colors > 0
    # When it is asked what shows to whoever flies there
    nearby = viewing_of(model, [photo]).sensitivity.colors > 0
    # Then that is more
    assert (nearby & ~shown).any()
    assert not (shown & ~nearby).any()
