"""How does the web app look, in each of its states?

    python bench/web_pictures.py FLIGHT.zip OUT_DIR [--set key=value ...]

Starts a local cloud of its own, sends the flight through the page as a user does, and takes each state in
light and in dark, on a desk and on a phone: one sheet a state, `OUT_DIR/STATE.jpg`, the four side by side.
Prints one JSON line: the sheets.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Locator, Page, expect, sync_playwright
from viewer_fidelity import CHROMIUM_FLAGS, LOAD_TIMEOUT_S

from spaceport_cli.api import sign_in
from spaceport_local.cloud import LocalCloud

DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
TALLEST = {1280: 1500, 390: 1500}  # pixels of a page that are shown: more says nothing about its look
SHOWN_WIDTH = {1280: 860, 390: 262}  # pixels of each in a sheet
LATE = re.compile(r"[6-9]\d %")  # of the training
GAP = 16
QUALITY = 68  # fifteen sheets, and a repository that is cloned by people
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
        app = cloud.app_url()
        page.goto(app)
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()
        sheet.take("welcome")
        page.goto(f"{app}#/session/{sign_in(cloud)}/jobs")
        page.reload()
        expect(page.get_by_text("Nothing here yet.")).to_be_visible()
        sheet.take("nothing-yet")
        before(page, folder, photos, sheet)
        first = stopped(page, photos[:8], sheet)
        send(page, photos, given.settings)
        job = at_work(page, sheet)
        after(page, job, sheet)
        shared(page, job, sheet)
        page.goto(f"{app}#/jobs")
        expect(page.get_by_role("link", name=re.compile(first))).to_be_visible()
        page.wait_for_load_state("networkidle")
        sheet.take("models")
        browser.close()
    return {"sheets": sheet.names}


def before(page: Page, folder: Path, photos: list[Path], sheet: Sheets) -> None:
    """The form: empty, with a zip that is refused, with photos, and while they are sent."""
    page.get_by_role("link", name="New model").first.click()
    expect(page.get_by_text("Drop a zip")).to_be_visible()
    sheet.take("new")
    films = folder / "films.zip"
    with zipfile.ZipFile(films, "w") as archive:
        archive.writestr("DJI_0001.MP4", b"film")
    choose(page, [films])
    expect(page.get_by_role("alert")).to_be_visible()
    sheet.take("refused")
    choose(page, photos)
    expect(page.locator(".contact img:not([src])")).to_have_count(0)
    sheet.take("chosen")


def stopped(page: Page, photos: list[Path], sheet: Sheets) -> str:
    """A job that is sent through a line that hangs, and then stopped; its name."""
    name = "The harbour, first try"
    page.route(re.compile("partNumber="), lambda route: None)
    choose(page, photos)
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Make the model").click()
    page.get_by_role("button", name="Pause").click()
    sheet.take("paused")
    page.unroute_all(behavior="ignoreErrors")
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible(timeout=SECONDS)
    page.get_by_role("button", name="Stop").click()
    sheet.take("stop")
    page.get_by_role("button", name="Stop it").click()
    expect(page.locator(".badge")).to_contain_text("Stopped", timeout=SECONDS)
    sheet.take("stopped")
    page.get_by_role("link", name="New model").first.click()
    return name


def send(page: Page, photos: list[Path], settings: list[str]) -> None:
    choose(page, photos)
    page.get_by_label("Name", exact=True).fill("A hamlet by the lake")
    page.get_by_text("Fine tuning").click()
    page.get_by_role("button", name=re.compile("All .* settings")).click()
    for key, _, value in (setting.partition("=") for setting in settings):
        page.locator(f"[name={key}]").fill(value)
    page.get_by_role("button", name="Make the model").click()


def choose(page: Page, photos: list[Path]) -> None:
    if page.get_by_role("button", name="Choose others").is_visible():
        page.get_by_role("button", name="Choose others").click()
    page.get_by_label("A zip of photos, or the photos").set_input_files(photos)


def at_work(page: Page, sheet: Sheets) -> str:
    """The job while it runs; its address."""
    expect(page.get_by_role("main").get_by_text("Extracting features")).to_be_visible(timeout=SECONDS)
    sheet.take("poses")
    scene = page.get_by_alt_text("The scene as it looks now").first
    expect(scene).to_be_visible(timeout=SECONDS)
    sheet.take("training-begins")
    # Later: a curve of some length, and a sharper picture
    expect(page.locator(".way .now", has_text="Training")).to_contain_text(LATE, timeout=SECONDS)
    sheet.take("training", drawn=scene)
    expect(page.locator(".way .now", has_text="Packing")).to_be_visible(timeout=SECONDS)
    sheet.take("packing")
    return page.url


def after(page: Page, job: str, sheet: Sheets) -> None:
    """The model: its page, in its viewer, and how good it is."""
    expect(page.locator(".badge")).to_contain_text("Ready", timeout=SECONDS)
    page.wait_for_load_state("networkidle")
    sheet.take("model")
    look(page)
    sheet.take("viewer")
    page.goto(f"{job}/quality")
    sheet.take("quality", drawn=page.get_by_role("heading", name="Beside the photos"))


def look(page: Page) -> None:
    page.get_by_role("button", name="Look around in it").click()
    shown = page.frame_locator("iframe").locator("html")
    expect(shown).to_have_attribute("data-state", "ready", timeout=LOAD_TIMEOUT_S * 1000)


def shared(page: Page, job: str, sheet: Sheets) -> None:
    """What somebody sees who was given a link: while it is good, and when it is not any more."""
    page.goto(job)
    page.get_by_role("button", name="Make a link").click()
    link = page.get_by_label("Link to the model").input_value()
    sheet.take("link")
    page.goto(link)
    expect(page.get_by_text("Shown to you until")).to_be_visible()
    page.wait_for_load_state("networkidle")
    sheet.take("shared")
    page.goto(job)
    page.get_by_role("button", name="Take all links back").click()
    expect(page.get_by_text("taken back")).to_be_visible()
    page.goto(link)
    expect(page.get_by_role("heading", name="There is nothing at this link")).to_be_visible()
    sheet.take("shared-no-more")


class Sheets:
    """Takes the page as it is, four times, into one sheet a state."""

    def __init__(self, page: Page, out: Path) -> None:
        self._page, self._out = page, out
        self.names: list[str] = []

    def take(self, state: str, drawn: Locator | None = None) -> None:
        """`drawn`: load the page anew, until this is there: curves keep the width that they were drawn at."""
        pictures = []
        for viewport in (DESK, PHONE):
            self._page.set_viewport_size(viewport)
            if drawn is not None:
                self._page.reload()
                expect(drawn).to_be_visible(timeout=SECONDS)
                self._page.wait_for_load_state("networkidle")
            pictures += [self._one(viewport["width"], scheme) for scheme in ("light", "dark")]
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

    def _one(self, window: int, scheme: Literal["light", "dark"]) -> Image.Image:
        self._page.emulate_media(color_scheme=scheme)
        asks = self._page.get_by_role("dialog").is_visible()  # over the window, and no more of the page
        taken = Image.open(io.BytesIO(self._page.screenshot(full_page=not asks))).convert("RGB")
        taken = taken.crop((0, 0, taken.width, min(taken.height, TALLEST[window])))
        width = SHOWN_WIDTH[window]
        return taken.resize((width, round(taken.height * width / taken.width)), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    raise SystemExit(main())
