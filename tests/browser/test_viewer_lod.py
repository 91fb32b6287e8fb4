"""A large model on the delivered page: it comes in pieces, and looks as if it came whole."""

import re

import numpy as np
import pytest
from viewer_fidelity import LEAST_PSNR, launched, opened, picture_at_rest, served

from spaceport_compressor.lod import write as lod_write
from spaceport_compressor.lod.decimation import levels_of_detail
from spaceport_compressor.lod.format import LOD_META_FILE
from spaceport_compressor.lod.write import write_lod
from spaceport_compressor.sog.precision import FULL
from spaceport_compressor.viewer.bundle import Exhibit, write_viewer
from spaceport_compressor.viewer.settings import BACKGROUND
from spaceport_render.camera import Camera
from spaceport_render.gaussians import Gaussians
from spaceport_render.metrics import psnr
from spaceport_render.render import render

pytestmark = pytest.mark.browser

COUNT = 8000


def fields_by_the_sea() -> Gaussians:
    """200 m of flat Gaussians in broad stripes, bluer to the north."""
    rng = np.random.default_rng(0)
    east, north = rng.uniform(-100, 100, (2, COUNT))
    color = np.stack([0.5 + 0.4 * np.sin(east / 12), np.full(COUNT, 0.45), (north + 100) / 250], axis=1)
    arrays = (
        np.stack([east, north, np.zeros(COUNT)], axis=1),
        np.tile([1.0, 0, 0, 0], (COUNT, 1)),
        np.log(np.tile([2.2, 2.2, 0.05], (COUNT, 1))),
        np.full(COUNT, 3.0),
        ((color - 0.5) / 0.28209479)[:, None],
    )
    return Gaussians(*(np.ascontiguousarray(array, dtype=np.float32) for array in arrays))


def camera_at(name, position, target) -> Camera:
    forward = np.subtract(target, position) / np.linalg.norm(np.subtract(target, position))
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = [right, np.cross(forward, right), forward]
    world_to_camera[:3, 3] = -world_to_camera[:3, :3] @ position
    return Camera(name, 360, 240, 300.0, 300.0, 180.0, 120.0, world_to_camera)


# From the south-west corner, looking along the ground to the far one; and the whole from above.
CORNER = camera_at("corner.jpg", (-95, -95, 12), (-60, -60, 0))
ABOVE = camera_at("above.jpg", (0, -1, 260), (0, 0, 0))


@pytest.fixture(scope="module")
def delivered(tmp_path_factory, repository):
    """A folder as the compression stage leaves it of a large model, its pieces made small."""
    package = repository / "node_modules/@playcanvas/supersplat-viewer"
    if not package.is_dir():
        pytest.skip("the viewer is not installed: run containers/compressor/fetch_viewer.py")
    folder = tmp_path_factory.mktemp("delivered")
    model = fields_by_the_sea()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lod_write, "FILE", 1000)
        patch.setattr(lod_write, "CHUNK_LEAST", 100)
        levels = levels_of_detail(model, [])
        write_lod(folder / "lod", levels, [], 60.0, FULL, seed=0, progress=lambda share, text: None)
    exhibit = Exhibit("Fields", (CORNER, ABOVE), model, model=f"../lod/{LOD_META_FILE}")
    write_viewer(folder / "viewer", exhibit, package)
    return folder


def shown(folder, browser, camera, query=""):
    """What the page shows at `camera`, and the files of each level that it asked for."""
    asked: dict[int, set[str]] = {}

    def note(request):
        if found := re.search(r"/lod/((\d+)_\d+)/", request.url):
            asked.setdefault(int(found[2]), set()).add(found[1])

    size = {"width": camera.width, "height": camera.height}
    with served(folder) as address:
        url = f"{address}/viewer/?noui&camera={camera.name}{query}"
        with opened(url, browser, lambda page: page.on("request", note), viewport=size) as page:
            page.wait_for_load_state("networkidle")
            return picture_at_rest(page), asked


@pytest.fixture(scope="module")
def browser(chromium):
    with launched(chromium) as started:
        yield started


def test_all_of_a_model_that_fits_the_budget_is_shown_as_it_is(delivered, browser):
    # Given a budget of millions
    picture, asked = shown(delivered, browser, ABOVE)
    # Then the page shows what our own render of the whole model does, the right way up
    ours = render(fields_by_the_sea(), ABOVE, BACKGROUND).clip(0, 1)
    assert psnr(picture, ours) >= LEAST_PSNR + 4
    assert psnr(picture[:, ::-1], ours) < LEAST_PSNR - 4
    # It began with all of the coarsest level, and ended with all of the finest
    files = [path.name for path in (delivered / "lod").iterdir() if path.is_dir()]
    for level in (0, 3):
        assert asked[level] == {name for name in files if name.startswith(f"{level}_")}


def test_on_a_small_budget_what_is_near_comes_fine_and_what_is_far_coarse(delivered, browser):
    # Given a budget of a quarter of the model
    whole, _ = shown(delivered, browser, CORNER)
    picture, asked = shown(delivered, browser, CORNER, "&budget=0.002")
    # When the camera is in one corner, Then few of the fine pieces are read, some of each coarser level
    fine = sum(path.name.startswith("0_") for path in (delivered / "lod").iterdir())
    assert 1 <= len(asked[0]) <= fine / 2
    assert asked[3]
    # and the picture hardly differs
    assert psnr(picture, whole) > 26
