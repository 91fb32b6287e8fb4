"""What floats and what does not: a made survey of a meadow, with things in its air that are real."""

from dataclasses import replace

import numpy as np
import pytest

from spaceport.errors import UserError
from spaceport_compressor.cleaning.clean import MOST_CROPPED, Rules, clean
from spaceport_compressor.cleaning.crop import outside
from spaceport_compressor.cleaning.flight import LOOKS, NEWS, SIDES, Flight, least_shown, sides
from spaceport_compressor.cleaning.fog import fog
from spaceport_compressor.cleaning.terrain import terrain_at
from spaceport_render.camera import Camera
from spaceport_render.gaussians import Gaussians
from spaceport_render.metrics import psnr
from spaceport_render.render import render

FLYING = 60.0  # metres over the meadow
NO_CROP = Rules(crop=False)


def logit(opacity):
    return np.log(opacity / (1 - opacity))


def pieces(means, scales, opacity=0.9, color=(0.3, 0.5, 0.2)):
    """Gaussians at `means` (N, 3), all of the standard deviations `scales` (3,) along the axes."""
    means = np.atleast_2d(np.asarray(means, np.float32))
    count = len(means)
    return Gaussians(
        means=means,
        quats=np.tile(np.float32([1, 0, 0, 0]), (count, 1)),
        log_scales=np.tile(np.log(np.float32(scales)), (count, 1)),
        opacity_logits=np.full(count, logit(opacity), np.float32),
        sh=np.tile((np.float32(color) - 0.5) / 0.2820948, (count, 1, 1)),
    )


def together(*parts):
    names = ("means", "quats", "log_scales", "opacity_logits", "sh")
    return Gaussians(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def grid(spacing, reach=90.0):
    steps = np.arange(-reach, reach + spacing / 2, spacing)
    return np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)


def over(east, north, up=FLYING):
    """A camera that looks straight down."""
    world_to_camera = np.diag([1.0, -1.0, -1.0, 1.0])
    world_to_camera[:3, 3] = -world_to_camera[:3, :3] @ (east, north, up)
    return Camera(f"{east} {north}", 240, 160, 200.0, 200.0, 120.0, 80.0, world_to_camera)


def aside(azimuth):
    """A camera that looks at the meadow's middle from 60° off straight down, through a long lens."""
    around, down = np.radians(azimuth), np.radians(60)
    position = FLYING * np.array([np.tan(down) * np.cos(around), np.tan(down) * np.sin(around), 1.0])
    forward = -position / np.linalg.norm(position)
    right = np.cross(forward, [0, 0, 1]) / np.linalg.norm(np.cross(forward, [0, 0, 1]))
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = [right, np.cross(forward, right), forward]
    world_to_camera[:3, 3] = -world_to_camera[:3, :3] @ position
    return Camera(f"aside {azimuth}", 60, 40, 200.0, 200.0, 30.0, 20.0, world_to_camera)


def looks_of(cameras, places):
    """How many of `cameras` have each of `places` in their picture, from each side."""
    looks = np.zeros((len(places), SIDES), int)
    for camera in cameras:
        seen = np.flatnonzero(camera.sees(places))
        looks[seen, sides(camera.position - places[seen])] += 1
    return looks


@pytest.fixture(scope="module")
def meadow():
    places = grid(3.0)
    heights = np.sin(places[:, 0] / 20)
    return pieces(np.column_stack([places, heights]), (1.8, 1.8, 0.1))


@pytest.fixture(scope="module")
def flight():
    """20 photos, each of 72 m × 48 m, and SfM's points: of the meadow only."""
    cameras = tuple(over(east, north) for east in range(-40, 41, 20) for north in range(-30, 31, 20))
    places = grid(4.0, 70.0)
    points = np.column_stack([places, np.sin(places[:, 0] / 20)])
    return Flight(cameras, points.astype(np.float32))


def upright(east, north, top, radius=0.1):
    """A pole that stands on the meadow."""
    return pieces([(east, north, up) for up in np.arange(0, top, 3 * radius)], (radius, radius, radius))


