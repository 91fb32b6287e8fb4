"""The web app with the real job programs: photos are dropped, and a model can be looked around in."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright
from viewer_fidelity import CHROMIUM_FLAGS, LOAD_TIMEOUT_S

from spaceport_cli.api import sign_in
from spaceport_local.cloud import LocalCloud

pytestmark = [pytest.mark.browser, pytest.mark.engine, pytest.mark.photos]

SETTINGS = {
    "Max iterations": "150",
    "Train max size": "240",
    "Sfm max size": "800",
}  # quick, and still a model
JOB_TIMEOUT_S = 240  # 40 s on two idle cores


@pytest.fixture
def page(chromium, tmp_path):
    """A signed-in window on the app of a cloud of its own."""
    cloud = LocalCloud(data_dir=tmp_path / "cloud")
    cloud.up()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 960, "height": 720})
        page.goto(f"{cloud.app_url()}#/session/{sign_in(cloud)}/new")
        yield page
        browser.close()
    cloud.down()


def test_photos_that_are_dropped_become_a_model_to_look_around_in(page: Page, brighton_zip):
    # Given a zip of a real flight, and a few settings
    page.get_by_label("A zip of photos, or the photos").set_input_files(brighton_zip)
    page.get_by_label("Name", exact=True).fill("Brighton")
    page.get_by_text("Fine tuning").click()
    page.get_by_role("button", name=re.compile("All .* settings")).click()
    for label, value in SETTINGS.items():
        page.get_by_label(label).fill(value)
    # When they are sent
    page.get_by_role("button", name="Make the model").click()
    # Then the page shows how the scene comes about
    expect(page.get_by_role("main").get_by_text("Training advanced neural 3D representation")).to_be_visible(
        timeout=JOB_TIMEOUT_S * 1000
    )
    expect(page.get_by_text("Gaussians", exact=True)).to_be_visible(timeout=JOB_TIMEOUT_S * 1000)
    # And when it is done there is a model that is not blank
    expect(page.locator(".badge")).to_contain_text("Ready", timeout=JOB_TIMEOUT_S * 1000)
    page.get_by_role("button", name="Look around in it").click()
    viewer = page.frame_locator("iframe")
    expect(viewer.locator("html")).to_have_attribute("data-state", "ready", timeout=LOAD_TIMEOUT_S * 1000)
    shown = Image.open(io.BytesIO(page.locator("iframe").screenshot())).convert("RGB")
    assert np.asarray(shown, dtype=float).std(axis=(0, 1)).min() > 10
    # And how good it is can be read
    page.get_by_role("link", name="How good is it?").click()
    expect(page.get_by_role("heading", name="How it learnt")).to_be_visible(timeout=20_000)
    expect(page.get_by_label(re.compile(r"\d+ places where photos were taken"))).to_be_visible()
    expect(page.get_by_role("heading", name="Beside the photos")).to_be_visible(timeout=20_000)
