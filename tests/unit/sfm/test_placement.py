"""A made-up model laid on Earth: by ground control, by GPS, upright."""

from __future__ import annotations

import numpy as np
import pytest
from pyproj import Transformer
from survey import ORIGIN, TURN, UTM, Survey, changed, lines, survey

from spaceport_sfm.photo import Gimbal
from spaceport_sfm.placement import ground_control
from spaceport_sfm.placement.gcp_list import read_gcp_list
from spaceport_sfm.placement.georeference import GeoReference, utm_zone
from spaceport_sfm.placement.gps import Position, from_enu, to_enu
from spaceport_sfm.placement.ground_control import Ray, meet
from spaceport_sfm.placement.placing import place


def test_a_model_with_gps_is_in_metres_upright_about_its_own_middle():
    made = survey(lines())

    placement = place(made.model, made.photos, None, seed=0)

    # Then cameras are where they were, the ground's middle is zero
    assert placement.advice == []
    assert np.abs(made.off(placement)).max() < 0.02  # a level a degree off weighs next to nothing
    points = np.array([point.xyz for point in made.model.points3D.values()])
    assert np.median(points, axis=0) == pytest.approx(np.zeros(3), abs=1e-3)
    # And georef.json leads from SfM's frame to the delivered one
    georef = placement.georef
    assert georef is not None
    assert (georef.source, georef.positions_used) == ("gps", 18)
    own = 0.09 * made.places @ TURN.T + [3.0, -4.0, 2.0]
    delivered = np.array([image.projection_center() for _, image in sorted(made.model.images.items())])
    assert georef.similarity.apply(own) == pytest.approx(delivered, abs=1e-6)


def test_georef_json_alone_leads_to_wgs84_and_utm_and_back():
    # Given georef.json as text, and nothing of ours to read it with
    made = survey(lines())
    placement = place(made.model, made.photos, None, seed=0)
    assert placement.georef is not None
    told = GeoReference.model_validate_json(placement.georef.model_dump_json())
    local = np.random.default_rng(1).uniform(-60, 60, (50, 3))

    # When points are taken to WGS 84 by the pipeline, and back
    pipeline = Transformer.from_pipeline(told.pipeline)
    lon, lat, height = pipeline.transform(*local.T, direction="INVERSE")
    back = np.stack(pipeline.transform(lon, lat, height), axis=1)

    # Then they are the same to a thousandth of a millimetre, and near the place
    assert back == pytest.approx(local, abs=1e-6)
    assert lon == pytest.approx(np.full(50, ORIGIN.lon), abs=2e-3)
    # And the matrix leads to UTM as PROJ does, off by no more than it says, which is millimetres
    affine = np.array(told.projected.affine)
    grid = (np.column_stack([local, np.ones(50)]) @ affine.T)[:, :3]
    exact = np.stack(UTM.transform(lon, lat, height), axis=1)
    assert told.projected.crs == "EPSG:32615"
    assert np.linalg.norm(grid - exact, axis=1).max() <= told.projected.error_m <= 0.005
    assert np.linalg.inv(affine)[:3] @ np.array([*exact[0], 1.0]) == pytest.approx(local[0], abs=0.005)
    # And grid north is where the convergence says
    north = affine[:2, 1]
    assert np.degrees(np.arctan2(north[0], north[1])) == pytest.approx(
        -told.projected.convergence_deg, abs=1e-3
    )
    assert np.linalg.norm(north) == pytest.approx(told.projected.scale_factor, abs=1e-4)


@pytest.mark.parametrize(
    ("lat", "lon", "zone"),
    [
        (46.8, -92.0, "EPSG:32615"),
        (-33.9, 151.2, "EPSG:32756"),
        (60.4, 5.3, "EPSG:32632"),  # Bergen: the wide zone of south-western Norway
        (78.2, 15.6, "EPSG:32633"),  # Longyearbyen: Svalbard has no zone 32, 34, 36
        (78.2, 11.0, "EPSG:32633"),
        (78.2, 8.0, "EPSG:32631"),
        (78.2, 22.0, "EPSG:32635"),
        (60.0, 2.9, "EPSG:32631"),
        (0.0, 9.0, "EPSG:32632"),
        (10.0, 6.0, "EPSG:32632"),  # on the border of two
        (5.0, 180.0, "EPSG:32601"),
        (5.0, -180.0, "EPSG:32601"),
        (86.0, 10.0, "EPSG:32661"),
        (-88.0, 10.0, "EPSG:32761"),
    ],
)
def test_the_utm_zone_knows_norway_svalbard_the_borders_and_the_poles(lat, lon, zone):
    assert utm_zone(Position(lat=lat, lon=lon)) == zone


