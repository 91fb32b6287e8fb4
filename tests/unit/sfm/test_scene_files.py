"""What is delivered beside COLMAP's files: points for viewers, cameras for maps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
import pytest
from survey import changed, lines, survey

from spaceport_sfm.photo import Photo
from spaceport_sfm.placement.camera_map import flight_line
from spaceport_sfm.placement.gps import Position
from spaceport_sfm.placement.placing import place
from spaceport_sfm.placement.point_cloud import VERTEX
from spaceport_sfm.placement.scene_files import write_scene


def delivered(folder: Path, photos: list[Photo] | None = None, **options: bool) -> tuple[Any, Any]:
    """A made-up survey, placed and written; the survey and the placement."""
    made = survey(lines(), gps_sigma=1.0)
    photos = made.photos if photos is None else photos
    placement = place(made.model, photos, None, seed=0)
    write_scene(made.model, photos, placement.georef, folder, as_text=options.get("as_text", False))
    return made, placement


def check_rfc_7946(document: dict[str, Any]) -> None:
    """What RFC 7946 asks of a document: members, types, the order and range of coordinates, no CRS."""
    assert document["type"] == "FeatureCollection"
    assert "crs" not in document
    for feature in document["features"]:
        assert set(feature) == {"type", "geometry", "properties"}
        assert feature["type"] == "Feature"
        geometry = feature["geometry"]
        if geometry is None:
            continue
        coordinates = geometry["coordinates"]
        nested = {"Point": [[coordinates]], "LineString": [coordinates], "MultiLineString": coordinates}
        for line in nested[geometry["type"]]:
            assert geometry["type"] == "Point" or len(line) >= 2
            for position in line:
                assert len(position) in {2, 3}
                assert -180 <= position[0] <= 180
                assert -90 <= position[1] <= 90
                assert all(np.isfinite(position))


def test_the_points_are_a_ply_that_readers_take(tmp_path):
    made, placement = delivered(tmp_path)

    # Then COLMAP's own reader finds each point with its place and colour
    read = pycolmap.Reconstruction()
    read.import_PLY(tmp_path / "points.ply")
    assert read.num_points3D() == made.model.num_points3D()
    # And the bytes are what the header says
    content = (tmp_path / "points.ply").read_bytes()
    header, _, body = content.partition(b"end_header\n")
    vertices = np.frombuffer(body, VERTEX)
    points = [point for _, point in sorted(made.model.points3D.items())]
    assert f"element vertex {len(points)}".encode() in header
    assert f"latitude {placement.georef.origin.lat}".encode() in header
    assert np.stack([vertices[axis] for axis in "xyz"], 1) == pytest.approx(
        np.array([point.xyz for point in points]), abs=1e-4
    )
    assert (vertices["green"] == 200).all()
    assert vertices["views"].tolist() == [point.track.length() for point in points]


def test_a_model_without_points_makes_an_empty_cloud(tmp_path):
    made = survey(lines())
    for point in list(made.model.point3D_ids()):
        made.model.delete_point3D(point)

    placement = place(made.model, made.photos, None, seed=0)
    write_scene(made.model, made.photos, placement.georef, tmp_path, as_text=False)

    assert b"element vertex 0\n" in (tmp_path / "points.ply").read_bytes()


def test_cameras_are_on_the_map_where_they_were_with_their_views(tmp_path):
    made, _ = delivered(tmp_path)

    document = json.loads((tmp_path / "cameras.geojson").read_text())

    check_rfc_7946(document)
    *shots, flight = document["features"]
    assert "EXIF" in document["vertical_reference"]
    assert [shot["properties"]["source"] for shot in shots] == [photo.source for photo in made.photos]
    for index, (shot, photo) in enumerate(zip(shots, made.photos, strict=True)):
        lon, lat, height = shot["geometry"]["coordinates"]
        assert photo.position is not None
        assert (lon, lat) == pytest.approx((photo.position.lon, photo.position.lat), abs=5e-5)
        assert height == pytest.approx(photo.position.alt, abs=5)
        about = shot["properties"]
        assert about["registered"] is True
        assert about["placed_by"] == "model"
        # The lines were flown to the north and back, looking down
        heading = 180.0 * (index % 2)
        assert abs((about["heading_deg"] - heading + 180) % 360 - 180) < 2.0
        assert about["pitch_deg"] == pytest.approx(-90, abs=3)
        assert 0 < about["gps_off_horizontal_m"] < 6
    assert flight["geometry"]["type"] == "LineString"
    assert flight["geometry"]["coordinates"] == [shot["geometry"]["coordinates"] for shot in shots]


def test_a_photo_that_was_not_registered_is_where_its_gps_says(tmp_path):
    made = survey(lines())
    stray = made.photos[0].model_copy(
        update={"name": "stray.jpg", "source": "stray.JPG", "position": Position(lat=46.9, lon=-92.1)}
    )
    lost = stray.model_copy(update={"name": "lost.jpg", "position": None})

    delivered(tmp_path, [*made.photos, stray, lost])

    document = json.loads((tmp_path / "cameras.geojson").read_text())
    check_rfc_7946(document)
    by_name = {feature["properties"].get("name"): feature for feature in document["features"]}
    assert by_name["stray.jpg"]["geometry"]["coordinates"] == [-92.1, 46.9]
    assert by_name["stray.jpg"]["properties"]["registered"] is False
    assert by_name["stray.jpg"]["properties"]["placed_by"] == "gps"
    assert by_name["lost.jpg"]["geometry"] is None
    # And the flight does not lead there
    assert by_name[None]["properties"]["photos"] == 18


def test_without_a_place_there_is_a_map_without_places(tmp_path):
    delivered(tmp_path, changed(survey(lines()).photos, position=None))

    assert (tmp_path / "georef.json").read_text() == "null"
    document = json.loads((tmp_path / "cameras.geojson").read_text())
    check_rfc_7946(document)
    assert [feature["geometry"] for feature in document["features"]] == [None] * 18


def test_a_flight_across_the_date_line_is_cut_there():
    path = [Position(lat=10.0, lon=179.9, alt=5.0), Position(lat=10.2, lon=-179.9, alt=5.0)]

    line = flight_line([*path, path[0]])

    check_rfc_7946(
        {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": line, "properties": {}}]}
    )
    assert line["type"] == "MultiLineString"
    assert line["coordinates"] == [
        [[179.9, 10.0, 5.0], [180.0, 10.1]],
        [[-180.0, 10.1], [-179.9, 10.2, 5.0], [-180.0, 10.1]],
        [[180.0, 10.1], [179.9, 10.0, 5.0]],
    ]


def test_a_flight_along_the_date_line_stays_on_its_side():
    # Given places on the very meridian, which is 180 and -180
    path = [Position(lat=lat, lon=lon) for lat, lon in ((1.0, 179.999), (1.1, 180.0), (1.2, -180.0))]

    line = flight_line(path)

    assert line["type"] == "MultiLineString"
    assert [[round(lon) for lon, _ in part] for part in line["coordinates"]] == [[180] * 3, [-180] * 2]


def test_text_files_come_on_request(tmp_path):
    made, _ = delivered(tmp_path, as_text=True)

    assert pycolmap.Reconstruction(tmp_path).num_points3D() == made.model.num_points3D()
    for name in ("cameras", "images", "points3D"):
        assert (tmp_path / f"{name}.bin").is_file()
        assert (tmp_path / f"{name}.txt").is_file()
