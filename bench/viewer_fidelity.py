"""Does the viewer page show the delivered model as it is?

    python bench/viewer_fidelity.py OUT_DIR [--camera PHOTO] [--save PICTURES.png]

OUT_DIR holds `model.sog` and `viewer/` (a job's `compressed/`, or what `spaceport run --out` downloaded;
a folder with such a `compressed/` will do). The page is served from 127.0.0.1 and opened in headless
Chromium at one photo's camera; its screenshot is compared with our own render of the decoded file.

Prints one JSON line: the PSNR in dB, and the best PSNR of the same screenshot turned or mirrored, which
must be far lower. Exit code 1 below `LEAST_PSNR`. The page's splats are sorted and blended by another
program with 8-bit colours, so 22 dB and more is what agreement looks like; a wrong axis gives under 15.
"""

from __future__ import annotations

import argparse
import http.server
import io
import json
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from scipy.spatial.transform import Rotation

from spaceport_compressor.sog.read import read_sog
from spaceport_compressor.viewer.camera import COLMAP_TO_OPENGL, WORLD_TO_VIEWER, PhotoCamera
from spaceport_compressor.viewer.settings import BACKGROUND
from spaceport_render.camera import Camera
from spaceport_render.metrics import psnr
from spaceport_render.render import render

LEAST_PSNR = 22.0
LONGER_SIDE = 800  # pixels: software rendering takes seconds a frame for more
LOAD_TIMEOUT_S = 120
STILL_TIMEOUT_S = 20
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]

Picture = NDArray[np.float32]  # (H, W, 3), 0..1


@dataclass(frozen=True)
class Fidelity:
    """PSNR of the screenshot against our render, dB, and the best of its turned and mirrored versions."""

    camera: str
    psnr_db: float
    turned_psnr_db: float


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--camera", help="a photo's name; without it the first of cameras.json")
    parser.add_argument("--save", type=Path, help="where to write screenshot and render side by side")
    parser.add_argument("--chromium", default=shutil.which("chromium") or "chromium", help="the browser")
    options = parser.parse_args(arguments)
    folder = options.folder / "compressed" if (options.folder / "compressed").is_dir() else options.folder
    photos = read_cameras(folder / "viewer" / "cameras.json")
    name = options.camera or next(iter(photos))
    camera = fitted(photos[name], LONGER_SIDE)
    with launched(options.chromium) as browser:
        shown = screenshot_of(folder, camera, browser)
    ours = render(read_sog(folder / "model.sog"), camera, BACKGROUND).clip(0, 1)
    if options.save:
        save_side_by_side(options.save, shown, ours)
    fidelity = compare(name, shown, ours)
    print(json.dumps(asdict(fidelity)))
    return 0 if fidelity.psnr_db >= LEAST_PSNR > fidelity.turned_psnr_db else 1


def read_cameras(path: Path) -> dict[str, Camera]:
    """The flight's cameras in our own axes, from a bundle's `cameras.json`."""
    photos = json.loads(path.read_text())["cameras"]
    return {name: _camera(name, PhotoCamera.model_validate(photo)) for name, photo in photos.items()}


def fitted(camera: Camera, longer_side: int) -> Camera:
    """`camera` at a size whose longer side is at most `longer_side` pixels."""
    scale = min(1.0, longer_side / max(camera.width, camera.height))
    return camera.resized(round(camera.width * scale), round(camera.height * scale))


def screenshot_of(folder: Path, camera: Camera, browser: Browser) -> Picture:
    """What the bundle in `folder` shows at `camera`, at the camera's size.

    Raises:
        RuntimeError: the page reported a failure, or never came to rest.
    """
    size = {"width": camera.width, "height": camera.height}
    with (
        served(folder) as address,
        opened(
            f"{address}/viewer/index.html?noui&camera={quote(camera.name)}", browser, viewport=size
        ) as page,
    ):
        return picture_at_rest(page)


@contextmanager
def launched(chromium: str) -> Iterator[Browser]:
    """A headless browser that draws in software; `chromium` is its path."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@contextmanager
def opened(
    url: str, browser: Browser, prepare: Callable[[Page], None] = lambda page: None, **context: Any
) -> Iterator[Page]:
    """The viewer page at `url`, in a window of its own, with the model drawn.

    Args:
        prepare: is given the page before it goes to `url`.
        context: of the window (`viewport`, `is_mobile` ...), as playwright names it.

    Raises:
        RuntimeError: the page reported a failure.
    """
    with closing(browser.new_context(**context)) as window:
        page = window.new_page()
        prepare(page)
        page.goto(url)
        wait_until_settled(page)
        if page.evaluate("document.documentElement.dataset.state") == "failed":
            raise RuntimeError(f"the page failed: {page.locator('#words').inner_text()}")
        yield page


def wait_until_settled(page: Page) -> None:
    """Until the model is drawn, or the page has told why not."""
    page.wait_for_function(
        "['ready', 'failed'].includes(document.documentElement.dataset.state)", timeout=LOAD_TIMEOUT_S * 1000
    )


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which `folder` is served while the context lasts, on this machine only."""
    handler = partial(_QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def compare(name: str, shown: Picture, ours: Picture) -> Fidelity:
    """How near `shown` is to `ours`, and how near its turned and mirrored versions come."""
    turned = [shown[::-1], shown[:, ::-1], shown[::-1, ::-1]]
    return Fidelity(name, psnr(shown, ours), max(psnr(picture, ours) for picture in turned))


def save_side_by_side(path: Path, shown: Picture, ours: Picture) -> None:
    """Screenshot left, our render right."""
    pair = np.concatenate([shown, ours], axis=1)
    Image.fromarray(np.rint(pair * 255).astype(np.uint8)).save(path)


def _camera(name: str, photo: PhotoCamera) -> Camera:
    width, height = photo.size
    left, right, bottom, top = photo.frustum
    fx, fy = width / (right - left), height / (top - bottom)
    world_to_camera = np.eye(4)
    rotation = Rotation.from_quat(photo.rotation).as_matrix()
    world_to_camera[:3, :3] = (WORLD_TO_VIEWER.T @ rotation @ COLMAP_TO_OPENGL).T
    world_to_camera[:3, 3] = -world_to_camera[:3, :3] @ (WORLD_TO_VIEWER.T @ photo.position)
    return Camera(name, width, height, fx, fy, -left * fx, top * fy, world_to_camera)


def picture_of(page: Page) -> Picture:
    """What `page` shows at this moment."""
    png = page.screenshot()
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=np.float32) / 255


def picture_at_rest(page: Page) -> Picture:
    """The first picture that is the same as the one before: splats are sorted on another thread.

    Raises:
        RuntimeError: it still changes after a while.
    """
    deadline = time.monotonic() + STILL_TIMEOUT_S
    before = picture_of(page)
    while time.monotonic() < deadline:
        time.sleep(0.3)
        after = picture_of(page)
        if np.array_equal(before, after):
            return after
        before = after
    raise RuntimeError(f"the picture still changes after {STILL_TIMEOUT_S} s")


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
        """Requests are no news."""


if __name__ == "__main__":
    sys.exit(main())
