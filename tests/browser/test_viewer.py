"""The delivered page in a real browser: it shows the model, the right way round, as a photo saw it."""

import json
import shutil
from contextlib import closing, contextmanager
from dataclasses import fields
from urllib.parse import quote

import numpy as np
import pytest
from viewer_fidelity import (
    LEAST_PSNR,
    compare,
    launched,
    opened,
    picture_at_rest,
    picture_of,
    screenshot_of,
    served,
    wait_until_settled,
)

from spaceport.quality import ControlPointNumbers
from spaceport_compressor.sog.read import read_sog
from spaceport_compressor.sog.write import write_sog
from spaceport_compressor.viewer.bundle import Exhibit, write_viewer
from spaceport_compressor.viewer.settings import BACKGROUND
from spaceport_render.camera import Camera
from spaceport_render.gaussians import AntialiasedGaussians, Gaussians
from spaceport_render.metrics import psnr
from spaceport_render.render import render

pytestmark = pytest.mark.browser

BASE = 0.28209479  # the constant harmonic: colour = 0.5 + BASE · sh
VIEWER = "node_modules/@playcanvas/supersplat-viewer"


def lawn_with_tower() -> Gaussians:
    """A 40 m lawn, redder to the east and greener to the north, and a blue tower in its north-west.

    No two directions look alike, and the tower is brighter from the east than from the west.
    """
    rng = np.random.default_rng(0)
    east, north = rng.uniform(-20, 20, (2, 6000))
    lawn = np.stack([east, north, 0.5 * np.sin(east / 3)], axis=1)
    lawn_color = np.stack([0.2 + (east + 20) / 50, 0.2 + (north + 20) / 50, np.full(6000, 0.15)], axis=1)
    tower = rng.uniform([-14, 8, 0], [-9, 13, 12], (3000, 3))
    tower_color = np.tile([0.1, 0.2, 0.8], (3000, 1)) + 0.3 * (tower[:, 2:] / 12 - 0.5)
    sh = np.zeros((9000, 4, 3))
    sh[:, 0] = (np.concatenate([lawn_color, tower_color]) - 0.5) / BASE
    sh[6000:, 3] = 0.25  # the band of degree 1 along x
    arrays = (
        np.concatenate([lawn, tower]),
        rng.normal(0, 1, (9000, 4)),
        np.log(np.repeat([[0.5, 0.35, 0.1]], 9000, axis=0)),
        np.full(9000, 2.0),
        sh,
    )
    return Gaussians(*(np.ascontiguousarray(array, dtype=np.float32) for array in arrays))


def camera_at(name, position, target, roll_degrees=0.0) -> Camera:
    """A camera of 480 × 320 pixels, its principal point off the middle and its pixels not quite square."""
    forward = np.subtract(target, position) / np.linalg.norm(np.subtract(target, position))
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = np.cos(np.radians(roll_degrees)), np.sin(np.radians(roll_degrees))
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = [c * right + s * down, c * down - s * right, forward]
    world_to_camera[:3, 3] = -world_to_camera[:3, :3] @ position
    return Camera(name, 480, 320, 400.0, 404.0, 246.0, 157.0, world_to_camera)


CAMERAS = (
    camera_at("from the south.jpg", (5, -38, 24), (-2, 0, 2)),
    camera_at("flight 2/from the east, rolled.jpg", (36, 6, 18), (0, 2, 2), roll_degrees=20),
    camera_at("straight down.jpg", (-3, 4.001, 45), (-3, 4, 0)),
)


CONTROL = (
    ControlPointNumbers(
        name='<b onclick="x">Gate & post</b>', role="used", lat=46.84, lon=-91.99, alt=151.25,
        place=(-2.0, 0.0, 0.3), off=(0.012, 0.016, -0.034),
    ),
    ControlPointNumbers(
        name="check 2", role="check", lat=46.85, lon=-91.98, alt=None, place=(8.0, 4.0, 0.2),
        off=(1.5, 2.0, 0.0),
    ),
)  # fmt: skip
WINDOW = {"viewport": {"width": 480, "height": 320}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def delivered(tmp_path_factory, repository):
    """A folder as the compression stage leaves it: `model.sog` and `viewer/`."""
    package = repository / VIEWER
    if not package.is_dir():
        pytest.skip("the viewer is not installed: run containers/compressor/fetch_viewer.py")
    folder = tmp_path_factory.mktemp("a site") / "jobs" / "no 1 & only"
    folder.mkdir(parents=True)
    model = lawn_with_tower()
    write_sog(folder / "model.sog", model)
    write_viewer(folder / "viewer", Exhibit("Lawn & <b>tower</b>", CAMERAS, model, CONTROL), package)
    return folder


@pytest.fixture(scope="module")
def browser(chromium):
    with launched(chromium) as browser:
        yield browser


@pytest.fixture(scope="module")
def address(delivered):
    """Of the delivered folder, some way down a site."""
    with served(delivered.parents[1]) as site:
        yield f"{site}/jobs/{quote(delivered.name)}"


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: camera.name)
def test_the_page_shows_the_model_as_the_photo_saw_it(delivered, browser, camera):
    # Given the delivered folder, served over HTTP
    # When a browser opens it at a photo's camera
    shown = screenshot_of(delivered, camera, browser)
    # Then the picture is our own render of the delivered file, and no other way round
    ours = render(read_sog(delivered / "model.sog"), camera, BACKGROUND).clip(0, 1)
    fidelity = compare(camera.name, shown, ours)
    assert fidelity.psnr_db >= LEAST_PSNR + 4
    assert fidelity.turned_psnr_db < LEAST_PSNR - 4