def wire(north, up, opacity):
    """Between two poles, 1 cm thick."""
    line = pieces([(east, north, up) for east in np.arange(-30, 30, 0.4)], (0.2, 0.01, 0.01), opacity)
    return together(upright(-30, north, up), line, upright(30, north, up))


# What reaches up into the air and is real, as training makes it. Near the drone one photo or two show it.
REAL = {
    "a tower to near the drone": upright(5, 5, 48, 0.3),
    "a wire 28 m up": wire(-12, 28, 0.9),
    "a faint wire": wire(9, 24, 0.07),
    "a thin pole": upright(-20, 15, 12, 0.05),
    "the top of a fir": pieces([(18, -20, up) for up in np.arange(0, 26, 0.7)], (0.4, 0.4, 0.5), 0.6),
}

FLOATERS = {
    "above": {
        "a blob before one camera": pieces([(-40, -30, 52)], (0.3, 0.3, 0.3)),
        "haze that many photos show": pieces([(10, -5, 35)], (0.6, 0.6, 0.4), 0.02),
        "one that no photo shows": pieces([(80, 75, 40)], (2, 2, 2), 0.5),
    },
    "below": {"a blob under the meadow": pieces([(0, 20, -30)], (0.5, 0.5, 0.5))},
    "isolated": {"a speck in the air at the rim": pieces([(-74.5, -52, 9)], (0.3, 0.3, 0.3))},
}


@pytest.mark.parametrize("thing", REAL)
def test_what_is_real_stays_however_thin_and_high(meadow, flight, thing):
    model = together(meadow, REAL[thing])
    cleaned = clean(model, flight, NO_CROP)
    assert cleaned.removed.total == 0
    assert cleaned.gaussians is model


@pytest.mark.parametrize(("rule", "thing"), [(rule, thing) for rule in FLOATERS for thing in FLOATERS[rule]])
def test_what_floats_goes_and_only_that(meadow, flight, rule, thing):
    # Given a floater in the midst of real things
    real = together(meadow, *REAL.values())
    # When the model is cleaned
    cleaned = clean(together(real, FLOATERS[rule][thing]), flight, NO_CROP)
    # Then exactly the floater is gone, and counted by its rule
    assert getattr(cleaned.removed, rule) == cleaned.removed.total == 1
    assert np.array_equal(cleaned.gaussians.means, real.means)


def test_all_floaters_go_at_once_and_the_counts_add_up(meadow, flight):
    real = together(meadow, *REAL.values())
    floating = [thing for things in FLOATERS.values() for thing in things.values()]
    model = together(real, *floating)
    cleaned = clean(model, flight, NO_CROP)
    assert cleaned.removed.total == len(model) - len(cleaned.gaussians) == len(floating)
    assert np.array_equal(cleaned.gaussians.means, real.means)


def test_none_goes_where_they_are_to_stay(meadow, flight):
    model = together(meadow, *(thing for things in FLOATERS.values() for thing in things.values()))
    assert clean(model, flight, Rules(remove_floaters=False, crop=False)).gaussians is model


def test_without_photos_nothing_tells_what_floats(meadow):
    model = together(meadow, FLOATERS["above"]["a blob before one camera"])
    assert clean(model, None, Rules()).gaussians is model


def test_a_model_with_nothing_to_see_is_of_no_other_place(meadow, flight):
    # Given a model too faint to be drawn, all of which is to be kept; Then its places are not what is wrong
    faint = replace(meadow, opacity_logits=np.full(len(meadow), -9.0, np.float32))
    with pytest.raises(UserError) as refused:
        clean(faint, flight, Rules(remove_invisible=False))
    assert refused.value.code == "empty_model"


def test_the_pictures_hardly_change(meadow, flight):
    # Given so many floaters that without a bound the photos would lose what they show: a lid of haze
    haze = pieces(np.column_stack([grid(2.0, 40.0), np.full(1681, 35.0)]), (1.5, 1.5, 0.3), 0.05)
    model = together(meadow, haze)
    cleaned = clean(model, flight, NO_CROP)
    # When it is cleaned, Then some goes, but what photos show stays
    assert 0 < cleaned.removed.above < len(haze)
    camera = flight.cameras[7]
    assert psnr(render(cleaned.gaussians, camera), render(model, camera)) > 50


