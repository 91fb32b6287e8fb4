"""The delivered page in a real browser: it shows the model, the right way round, as a photo saw it."""

import numpy as np
import pytest
from viewer_fidelity import LEAST_PSNR, compare, opened, screenshot_of, served

from spaceport_compressor.sog.read import read_sog
from spaceport_compressor.sog.write import write_sog
from spaceport_compressor.viewer.bundle import Exhibit, write_viewer
from spaceport_compressor.viewer.settings import BACKGROUND
from spaceport_render.camera import Camera
from spaceport_render.gaussians import Gaussians
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


@pytest.fixture(scope="module")
def delivered(tmp_path_factory, repository):
    """A folder as the compression stage leaves it: `model.sog` and `viewer/`."""
    package = repository / VIEWER
    if not package.is_dir():
        pytest.skip("the viewer is not installed: run containers/compressor/fetch_viewer.py")
    folder = tmp_path_factory.mktemp("delivered")
    model = lawn_with_tower()
    write_sog(folder / "model.sog", model)
    write_viewer(folder / "viewer", Exhibit("Lawn & <b>tower</b>", CAMERAS, model), package)
    return folder


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: camera.name)
def test_the_page_shows_the_model_as_the_photo_saw_it(delivered, chromium, camera):
    # Given the delivered folder, served over HTTP
    # When a browser opens it at a photo's camera
    shown = screenshot_of(delivered, camera, chromium)
    # Then the picture is our own render of the delivered file, and no other way round
    ours = render(read_sog(delivered / "model.sog"), camera, BACKGROUND).clip(0, 1)
    fidelity = compare(camera.name, shown, ours)
    assert fidelity.psnr_db >= LEAST_PSNR + 4
    assert fidelity.turned_psnr_db < LEAST_PSNR - 4


def test_the_page_opens_upright_on_a_phone_with_its_title(delivered, chromium):
    phone = {"viewport": {"width": 390, "height": 780}, "is_mobile": True, "has_touch": True}
    with served(delivered) as address, opened(f"{address}/viewer/", chromium, **phone) as page:
        # The job's name is text, whatever is in it
        assert page.title() == "Lawn & <b>tower</b>"
        assert page.locator("#title").inner_text() == "Lawn & <b>tower</b>"
        # The message has made way for the model, and nothing is wider than the screen
        assert page.locator("#told").is_hidden()
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        up = page.evaluate("viewer.app.root.findByName('gsplat').forward.y")
        assert up == pytest.approx(-1)  # the model's z, which is up, is the viewer's y


def test_it_asks_for_nothing_outside_its_folder(delivered, chromium):
    asked = []
    with (
        served(delivered) as address,
        opened(f"{address}/viewer/", chromium, on_request=lambda request: asked.append(request.url)),
    ):
        pass
    allowed = (f"{address}/viewer/", f"{address}/model.sog", "data:", "blob:")
    assert [url for url in asked if not url.startswith(allowed)] == []


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "model.sog").unlink(), "model.sog could not be loaded (404)"),
        (lambda folder: (folder / "model.sog").write_bytes(b"no zip at all" * 9), "could not be read"),
        (lambda folder: (folder / "viewer/index.js").unlink(), "index.js"),
    ],
    ids=["missing model", "broken model", "missing program"],
)
def test_what_goes_wrong_is_told_on_the_page(delivered, chromium, tmp_path, spoil, told):
    folder = tmp_path / "spoilt"
    (folder / "viewer").mkdir(parents=True)
    for file in delivered.rglob("*"):
        if file.is_file():
            (folder / file.relative_to(delivered)).write_bytes(file.read_bytes())
    spoil(folder)
    with pytest.raises(RuntimeError) as failure:
        screenshot_of(folder, CAMERAS[0], chromium)
    assert told in str(failure.value)


def test_a_photo_that_is_not_there_is_told_on_the_page(delivered, chromium):
    with pytest.raises(RuntimeError, match=r"no photo called nowhere\.jpg"):
        screenshot_of(delivered, camera_at("nowhere.jpg", (5, -38, 24), (0, 0, 0)), chromium)
