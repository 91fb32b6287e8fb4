"""How does the web app look, in each of its states?

    python bench/web_pictures.py FLIGHT.zip OUT_DIR [--set key=value ...]

Starts a local cloud of its own, sends the flight through the page as a user does, and takes each state in
light and in dark, on a desk and on a phone: one sheet a state, `OUT_DIR/STATE.jpg`, the four side by side.
Prints one JSON line: the sheets, and how long the page took until it could be used (ms, of an empty cache).
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import tempfile
import zipfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright
from viewer_fidelity import CHROMIUM_FLAGS, LOAD_TIMEOUT_S

from spaceport_cli.api import sign_in
from spaceport_local.cloud import LocalCloud

DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
TALLEST = {1280: 1500, 390: 1500}  # pixels of a page that are shown: more says nothing about its look
SHOWN_WIDTH = {1280: 860, 390: 262}  # pixels of each in a sheet
GAP = 16
QUALITY = 82
SECONDS = 300_000  # ms that any state is waited for


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("flight", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        cloud = LocalCloud(data_dir=Path(folder) / "cloud")
        cloud.up()
        try:
            told = take(cloud, Path(folder), given)
        finally:
            cloud.down()
    print(json.dumps(told))
    return 0


def take(cloud: LocalCloud, folder: Path, given: argparse.Namespace) -> dict[str, object]:
    with zipfile.ZipFile(given.flight) as archive:
        archive.extractall(folder / "photos")
    photos = sorted((folder / "photos").iterdir())
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport=DESK, reduced_motion="reduce")
        sheet = Sheets(page, given.out)
        page.goto(cloud.app_url())
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()
        usable = page.evaluate("performance.now()")
        sheet.take("welcome")
        page.goto(f"{cloud.app_url()}#/session/{sign_in(cloud)}/jobs")
        page.reload()
        expect(page.get_by_text("Nothing here yet.")).to_be_visible()
        page.get_by_role("link", name="New model").first.click()
        sheet.take("new")
        refuse(page, folder, sheet)
        send(page, photos, given.settings)
        job = page.url
        expect(page.get_by_text("Extracting features")).to_be_visible(timeout=SECONDS)
        sheet.take("poses")
        expect(page.get_by_alt_text("The scene as it looks now")).to_be_visible(timeout=SECONDS)
        sheet.take("training")
        expect(page.locator(".badge")).to_contain_text("Ready", timeout=SECONDS)
        page.wait_for_load_state("networkidle")
        sheet.take("model")
        page.get_by_role("button", name="Look around in it").click()
        shown = page.frame_locator("iframe").locator("html")
        expect(shown).to_have_attribute("data-state", "ready", timeout=LOAD_TIMEOUT_S * 1000)
        sheet.take("viewer")
        page.goto(f"{job}/quality")
        expect(page.get_by_role("heading", name="How it learnt")).to_be_visible(timeout=SECONDS)
        page.wait_for_load_state("networkidle")
        sheet.take("quality")
        page.goto(f"{cloud.app_url()}#/jobs")
        expect(page.get_by_role("heading", name="Models")).to_be_visible()
        page.wait_for_load_state("networkidle")
        sheet.take("models")
        browser.close()
    return {"sheets": sheet.names, "usable_ms": round(usable)}


def refuse(page: Page, folder: Path, sheet: Sheets) -> None:
    films = folder / "films.zip"
    with zipfile.ZipFile(films, "w") as archive:
        archive.writestr("DJI_0001.MP4", b"film")
    page.get_by_label("A zip of photos, or the photos").set_input_files(films)
    expect(page.get_by_role("alert")).to_be_visible()
    sheet.take("refused")


def send(page: Page, photos: list[Path], settings: list[str]) -> None:
    page.get_by_label("A zip of photos, or the photos").set_input_files(photos)
    page.get_by_label("Name", exact=True).fill("A hamlet by the lake")
    page.get_by_text("Fine tuning").click()
    for key, _, value in (setting.partition("=") for setting in settings):
        page.locator(f"[name={key}]").fill(value)
    page.get_by_role("button", name="Make the model").click()


class Sheets:
    """Takes the page as it is, four times, into one sheet a state."""

    def __init__(self, page: Page, out: Path) -> None:
        self._page, self._out = page, out
        self.names: list[str] = []

    def take(self, state: str) -> None:
        pictures = [self._one(viewport, scheme) for viewport in (DESK, PHONE) for scheme in ("light", "dark")]
        width = sum(picture.width for picture in pictures) + GAP * (len(pictures) - 1)
        sheet = Image.new("RGB", (width, max(picture.height for picture in pictures)), "#808080")
        left = 0
        for picture in pictures:
            sheet.paste(picture, (left, 0))
            left += picture.width + GAP
        sheet.save(self._out / f"{state}.jpg", quality=QUALITY, optimize=True)
        self.names.append(state)
        self._page.set_viewport_size(DESK)
        self._page.emulate_media(color_scheme="light")

    def _one(self, viewport: dict[str, int], scheme: str) -> Image.Image:
        self._page.set_viewport_size(viewport)
        self._page.emulate_media(color_scheme=scheme)
        taken = Image.open(io.BytesIO(self._page.screenshot(full_page=True))).convert("RGB")
        taken = taken.crop((0, 0, taken.width, min(taken.height, TALLEST[viewport["width"]])))
        width = SHOWN_WIDTH[viewport["width"]]
        return taken.resize((width, round(taken.height * width / taken.width)), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    raise SystemExit(main())