def test_a_model_trained_antialiased_is_drawn_so(browser, tmp_path, repository):
    # Given such a model, of Gaussians a third of a pixel wide
    lawn = lawn_with_tower()
    fine = np.full_like(lawn.log_scales, np.log(0.03))
    model = AntialiasedGaussians(lawn.means, lawn.quats, fine, lawn.opacity_logits, lawn.sh)
    write_sog(tmp_path / "model.sog", model)
    write_viewer(tmp_path / "viewer", Exhibit("Fine", CAMERAS, model), repository / VIEWER)
    # When a browser opens it
    shown = screenshot_of(tmp_path, CAMERAS[0], browser)
    # Then it is as thin as our own render of the file, and not as it would be without
    decoded = read_sog(tmp_path / "model.sog")
    plain = Gaussians(*(getattr(decoded, field.name) for field in fields(decoded)))
    ours, thick = (render(each, CAMERAS[0], BACKGROUND).clip(0, 1) for each in (decoded, plain))
    assert psnr(shown, ours) > psnr(shown, thick) + 6


def test_the_page_opens_upright_on_a_phone_with_its_title(address, browser):
    with opened(f"{address}/viewer/", browser, **PHONE) as page:
        # The job's name is text, whatever is in it
        assert page.title() == "Lawn & <b>tower</b>"
        assert page.locator("#title").inner_text() == "Lawn & <b>tower</b>"
        # The message has made way for the model, and nothing is wider than the screen
        assert page.locator("#told").is_hidden()
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        up = page.evaluate("viewer.app.root.findByName('gsplat').forward.y")
        assert up == pytest.approx(-1)  # the model's z, which is up, is the viewer's y
        # The viewer's own list stands clear of the title
        title, listed = (page.locator(at).bounding_box() for at in ("#title", ".sse-annotationNav"))
        assert listed["y"] >= title["y"] + title["height"]
        # And of our tools
        tool = page.locator("#measure").bounding_box()
        assert listed["y"] >= tool["y"] + tool["height"]
        assert title["x"] + title["width"] <= tool["x"]


@pytest.mark.parametrize("window", [WINDOW, PHONE], ids=["landscape", "phone"])
def test_a_poster_of_the_same_view_stands_there_until_the_model_does(address, browser, window):
    # Given a model that takes its time
    with served_late(browser, **window) as (page, let_go):
        page.goto(f"{address}/viewer/?noui")
        page.wait_for_function("document.getElementById('poster').complete")
        # When it comes
        before = picture_of(page)
        let_go()
        wait_until_settled(page)
        page.locator("#poster").wait_for(state="detached")
        # Then nothing jumps
        assert psnr(before, picture_at_rest(page)) >= LEAST_PSNR


def test_a_page_that_waits_tells_so(address, browser):
    with served_late(browser, **WINDOW) as (page, _):
        page.goto(f"{address}/viewer/")
        assert page.get_by_role("status").inner_text() == "Loading the model…"
        assert page.get_by_role("progressbar").is_visible()
        # Beside the photo of one's choice no other view flashes by
        page.goto(f"{address}/viewer/?camera={quote(CAMERAS[0].name)}")
        assert page.locator("#poster").count() == 0


