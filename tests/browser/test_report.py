"""report.html in a real browser, from a file: it shows, asks for nothing, fits a phone, and prints."""

import re
from datetime import UTC, datetime

import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from spaceport.prices import free
from spaceport.quality import QualityReport
from spaceport.report_times import with_times
from spaceport_compressor.judging.fidelity import judge, references_of
from spaceport_compressor.report_page.page import Material, write_report_page
from spaceport_render.camera import Camera
from spaceport_render.gaussians import Gaussians
from spaceport_render.render import render
from spaceport_render.scene import View

pytestmark = pytest.mark.browser

NAME = "a_photo_with_a_name_that_is_far_too_long_for_a_telephone_and_has_no_space_in_it_at_all_0001.jpg"
QUALITY = {
    "photos": {
        "given": 9,
        "refused": [{"name": NAME, "code": "not_an_image", "reason": "is not an image file"}],
        "registered": 3,
        "warned": [{"name": NAME, "code": "blurred", "reason": "is blurred: a third as sharp as the others"}],
        "unregistered": [NAME] * 5,
    },
    "sfm": {
        "seconds": 9.5, "cpu_seconds": 18.0, "reprojection_px": 0.4, "points": 99, "mean_track": 3.5,
        "phases": [
            {"name": "features", "seconds": 5.5, "cpu_seconds": 11.0},
            {"name": "matching", "seconds": 4.0, "cpu_seconds": 7.0},
        ],
        "lenses": [
            {
                "camera": f"DJI FC330 {NAME}", "photos": 3, "focal_px": 936.2, "focal_prior_px": 925.0,
                "focal_sigma_px": 4.2,
            },
        ],
        "other_models": [3, 2],
        "dense_seeds": 4321,
    },
    "georef": {
        "rms_horizontal_m": 0.437, "rms_vertical_m": 0.393,
        "origin": {"lat": 46.842642, "lon": -91.993871, "alt": 153.1},
        "source": "ground_control",
        "control": {
            "used": ["1", "2", "3", "4"], "rms_horizontal_m": 0.012, "rms_vertical_m": 0.021,
            "check": ["5"], "check_rms_horizontal_m": 0.034, "check_rms_vertical_m": 0.055,
            "rejected": [f"point 6 in {NAME} is 4.2 m off: it may be another point's"],
        },
    },
    "advice": [
        {
            "code": "unregistered",
            "message": f"5 of 8 photos fitted nowhere, {NAME} first.",
            "hint": "Fly with more overlap: 80 % ahead, 70 % to the sides.",
        },
        {"code": "nadir", "message": "All photos look straight down.", "hint": "Add some oblique ones."},
    ],
    "training": {
        "seconds": 60.0, "iterations": 1500, "stopped_by": "plateau", "gaussians": 2000,
        "gaussians_initial": 99, "psnr_train": 25.0, "psnr_holdout": 17.4, "ssim_holdout": 0.42,
        "detail_holdout": 0.353, "psnr_holdout_initial": 7.6, "holdout": [NAME], "device": "cpu",
        "rasterizer": "numba", "preset": "preview", "peak_memory_bytes": 10**9,
    },
    "delivery": {
        "ply_bytes": 472_000, "sog_bytes": 25_000, "bytes_per_gaussian": 12.5, "decode_psnr_db": 44.3,
        "psnr_loss_db": 0.01, "gaussians": 2000,
    },
}  # fmt: skip
STEP = (
    '{{"event": "step", "iteration": {i}, "psnr_running": 20, '
    '"psnr_subset": 20, "gaussians": {i}, "scale": 1}}'
)  # fmt: skip


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A page about a patch of lawn, as PublishResult leaves it."""
    rng = np.random.default_rng(0)
    arrays = (
        rng.uniform(-40, 40, (1500, 3)) * [1, 1, 0.05],
        rng.normal(0, 1, (1500, 4)),
        np.full((1500, 3), 0.3),
        np.full(1500, 2.0),
        rng.uniform(-0.5, 1.0, (1500, 1, 3)),
    )
    model = Gaussians(*(np.ascontiguousarray(array, dtype=np.float32) for array in arrays))
    views = []
    for index, name in enumerate((NAME, "<b>2.jpg", "3.jpg")):
        pose = np.diag([1.0, -1.0, -1.0, 1.0])
        pose[:3, 3] = (8.0 - 8.0 * index, 0.0, 50.0)
        camera = Camera(name, 160, 100, 120.0, 120.0, 80.0, 50.0, pose)
        views.append(View(camera, np.rint(render(model, camera).clip(0, 1) * 200).astype(np.uint8)))
    folder = tmp_path_factory.mktemp("report")
    (folder / "training.log").write_text("\n".join(STEP.format(i=i) for i in (500, 1000, 1500)))
    page = folder / "report.html"
    told = QualityReport.model_validate(QUALITY)
    material = Material(
        f"Lawn <i>& {NAME}",
        datetime(2026, 11, 23, 16, 5, tzinfo=UTC),
        told,
        model,
        cameras=[view.camera for view in views],
        views=views,
        judged=1,
        worst=judge(model, references_of(model, views[:1])).worst,
        training_log=folder / "training.log",
    )
    write_report_page(page, material)
    stages = {"sfm": 30.0, "3dgs": 60.0, "compression": 4.0}
    page.write_text(with_times(page.read_text(), stages, 100.0, free(stages)))
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_report_shows_as_it_is(report, chromium, width, scheme):
    asked, told = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(
            viewport={"width": width, "height": 844}, color_scheme=scheme, is_mobile=width < 600
        )
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        # When it is opened from a file, as it is after a download
        page.goto(report.as_uri())
        # Then it asks for nothing but itself, and the browser has nothing to say: its policy holds
        assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]
        assert told == []
        # Its style is taken, in the reader's colours
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == {"light": "rgb(251, 250, 248)", "dark": "rgb(22, 24, 27)"}[scheme]
        # Every picture is there, the map included
        widths = page.evaluate("[...document.images].map(image => image.naturalWidth)")
        assert len(widths) == 4
        assert min(widths) > 0
        assert page.locator("svg image").bounding_box()["width"] > 100
        # Nothing is wider than the screen
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        # And names are text
        assert page.locator("h1").inner_text() == f"Lawn <i>& {NAME}"
        assert page.get_by_text("1 min 40 s").is_visible()
        browser.close()


def test_it_prints_in_dark_on_white_whatever_the_screen_was(report, chromium):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(color_scheme="dark")
        page.goto(report.as_uri())
        # When a reader whose screen is dark prints it on either paper
        sheets = [len(re.findall(rb"/Type /Page\b", page.pdf(format=paper))) for paper in ("A4", "Letter")]
        page.emulate_media(media="print", color_scheme="dark")
        colors = page.evaluate(
            "(({backgroundColor, color}) => [backgroundColor, color])(getComputedStyle(document.body))"
        )
        # Then the paper stays white, the summary has a page of its own, and no table spreads over the others
        assert colors == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
        assert all(3 <= count <= 9 for count in sheets), sheets
        browser.close()
