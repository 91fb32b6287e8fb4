"""Ground control files as OpenDroneMap's users write them, right and wrong."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from pyproj import Transformer

from spaceport.errors import UserError
from spaceport_sfm.intake.normalisation import TURNS
from spaceport_sfm.photo import Photo
from spaceport_sfm.placement.gcp_list import read_crs, read_gcp_list, upright_pixel
from spaceport_sfm.placement.gps import Position

# Three points near Duluth in UTM 15N, metres.
PLACES = [(576700.0, 5188160.0, 153.2), (576760.5, 5188170.25, 155.0), (576730.0, 5188220.0, 150.0)]


def photo(source: str, size: tuple[int, int] = (4000, 3000), orientation: int = 1) -> Photo:
    width, height = size if orientation < 5 else size[::-1]
    return Photo(
        name=f"0001_{source.replace('/', '_')}",
        source=source,
        width=width // 4,
        height=height // 4,
        original_size=size,
        orientation=orientation,
    )


PHOTOS = [photo(f"DJI_{index}.JPG") for index in range(4)]


def text(header: str = "EPSG:32615", places=PLACES, photos=PHOTOS, names=("a", "b", "c", "d", "e")) -> str:
    """A file in which every point is marked at (2000, 1500) in every photo."""
    lines = [
        f"{x} {y} {z} 2000 1500 {each.source} {name}"
        for name, (x, y, z) in zip(names, places, strict=False)
        for each in photos
    ]
    return "\n".join([header, *lines])


@pytest.mark.parametrize(
    "header",
    [
        "EPSG:32615",
        "epsg:32615",
        "WGS84 UTM 15N",
        "wgs84 utm 15n",
        "+proj=utm +zone=15 +ellps=WGS84 +datum=WGS84 +units=m +no_defs",
        "'+proj=utm +zone=15 +datum=WGS84 +units=m +no_defs=True'",
    ],
)
def test_a_file_is_read_whatever_way_its_system_is_named(header):
    control = read_gcp_list(text(header), PHOTOS)

    assert [point.name for point in control.points] == ["a", "b", "c"]
    assert control.complaints == ()
    assert control.shift_m is None
    # Then the points are where PROJ says, with their heights as they stand there
    lon, lat = Transformer.from_crs(32615, 4326, always_xy=True).transform(*PLACES[1][:2])
    place = control.points[1].position
    assert (place.lat, place.lon, place.alt) == pytest.approx((lat, lon, 155.0), abs=1e-9)
    # And each is marked in every photo, in pixels of the normalised ones
    assert [mark.photo for mark in control.points[0].sightings] == [each.name for each in PHOTOS]
    assert control.points[0].sightings[0].pixel == pytest.approx((500.125, 375.125))
    assert control.points[0].sightings[0].line == 2


def test_degrees_are_longitude_then_latitude():
    places = [(-91.9938, 46.8426, 150.0), (-91.9930, 46.8427, 151.0), (-91.9934, 46.8430, float("nan"))]

    control = read_gcp_list(text("EPSG:4326", places), PHOTOS)

    assert control.points[0].position == Position(lat=46.8426, lon=-91.9938, alt=150.0)
    assert control.points[2].position.alt is None


def test_tabs_comments_empty_lines_windows_ends_and_names_with_spaces_are_fine():
    photos = [photo("100MEDIA/über den Dächern 1.JPG"), photo("100MEDIA/DJI_2.JPG")]
    lines = ["\ufeff# surveyed on Monday", "WGS84 UTM 15N", ""]
    for index, (x, y, z) in enumerate(PLACES):
        lines += [
            f"{x}\t{y}\t{z}\t10\t20\tüber den Dächern 1.jpg\tgcp {index}",
            f"{x}   {y} {z} 30 40 dji_2.jpg gcp{index} 0.02",
        ]

    control = read_gcp_list("\r\n".join(lines), photos)

    assert control.complaints == ()
    assert [point.name for point in control.points] == ["gcp 0", "gcp 1", "gcp 2"]
    assert [len(point.sightings) for point in control.points] == [2, 2, 2]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("576700 5188160 153", "line 14 has 3 columns, at least 6 are needed"),
        ("576,7 5188160 153 1 2 DJI_0.JPG", "line 14 has '576,7' where a number should be"),
        ("nan 5188160 153 1 2 DJI_0.JPG", "line 14 has 'nan' where a number should be"),
        ("576700 inf 153 1 2 DJI_0.JPG", "line 14 has 'inf' where a number should be"),
        ("576700 5188160 153 1 2 DJI_9.JPG", "line 14 names DJI_9.JPG, which is not among the good photos"),
        ("576700 5188160 153 4000 2 DJI_0.JPG", "line 14 marks (4000, 2) in DJI_0.JPG, which has 4000x3000"),
        ("576700 5188160 153 1 -2 DJI_0.JPG", "line 14 marks (1, -2) in DJI_0.JPG, which has 4000x3000"),
        ("576700 5188160 1e9 1 2 DJI_0.JPG", "line 14 has coordinates that are nowhere on Earth in WGS 84"),
        ("576700 5e99 100 1 2 DJI_0.JPG", "line 14 has coordinates that are nowhere on Earth in WGS 84"),
        ("576700.0 5188160.0 153.2 1 2 DJI_0.JPG", "line 14 marks a point once more in the same photo"),
    ],
)
def test_a_bad_line_is_told_by_its_number_and_the_good_ones_are_used(line, complaint):
    control = read_gcp_list(f"{text()}\n{line}", PHOTOS)

    assert len(control.complaints) == 1
    assert control.complaints[0].startswith(complaint)
    assert [len(point.sightings) for point in control.points] == [4, 4, 4]


def test_a_name_that_two_photos_share_needs_its_folder():
    twins = [photo("a/IMG.JPG"), photo("b/IMG.JPG")]
    content = f"{text()}\n1 2 3 4 5 IMG.JPG\n576700.0 5188160.0 153.2 5 5 b/IMG.JPG"

    control = read_gcp_list(content, [*twins, *PHOTOS])

    assert control.complaints == ("line 14 names IMG.JPG, which is 2 photos: give the folder too",)
    assert twins[1].name in [mark.photo for mark in control.points[0].sightings]


def test_photos_are_found_however_their_names_are_written():
    # Given names with an umlaut in two characters, as macOS packs them, in folders of folders
    photos = [photo("flight/100MEDIA/Da\u0308cher 1.JPG"), photo("flight/101MEDIA/Da\u0308cher 1.JPG")]
    written = ["100MEDIA/D\u00e4cher 1.jpg \tg1", "flight/101media/D\u00e4cher 1.JPG\tg1"]
    lines = [f"{x}\t{y}\t{z}\t1\t2\t{name}" for x, y, z in PLACES for name in written]

    control = read_gcp_list("\n".join(["EPSG:32615", *lines]), photos)

    assert control.complaints == ()
    assert [len(point.sightings) for point in control.points] == [2, 2, 2]


def test_a_first_point_nowhere_on_earth_leaves_the_others():
    places = [(-91.99, 146.84, 150.0), (-91.98, 46.84, 151.0), (-91.99, 46.85, 152.0), (-91.98, 46.85, 152.0)]

    control = read_gcp_list(text("EPSG:4326", places), PHOTOS)

    assert [point.name for point in control.points] == ["b", "c", "d"]
    assert control.complaints == ("line 2 has coordinates that are nowhere on Earth in WGS 84",)


def test_a_line_of_many_words_is_refused_at_once():
    control = read_gcp_list(f"{text()}\n1 2 3 4 5{' a' * 200_000}", PHOTOS)

    assert control.complaints == ("line 14 names a, which is not among the good photos",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("\n# nothing\n", "is empty"),
        (text("my own grid"), "Line 1 of gcp_list.txt, 'my own grid', names no coordinate system"),
        (text("EPSG:999999"), "names no coordinate system"),
        (text("WGS84 UTM 61N"), "names no coordinate system"),
        (text("EPSG:5773"), "'EGM96 height' (Vertical CRS), which is neither longitude and latitude nor"),
        (text("EPSG:4978"), "'WGS 84' (Geocentric CRS), which is neither longitude and latitude nor"),
        (text("EPSG:4326"), "line 2 has coordinates that are nowhere on Earth in WGS 84"),
        (text("EPSG:4258"), "line 2 has coordinates that are nowhere on Earth in ETRS89"),
        (text("IAU_2015:30100"), "There is no way known from 'Moon (2015)"),
        (text(places=PLACES[:2]), "has 2 points"),
        (text(photos=PHOTOS[:1]), "has 0 points"),
        (text(names=("check1", "chk 2", "CHECK3")), "has 0 points"),
        (text().replace("DJI_", "IMG_"), "Left out: line 2 names IMG_0.JPG"),
    ],
)
def test_a_file_that_cant_be_used_is_refused_with_what_to_mend(content, said):
    with pytest.raises(UserError) as refused:
        read_gcp_list(content, PHOTOS)

    assert refused.value.code == "bad_ground_control"
    assert said in refused.value.message
    assert "geo_x geo_y geo_z" in refused.value.hint


def test_check_points_are_told_by_name_or_by_an_extra_column():
    places = [*PLACES, (576710.0, 5188170.0, 152.0), (576720.0, 5188180.0, 152.0)]
    content = text(places=places, names=("a", "b", "c", "CHK1", "e")).replace(" e", " e 0.02 check")

    control = read_gcp_list(content, PHOTOS)

    assert [point.check for point in control.points] == [False, False, False, True, True]


def test_two_points_of_one_name_stay_two():
    control = read_gcp_list(text(names=("a", "a", "b")), PHOTOS)

    assert [point.name for point in control.points] == ["a", "a (line 6)", "b"]


def test_a_national_datum_is_told_with_how_well_it_is_known():
    # Given points in Switzerland's LV95, whose way to WGS 84 is known to a metre
    places = [(2600000.0 + 30 * index, 1200000.0 + 20 * index * index, 550.0) for index in range(3)]

    control = read_gcp_list(text("EPSG:2056", places), PHOTOS)

    # Then the old observatory of Bern is where it is, its height untouched
    assert control.points[0].position.lat == pytest.approx(46.95108, abs=1e-4)
    assert control.points[0].position.lon == pytest.approx(7.43864, abs=1e-4)
    assert control.points[0].position.alt == 550.0
    assert control.shift_m == pytest.approx(1.0)
    assert "LV95" in control.heights


def test_heights_of_a_system_with_three_axes_are_brought_to_the_ellipsoid():
    places = [(-91.99, 46.84, 150.0), (-91.98, 46.84, 151.0), (-91.99, 46.85, 152.0)]

    control = read_gcp_list(text("EPSG:4979", places), PHOTOS)

    assert control.points[0].position.alt == pytest.approx(150.0)
    assert "ellipsoid" in control.heights


def test_a_utm_zone_of_the_south_is_one_of_the_south():
    assert read_crs("WGS84 UTM 56S", 1).to_epsg() == 32756


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mark_turns_as_its_photo_was_turned(orientation):
    # Given a stored picture with one white pixel, and the same set upright as the intake does
    stored = np.zeros((30, 40), np.uint8)
    stored[4, 33] = 255
    turn = TURNS.get(orientation)
    image = Image.fromarray(stored)
    upright = np.asarray(image if turn is None else image.transpose(turn))
    marked = photo("1.JPG", (40, 30), orientation).model_copy(
        update={"width": upright.shape[1], "height": upright.shape[0]}
    )

    x, y = upright_pixel(marked, 33, 4)

    # Then the mark is in the middle of the white pixel, where COLMAP has it
    down, across = np.argwhere(upright == 255)[0]
    assert (x, y) == pytest.approx((across + 0.5, down + 0.5))