def test_the_flight_waits_for_its_button_and_then_follows_its_track(delivered, address, browser):
    track = json.loads((delivered / "viewer/settings.json").read_text())["animTracks"][0]
    keys = np.array(track["keyframes"]["values"]["position"]).reshape(-1, 3)
    times = np.array(track["keyframes"]["times"]) / track["frameRate"]
    with opened(f"{address}/viewer/", browser, **WINDOW) as page:
        # Given a page that stands still, where it opened
        opening = json.loads((delivered / "viewer/settings.json").read_text())["cameras"][0]["initial"]
        assert position_in(page) == pytest.approx(opening["position"], abs=1e-3)
        assert page.evaluate("viewer.state.animationPaused")
        # When its play button is pressed
        page.locator(".sse-play").click()
        page.wait_for_function("viewer.state.cameraMode === 'anim' && viewer.state.animationTime > 1.5")
        page.locator(".sse-pause").click()
        # Then the camera is on the track, where the clock says
        now = page.evaluate("viewer.state.animationTime")
        there = [np.interp(now, times, keys[:, axis]) for axis in range(3)]
        assert position_in(page) == pytest.approx(there, abs=0.05)
        # And at its end at the track's end
        page.evaluate(f"viewer.seek({times[-1]})")
        page.wait_for_timeout(1500)  # the viewer's own way there
        assert position_in(page) == pytest.approx(keys[-1], abs=0.05)


def test_control_points_are_annotations_with_names_that_are_only_text(address, browser):
    with opened(f"{address}/viewer/", browser, **WINDOW) as page:
        marks = page.locator(".sse-annotation-hotspot")
        assert marks.count() == 2
        page.evaluate("viewer.selectAnnotation(0)")
        told = page.locator(".sse-annotation.sse-visible")
        told.wait_for()
        assert told.locator(".sse-annotation-title").inner_text() == CONTROL[0].name
        assert "2.0 cm across and 3.4 cm in height" in told.inner_text()
        assert page.locator("#viewer b").count() == 0
        # And the camera looks at the point
        page.wait_for_timeout(2500)
        mark = marks.first.bounding_box()
        assert mark["x"] + mark["width"] / 2 == pytest.approx(240, abs=3)
        assert mark["y"] + mark["height"] / 2 == pytest.approx(160, abs=3)


def test_it_asks_for_nothing_outside_its_folder(address, browser):
    asked = []
    with opened(
        f"{address}/viewer/",
        browser,
        lambda page: page.on("request", lambda request: asked.append(request.url)),
    ):
        pass
    allowed = (f"{address}/viewer/", f"{address}/model.sog", "data:", "blob:")
    assert [url for url in asked if not url.startswith(allowed)] == []
    assert f"{address}/viewer/poster.jpg" in asked


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "model.sog").unlink(), "model.sog could not be loaded (404)"),
        (lambda folder: (folder / "model.sog").write_bytes(b"no zip at all" * 9), "could not be read"),
        (lambda folder: (folder / "viewer/index.js").unlink(), "index.js"),
    ],
    ids=["missing model", "broken model", "missing program"],
)
def test_what_goes_wrong_is_told_on_the_page(delivered, browser, tmp_path, spoil, told):
    folder = tmp_path / "spoilt"
    shutil.copytree(delivered, folder)
    spoil(folder)
    with pytest.raises(RuntimeError) as failure:
        screenshot_of(folder, CAMERAS[0], browser)
    assert told in str(failure.value)


def test_a_photo_that_is_not_there_is_told_on_the_page(delivered, browser):
    with pytest.raises(RuntimeError, match=r"no photo called nowhere\.jpg"):
        screenshot_of(delivered, camera_at("nowhere.jpg", (5, -38, 24), (0, 0, 0)), browser)


def test_a_page_opened_as_a_file_tells_how_to_serve_it(delivered, browser):
    page = (delivered / "viewer/index.html").as_uri()
    with pytest.raises(RuntimeError, match=r"python3 -m http\.server"), opened(page, browser):
        pass


def test_a_browser_without_3d_graphics_is_told(address, browser):
    def switch_off(page):
        page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
        page.add_init_script("Object.defineProperty(navigator, 'gpu', { value: undefined })")

    with (
        pytest.raises(RuntimeError, match="WebGL 2 is missing or switched off"),
        opened(f"{address}/viewer/", browser, switch_off),
    ):
        pass


def test_a_browser_without_scripts_is_told_in_place_of_the_progress(address, browser):
    with closing(browser.new_context(java_script_enabled=False)) as context:
        page = context.new_page()
        page.goto(f"{address}/viewer/")
        assert page.locator("#told").inner_text().strip() == "This page needs JavaScript to draw the model."


@contextmanager
def served_late(browser, **window):
    """A page of `browser` for which the model comes only when `let_go()` is called."""
    with closing(browser.new_context(**window)) as context:
        page = context.new_page()
        held = []
        page.route("**/model.sog", lambda route: held.append(route))  # noqa: PLW0108 - playwright marks it

        def let_go():
            while not held:
                page.wait_for_timeout(20)
            held.pop().continue_()

        yield page, let_go


def position_in(page):
    """Where the viewer's camera is."""
    return page.evaluate("(({ x, y, z }) => [x, y, z])(viewer.app.root.findByName('camera').getPosition())")