@pytest.mark.parametrize(
    "origin", [(46.8, -92.0), (-33.9, 151.2), (78.2, 15.6), (86.0, 10.0), (-0.001, 179.9999)]
)
def test_the_matrix_holds_anywhere_on_earth(origin):
    made = survey(lines())
    there = Position(lat=origin[0], lon=origin[1], alt=30.0)
    photos = [
        photo.model_copy(update={"position": from_enu(spot, there)})
        for photo, spot in zip(made.photos, made.places, strict=True)
    ]

    placement = place(made.model, photos, None, seed=0)

    assert placement.georef is not None
    assert placement.georef.projected.error_m < 0.005
    assert placement.georef.projected.scale_factor == pytest.approx(1.0, abs=0.007)


def test_without_gps_the_model_stands_upright_in_viewing_distances_and_says_so():
    made = survey(lines())

    placement = place(made.model, changed(made.photos, position=None), None, seed=0)

    assert placement.georef is None
    assert [advice.code for advice in placement.advice] == ["no_gps"]
    assert "one unit is the usual distance" in placement.advice[0].message
    heights = [image.projection_center()[2] for image in made.model.images.values()]
    assert np.median(heights) == pytest.approx(0.9, abs=0.1)  # points at the rim are farther than those below


def test_without_gps_the_barometer_tells_the_size():
    made = survey(lines())
    photos = [
        photo.model_copy(update={"position": None, "relative_altitude": spot[2]})
        for photo, spot in zip(made.photos, made.places, strict=True)
    ]

    placement = place(made.model, photos, None, seed=0)

    assert placement.georef is None
    assert "barometer" in placement.advice[0].message
    centres = np.array([image.projection_center() for _, image in sorted(made.model.images.items())])
    assert np.linalg.norm(centres[3] - centres[0]) == pytest.approx(
        np.linalg.norm(made.places[3] - made.places[0]), rel=0.05
    )


def test_a_corridor_flown_once_is_placed_with_its_roll_by_the_gimbals():
    # Given one line of photos, 1 m of GPS noise, and gimbals that know
    made = survey(lines(18, across=1), gps_sigma=1.0, gimbal=Gimbal(yaw=0.0, pitch=-90.0, roll=0.0))

    placement = place(made.model, made.photos, None, seed=0)

    assert [advice.code for advice in placement.advice] == ["single_line"]
    assert np.linalg.norm(made.off(placement), axis=1).max() < 2.5
    points = np.array([point.xyz for point in made.model.points3D.values()])
    assert np.polyfit(points[:, 0], points[:, 2], 1)[0] == pytest.approx(0.0, abs=np.radians(1.5))


def test_photos_without_a_place_that_fits_are_told():
    made = survey(lines())
    made.photos[4] = made.photos[4].model_copy(update={"position": Position(lat=0.5, lon=-30.0, alt=0.0)})
    high = [
        photo.model_copy(
            update={"position": photo.position.model_copy(update={"alt": (photo.position.alt or 0.0) + 60.0})}
        )
        for photo in made.photos[10:13]
        if photo.position
    ]

    placement = place(made.model, [*made.photos[:10], *high, *made.photos[13:]], None, seed=0)

    assert [advice.code for advice in placement.advice] == ["gps_contradicts", "gps_altitudes_contradict"]
    assert "100MEDIA/DJI_0004.JPG" in placement.advice[0].message
    assert np.abs(made.off(placement)).max() < 0.05


def gcp_list(made: Survey, points: np.ndarray, *, swap: bool = False, names: str = "abcdefghijkl") -> str:
    """The file for `points` (N, 3), seen with 0.5 px of noise; `swap` exchanges two of them."""
    random = np.random.default_rng(3)
    there = [from_enu(point, ORIGIN) for point in points]
    grid = [UTM.transform(spot.lon, spot.lat, spot.alt) for spot in there]
    if swap:
        grid[0], grid[3] = grid[3], grid[0]
    rows = ["WGS84 UTM 15N"]
    for name, point, (x, y, z) in zip(names, points, grid, strict=False):
        for shot, photo in enumerate(made.photos):
            at = made.pixel(shot, point)
            if at is not None:
                across, down = 4 * at + random.normal(0, 0.5, 2) - 0.5
                rows.append(
                    f"{x:.3f} {y:.3f} {z:.3f} {across:.2f} {down:.2f} {photo.source.split('/')[1]} {name}"
                )
    return "\n".join(rows)


MARKS = np.array(
    [[-5, -5, 0.3], [55, -5, 0.2], [55, 105, 1], [-5, 105, 0.5], [25, 50, 2], [0, 50, 0], [50, 50, 1.5]],
    float,
)