@pytest.mark.parametrize("rules", [Rules(), Rules(remove_floaters=False, crop=False)])
def test_a_model_of_another_place_is_refused(meadow, flight, rules):
    # Given a model 5 km from where the photos were taken; Then it is told so, and not taken away as a whole
    elsewhere = replace(meadow, means=meadow.means + np.float32([5000, 0, 0]))
    with pytest.raises(UserError) as refused:
        clean(elsewhere, flight, rules)
    assert refused.value.code == "wrong_scene"


@pytest.fixture(scope="module")
def often(flight):
    """The same 40 times over: 800 photos, of the corners 40 each."""
    return Flight(flight.cameras * 40, flight.points)


class TestVeryManyPhotos:
    def test_a_flight_as_they_are_is_looked_at_as_a_whole(self, meadow, flight):
        assert flight.telling(meadow.means) == flight.cameras

    def test_as_many_are_looked_at_as_tell_more(self, meadow, often):
        telling = often.telling(meadow.means)
        assert len(telling) < len(often.cameras) / 3
        # and each place as often as wanted from where so many photos show it
        looks, photos = (looks_of(cameras, meadow.means) for cameras in (telling, often.cameras))
        assert (looks[photos >= LOOKS] >= LOOKS).mean() > 1 - NEWS

    def test_the_few_photos_from_aside_are_among_them(self, meadow, often):
        # Given photos from aside, which alone see walls, among hundreds from above
        from_aside = [aside(azimuth) for azimuth in (10, 100, 190, 280)]
        mixed = Flight((*often.cameras, *from_aside), often.points)
        # When those that tell more are chosen, Then these are
        names = {camera.name for camera in mixed.telling(meadow.means)}
        assert {camera.name for camera in from_aside} <= names

    def test_what_is_real_stays(self, meadow, often):
        assert clean(together(meadow, *REAL.values()), often, NO_CROP).removed.total == 0

    def test_what_floats_goes(self, meadow, often):
        floating = [
            FLOATERS["above"]["one that no photo shows"],
            FLOATERS["below"]["a blob under the meadow"],
        ]
        assert clean(together(meadow, *floating), often, NO_CROP).removed.total == 2


class TestFog:
    def test_a_backdrop_that_reaches_up_to_the_drone_is_fog(self, meadow, flight):
        # Given the 135-m Gaussian that training on brighton made, its middle under the ground
        model = together(meadow, pieces([(3, -1, -8)], (130, 135, 43), 0.83, (0, 0.1, 0.1)))
        # When the model is cleaned, Then it goes although it fills every hole of the photos
        cleaned = clean(model, flight, NO_CROP)
        assert cleaned.removed.fog == cleaned.removed.total == 1

    def test_a_model_of_nothing_else_is_refused(self, flight):
        with pytest.raises(UserError) as refused:
            clean(pieces([(3, -1, -8)], (130, 135, 43), 0.83), flight, NO_CROP)
        assert refused.value.code == "empty_model"

    def test_a_turned_one_is_found_by_its_own_axes(self):
        # Given a needle along x that is turned to stand upright, and one left lying
        upright = np.float32([np.sqrt(0.5), 0, -np.sqrt(0.5), 0])
        model = pieces([(0, 0, 0), (0, 0, 0)], (30, 0.5, 0.5))
        model = replace(model, quats=np.stack([upright, np.float32([1, 0, 0, 0])]))
        # When a camera is above, Then it is within the first one only
        assert fog(model, np.array([[0.0, 0.0, 50.0]])).tolist() == [True, False]

    def test_a_sky_that_photos_show_is_none(self, flight):
        # Given a flight of which most photos are sky
        sky = pieces([(0, 0, 90)], (60, 60, 60), 0.9)
        upwards = tuple(
            replace(camera, world_to_camera=np.diag([1.0, -1, -1, 1]) @ camera.world_to_camera)
            for camera in flight.cameras
        )
        assert clean(sky, Flight(upwards, flight.points), NO_CROP).removed.total == 0


