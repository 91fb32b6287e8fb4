"""The page's own tools in a real browser: the tape measure and the compass, by mouse, touch and keyboard."""

from __future__ import annotations

import re

import numpy as np
import pytest
from viewer_fidelity import launched, opened, served

from spaceport_compressor.sog.write import write_sog
from spaceport_compressor.viewer.bundle import Exhibit, write_viewer
from spaceport_compressor.viewer.place import Place
from spaceport_render.camera import Camera
from spaceport_render.gaussians import Gaussians

pytestmark = pytest.mark.browser

WINDOW = {"viewport": {"width": 480, "height": 320}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
SCALE_ERROR = 0.01
# Where a place on the ground, metres east and north, is in the window.
ON_SCREEN = """([east, north]) => {
    const camera = viewer.app.root.findByName('camera');
    const { x, y } = camera.camera.worldToScreen(camera.getPosition().clone().set(east, 0, -north));
    return [x, y];
}"""


def flat_lawn() -> Gaussians:
    """30 m square, flat, at height 0, with a grid of dark spots to look at."""
    rng = np.random.default_rng(0)
    ground = rng.uniform(-15, 15, (9000, 2))
    is_dark = (np.abs(ground % 5 - 2.5) > 2.2).any(axis=1)
    sh = np.where(is_dark[:, None], -1.0, 0.6) * np.array([[0.8, 1.0, 0.5]])
    return Gaussians(
        np.column_stack([ground, np.zeros(len(ground))]).astype(np.float32),
        np.tile(np.float32([1, 0, 0, 0]), (len(ground), 1)),
        np.tile(np.log(np.float32([0.3, 0.3, 0.03])), (len(ground), 1)),
        np.full(len(ground), 3, np.float32),
        sh[:, None].astype(np.float32),
    )


def oblique() -> Camera:
    """From the south-west, 25 m up, towards the lawn's middle: the picture's top is north-east."""
    position = np.array([-18.0, -18.0, 25.0])
    forward = -position / np.linalg.norm(position)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = [right, np.cross(forward, right), forward]
    world_to_camera[:3, 3] = -world_to_camera[:3, :3] @ position
    return Camera("from the south-west.jpg", 480, 320, 400.0, 400.0, 240.0, 160.0, world_to_camera)


@pytest.fixture(scope="module")
def site(tmp_path_factory, repository):
    """Serves the lawn twice: `on-earth/`, and `nowhere/`, whose place and scale nobody knows."""
    root = tmp_path_factory.mktemp("site")
    package = repository / "node_modules/@playcanvas/supersplat-viewer"
    for name, place in {"on-earth": Place(SCALE_ERROR), "nowhere": None}.items():
        (root / name).mkdir()
        write_sog(root / name / "model.sog", flat_lawn())
        write_viewer(root / name / "viewer", Exhibit("Lawn", [oblique()], flat_lawn(), place=place), package)
    with served(root) as address:
        yield address


@pytest.fixture(scope="module")
def browser(chromium):
    with launched(chromium) as browser:
        yield browser


def point_at(page, *places, tap=False):
    """Click or tap on these places of the ground, one after the other."""
    for place in places:
        before = page.locator("#sheet circle").count()
        x, y = page.evaluate(ON_SCREEN, place)
        (page.touchscreen.tap if tap else page.mouse.click)(x, y)
        page.wait_for_function(f"document.querySelectorAll('#sheet circle').length === {before + 1}")


def metres_in(page) -> tuple[float, float]:
    """The length that is told, and its margin."""
    told = re.search(r"([\d.]+) m, give or take ([\d.]+)", page.locator("#tape-words").inner_text())
    assert told, page.locator("#tape").inner_text()
    return float(told[1]), float(told[2])


@pytest.mark.parametrize("window", [WINDOW, PHONE], ids=["mouse", "touch"])
def test_a_way_along_three_places_is_as_long_as_it_is(site, browser, window):
    with opened(f"{site}/on-earth/viewer/", browser, **window) as page:
        # Given the tool
        page.locator("#measure").click()
        assert page.locator("#tape-words").inner_text() == "Point at two places or more on the model."
        stood = page.evaluate("viewer.app.root.findByName('camera').getPosition().toString()")
        # When three places are pointed at, 5 m and 3 m apart
        point_at(page, (-3, 1), (0, 5), (3, 5), tap=window is PHONE)
        # Then the sum is told, with what it may be off by: a hundredth, and a pixel or so at each end
        length, margin = metres_in(page)
        assert length == pytest.approx(8, abs=max(margin, 0.1))
        assert 0.08 <= margin < 0.5
        assert "Along 2 pieces" in page.locator("#tape-note").inner_text()
        assert page.locator("#sheet output").inner_text() == f"{length} m"
        # And the viewer has not taken the clicks as orders to turn there
        page.wait_for_timeout(600)
        assert page.evaluate("viewer.app.root.findByName('camera').getPosition().toString()") == stood
        # And what is drawn stays where it belongs when the view turns, and on the screen
        page.mouse.move(200, 250)
        page.mouse.down()
        page.mouse.move(260, 230, steps=4)
        page.mouse.up()
        page.wait_for_timeout(1000)
        assert page.locator("#sheet circle").count() == 3
        x, y = page.evaluate(ON_SCREEN, (0, 5))
        dot = page.locator("#sheet circle").nth(1).bounding_box()
        assert (dot["x"] + dot["width"] / 2, dot["y"] + dot["height"] / 2) == pytest.approx((x, y), abs=4)
        # One place taken back, and the tool put away
        page.get_by_role("button", name="Take back").click()
        assert metres_in(page)[0] == pytest.approx(5, abs=0.3)
        page.get_by_role("button", name="Done").click()
        assert page.locator("#tape").is_hidden()
        assert page.locator("#sheet").is_hidden()
        assert page.evaluate("document.documentElement.scrollWidth") == window["viewport"]["width"]


def test_it_is_used_by_the_keyboard_alone(site, browser):
    with opened(f"{site}/on-earth/viewer/", browser, **WINDOW) as page:
        stood = page.evaluate("viewer.app.root.findByName('camera').getPosition().toString()")
        page.locator("#measure").focus()
        page.keyboard.press("Enter")
        # The cross hairs have the focus, in the middle, and are seen
        assert page.evaluate("document.activeElement.id") == "sheet"
        assert page.locator("#sheet i").is_visible()
        page.keyboard.press("Enter")
        page.wait_for_function("document.querySelectorAll('#sheet circle').length === 1")
        for _ in range(5):
            page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        page.wait_for_function("document.querySelectorAll('#sheet circle').length === 2")
        # 60 pixels of the middle, where the camera is 36 m off
        across = page.evaluate("1 / viewer.app.root.findByName('camera').camera.projectionMatrix.data[0]")
        assert metres_in(page)[0] == pytest.approx(60 / 240 * across * 35.6, rel=0.05)
        page.keyboard.press("Backspace")
        assert page.locator("#sheet circle").count() == 1
        assert page.evaluate("viewer.app.root.findByName('camera').getPosition().toString()") == stood
        page.keyboard.press("Escape")
        assert page.locator("#tape").is_hidden()
        assert page.evaluate("document.activeElement.id") == "measure"


def test_a_model_of_no_known_place_has_units_and_no_north(site, browser):
    with opened(f"{site}/nowhere/viewer/", browser, **WINDOW) as page:
        assert page.locator("#compass").count() == 0
        page.locator("#measure").click()
        point_at(page, (-3, 1), (0, 5))
        assert re.match(r"(4\.\d|5\.\d)\d* units", page.locator("#tape-words").inner_text())
        assert "nothing tells how long a metre is" in page.locator("#tape-note").inner_text()


def test_beside_the_model_there_is_nothing_to_measure(site, browser):
    with opened(f"{site}/on-earth/viewer/", browser, **PHONE) as page:
        page.locator("#measure").click()
        page.touchscreen.tap(20, 120)
        page.get_by_text("There is nothing of the model there.").wait_for()
        assert page.locator("#sheet circle").count() == 0


def test_the_compass_points_north(site, browser):
    with opened(f"{site}/on-earth/viewer/", browser, **WINDOW) as page:
        compass = page.get_by_role("img", name="The picture’s top is north-east")
        compass.wait_for()
        # North is half left of the top
        turned = float(page.locator("#compass g").get_attribute("transform")[7:-1])
        assert turned == pytest.approx(-45, abs=1)


def test_nothing_covers_the_model_but_what_was_asked_for(site, browser):
    for window in (PHONE, {"viewport": {"width": 1280, "height": 800}}):
        with opened(f"{site}/on-earth/viewer/", browser, **window) as page:
            assert page.locator("#tape").is_hidden()
            # The viewer's own list of keys opens by its button only
            assert page.get_by_text("Orbit Mode").locator("visible=true").count() == 0
        with opened(f"{site}/on-earth/viewer/?noui", browser, **window) as page:
            assert page.locator("#tools").is_hidden()