def test_ground_control_outweighs_gps_and_mistakes_in_it_are_found():
    # Given GPS with 3 m of noise, seven points of which two are exchanged, and a mark on the wrong thing
    made = survey(lines(), gps_sigma=3.0)
    content = gcp_list(made, MARKS, swap=True).splitlines()
    wrong = next(index for index, row in enumerate(content) if row.endswith(" e"))
    words = content[wrong].split()
    content[wrong] = " ".join([*words[:3], str(float(words[3]) - 300), *words[4:]])

    control = read_gcp_list("\n".join(content), made.photos)
    placement = place(made.model, made.photos, control, seed=0)

    # Then the model lies right to centimetres, and the mistakes are told by name and line
    assert np.linalg.norm(made.off(placement), axis=1).max() < 0.1
    georef = placement.georef
    assert georef is not None
    assert georef.source == "ground_control"
    assert georef.control is not None
    assert georef.control.used == ["b", "c", "e", "f", "g"]
    assert georef.control.rms_horizontal_m < 0.05
    assert georef.control.left_out_rms_horizontal_m is not None
    assert georef.control.rms_horizontal_m < georef.control.left_out_rms_horizontal_m < 0.15
    told = " ".join(georef.control.rejected)
    assert f"(line {wrong + 1})" in told
    assert "a: " in told
    assert "d: " in told
    assert [advice.code for advice in placement.advice] == ["ground_control_contradicts"]
    # And the residuals of GPS stay those of GPS
    assert 1.0 < georef.rms_horizontal_m < 6.0


def test_ground_control_alone_places_a_model_without_gps():
    made = survey(lines())
    photos = changed(made.photos, position=None)
    control = read_gcp_list(gcp_list(made, MARKS, swap=True), photos)

    placement = place(made.model, photos, control, seed=0)

    assert np.linalg.norm(made.off(placement), axis=1).max() < 0.1
    assert placement.georef is not None
    assert placement.georef.positions_used == 0


def test_check_points_are_measured_against_and_not_used():
    made = survey(lines(), gps_sigma=1.0)
    marks = MARKS.copy()
    control = read_gcp_list(
        gcp_list(made, marks, names=["a", "b", "c", "d", "check1", "f", "CHK2"]), made.photos
    )

    placement = place(made.model, made.photos, control, seed=0)

    assert placement.georef is not None
    assert placement.georef.control is not None
    assert placement.georef.control.used == ["a", "b", "c", "d", "f"]
    assert placement.georef.control.check == ["check1", "CHK2"]
    assert placement.georef.control.check_rms_horizontal_m is not None
    assert 0.0 < placement.georef.control.check_rms_horizontal_m < 0.1


def test_each_point_is_told_with_its_place_in_the_model_and_how_far_off_it_is():
    # Given points of which two are exchanged, and a check point
    made = survey(lines(), gps_sigma=1.0)
    names = ["a", "b", "c", "d", "e", "check-f", "g"]
    control = read_gcp_list(gcp_list(made, MARKS, swap=True, names=names), made.photos)

    placement = place(made.model, made.photos, control, seed=0)

    # Then each has its role
    assert placement.georef is not None
    assert placement.georef.control is not None
    points = {point.name: point for point in placement.georef.control.points}
    roles = {name: point.role for name, point in points.items()}
    assert {name for name, role in roles.items() if role == "used"} == {"b", "c", "e", "g"}
    assert roles["check-f"] == "check"
    # And lies in the delivered frame where it was measured, a centimetre or two off
    for name, mark in zip(names, MARKS, strict=True):
        if roles.get(name) in ("used", "check"):
            there = to_enu([from_enu(np.array(points[name].place), placement.georef.place)], ORIGIN)[0]
            assert there == pytest.approx(mark, abs=0.002)
            assert np.linalg.norm(points[name].off) < 0.1
            assert points[name].alt == pytest.approx(ORIGIN.alt + mark[2], abs=0.01)


def test_points_without_heights_take_theirs_from_gps():
    made = survey(lines(), gps_sigma=0.5)
    content = [row.split() for row in gcp_list(made, MARKS).splitlines()]
    flat = "\n".join([" ".join(content[0]), *(" ".join([*row[:2], "NaN", *row[3:]]) for row in content[1:])])

    placement = place(made.model, made.photos, read_gcp_list(flat, made.photos), seed=0)

    off = made.off(placement)
    assert placement.georef is not None
    assert placement.georef.source == "ground_control"
    assert np.abs(off[:, 2]).max() < 1.5
    assert placement.georef.control is not None
    assert {(point.alt, point.off[2]) for point in placement.georef.control.points} == {(None, 0.0)}
    assert np.linalg.norm(off[:, :2], axis=1).max() < 1.5  # half a degree of level at 50 m


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda rows: [rows[0].replace("15N", "16N"), *rows[1:]], "km from the photos' GPS"),
        (
            lambda rows: [rows[0], *(r for r in rows[1:] if r[-1] in "ab"), *_elsewhere(rows)],
            "points are left",
        ),
    ],
    ids=["another zone", "a third point at the wrong place"],
)
def test_ground_control_that_cant_be_used_leaves_gps_and_says_so(spoil, why):
    made = survey(lines(), gps_sigma=0.5)
    control = read_gcp_list("\n".join(spoil(gcp_list(made, MARKS).splitlines())), made.photos)

    placement = place(made.model, made.photos, control, seed=0)

    assert placement.georef is not None
    assert placement.georef.source == "gps"
    assert placement.advice[0].code == "ground_control_unused"
    assert why in placement.advice[0].message