class TestCrop:
    def test_what_lies_beyond_the_photos_and_their_margin_goes(self, flight):
        # Given photos that show -76…76 m × -54…54 m, and pieces of ground at every distance
        model = pieces([(east, 0, 0) for east in range(0, 200, 5)], (1, 1, 0.1))
        # When a margin of a quarter of a photo, 18 m, is kept, Then what lies farther out is outside
        found = outside(model, flight, 0.25)
        assert model.means[found, 0].min() == 95
        assert model.means[~found, 0].max() == 90

    def test_what_photos_show_stays(self, flight):
        # Given a photo that shows a mountain far beyond the ground under it, and another one behind its back
        level = np.array([[1.0, 0, 0, 0], [0, 0, -1, FLYING], [0, 1, 0, 0], [0, 0, 0, 1]])
        model = pieces([(0, 0, 0), (0, 400, 0), (0, -400, 0)], (30, 30, 30))
        cameras = (*flight.cameras, replace(flight.cameras[0], world_to_camera=level))
        # When the model is cropped, Then only the one that no photo shows goes
        cleaned = clean(model, Flight(cameras, flight.points), Rules())
        assert cleaned.removed.outside == cleaned.removed.total == 1
        assert cleaned.gaussians.means[:, 1].tolist() == [0, 400]

    def test_what_one_photo_alone_shows_stays(self, flight):
        # Given the one photo of many that looks level, and shows a hill far beyond the ground under it
        level = np.array([[1.0, 0, 0, 0], [0, 0, -1, FLYING], [0, 1, 0, 0], [0, 0, 0, 1]])
        hill = pieces([(0, 400, 0)], (8, 8, 8))
        cameras = (*flight.cameras, replace(flight.cameras[0], world_to_camera=level))
        # And the hill is little of all photos, but more of that one than a crop may take
        painted = Flight(cameras, flight.points).shows(hill).pixels[0] / (240 * 160)
        assert MOST_CROPPED < painted < MOST_CROPPED * len(cameras)
        # When a model of the ground and the hill is cropped, Then the hill stays
        model = together(hill, pieces([(*place, 0) for place in grid(10.0)], (6, 6, 0.1)))
        cleaned = clean(model, Flight(cameras, flight.points), Rules())
        assert cleaned.gaussians.means[0].tolist() == [0, 400, 0]

    def test_photos_that_span_no_area_have_no_outside(self, meadow, flight):
        # Given a flight along a wall, at the height of SfM's points, that looks level at it
        level = np.array([[0.0, 1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
        cameras = [replace(flight.cameras[0], world_to_camera=level.copy()) for _ in range(4)]
        for north, camera in enumerate(cameras):
            camera.world_to_camera[:3, 3] = -level[:3, :3] @ (0, north, 0)
        points = flight.points * np.float32([1, 1, 0])
        # When what lies outside is looked for, Then nothing tells
        assert not outside(meadow, Flight(tuple(cameras), points), 0.25).any()

    def test_it_can_be_left_out(self, meadow, flight):
        model = together(meadow, pieces([(0, -400, 0)], (30, 30, 30)))
        assert clean(model, flight, NO_CROP).gaussians is model


def test_heights_follow_the_terrain(flight):
    # Given a slope with a tower, and a flight that follows it 50 m up
    places = grid(2.0)
    slope = np.column_stack([places, 0.5 * places[:, 0]])
    tower = np.column_stack([np.full((40, 2), 40.0), np.linspace(20, 50, 40)])
    cameras = np.array([(east, north, 0.5 * east + 50) for east, north in grid(10.0, 60.0)])
    terrain = terrain_at(
        np.array([(-40.0, 0, 0), (40, 0, 0), (40, 40, 0)]), np.concatenate([slope, tower]), cameras
    )
    # Then ground, tops and flying height are those of each place
    assert terrain.ground == pytest.approx([-20, 20, 20], abs=4)
    assert terrain.tops[0] == pytest.approx(-20, abs=5)
    assert terrain.tops[2] > 45
    assert terrain.flown == pytest.approx([50, 50, 50], abs=8)


def test_least_shown_spends_its_pixels_on_the_smallest():
    painted = np.array([5.0, 1.0, 0.0, 2.0, 92.0])
    suspects = np.array([True, True, True, True, False])
    assert least_shown(suspects, painted, 4).tolist() == [False, True, True, True, False]
    assert not least_shown(~suspects, painted, 50).any()