def _elsewhere(rows: list[str]) -> list[str]:
    words = [row.split() for row in rows[1:] if row[-1] == "c"]
    return [" ".join([str(float(x) + 40), *rest]) for x, *rest in words]


def test_another_datum_than_gps_is_told():
    # Given points that lie 80 m east of where GPS has them
    made = survey(lines(), gps_sigma=0.5)
    rows = [row.split() for row in gcp_list(made, MARKS).splitlines()[1:]]
    content = "\n".join(["EPSG:32615", *(" ".join([f"{float(row[0]) + 80:.3f}", *row[1:]]) for row in rows)])

    placement = place(made.model, made.photos, read_gcp_list(content, made.photos), seed=0)

    assert [advice.code for advice in placement.advice] == ["ground_control_shifted"]
    assert "80 m" in placement.advice[0].message
    # True east is not quite the grid's
    assert np.median(made.off(placement), axis=0) == pytest.approx([80.0, -1.0, 0.0], abs=0.2)


def rays_to(place: np.ndarray, centres: np.ndarray, errors: np.ndarray) -> list[Ray]:
    """Rays from `centres` (N, 3) to `place`, each off by pixels (N,)."""
    rays = []
    for index, (centre, error) in enumerate(zip(centres, errors, strict=True)):
        direction = (place - centre) / np.linalg.norm(place - centre)
        side = np.cross(direction, [0.3, 1.0, 0.2])
        direction = direction + error / 1000.0 * side / np.linalg.norm(side)
        rays.append(Ray(f"{index}", centre, direction / np.linalg.norm(direction), 1000.0))
    return rays


CENTRES = np.array([[0, 0, 50], [20, 0, 50], [0, 20, 50], [20, 20, 52], [40, 10, 51]], float)


def test_rays_meet_where_most_of_them_do():
    found = meet(rays_to(np.array([10.0, 10.0, 0.0]), CENTRES, np.array([0.5, 60.0, -0.5, 0.3, -200.0])))

    assert found is not None
    assert found.agree.tolist() == [True, False, True, True, False]
    assert found.place == pytest.approx([10, 10, 0], abs=0.15)
    assert 0.01 < found.sigmas(np.array([0.0, 0.0, 1.0]))[1] < 0.2


def test_a_point_marked_in_hundreds_of_photos_takes_no_longer(monkeypatch):
    # Given marks by a program that finds targets, half of them wrong
    random = np.random.default_rng(0)
    centres = np.column_stack([random.uniform(-40, 40, (300, 2)), np.full(300, 50.0)])
    errors = np.where(np.arange(300) % 2, random.choice([-1.0, 1.0], 300) * random.uniform(20, 300, 300), 0.5)
    tried = []
    nearest = ground_control._nearest
    monkeypatch.setattr(ground_control, "_nearest", lambda rays: tried.append(rays) or nearest(rays))

    found = meet(rays_to(np.array([10.0, 10.0, 0.0]), centres, errors))

    assert found is not None
    assert found.agree.tolist() == [index % 2 == 0 for index in range(300)]
    assert len(tried) <= ground_control.MOST_PAIRS + 1


@pytest.mark.parametrize(
    "rays",
    [
        rays_to(np.array([10.0, 10.0, 0.0]), CENTRES[:2], np.array([0.0, 80.0])),
        rays_to(np.array([10.0, 10.0, 0.0]), CENTRES[:5], np.array([0.0, 80.0, 200.0, -150.0, 300.0])),
        rays_to(np.array([10.0, 10.0, 0.0]), CENTRES[0] + np.array([[0, 0, 0], [0.5, 0, 0]]), np.zeros(2)),
        rays_to(np.array([10.0, 10.0, 0.0]), CENTRES[:1], np.zeros(1)),
    ],
    ids=["two apart", "all apart", "parallel", "one"],
)
def test_rays_that_show_no_one_place_don_t_meet(rays):
    assert meet(rays) is None
