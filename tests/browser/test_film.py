"""The film in a real browser: it plays to its end, in the colours that were drawn."""

import numpy as np
import pytest
from playwright.sync_api import sync_playwright
from viewer_fidelity import served

from spaceport_gaussian.pictures.flight_video import Film, write_video

pytestmark = pytest.mark.browser

GRASS = (60, 140, 50)
PLAY = """async () => {
  const film = document.querySelector("video");
  await film.play();
  await new Promise(done => film.onended = done);
  const sheet = new OffscreenCanvas(film.videoWidth, film.videoHeight).getContext("2d");
  sheet.drawImage(film, 0, 0);
  return {
    size: [film.videoWidth, film.videoHeight],
    seconds: film.currentTime,
    frames: film.getVideoPlaybackQuality().totalVideoFrames,
    color: [...sheet.getImageData(film.videoWidth / 2, film.videoHeight / 2, 1, 1).data].slice(0, 3),
  };
}"""


def test_a_film_plays_to_its_end_in_its_own_colours(chromium, tmp_path):
    # Given a film of a lawn, and a page that shows it
    film = Film(320, 180, 24, 1.0)
    write_video(tmp_path / "flight.mp4", film, [np.full((180, 320, 3), GRASS, np.uint8)] * 24)
    (tmp_path / "index.html").write_text('<video muted src="flight.mp4"></video>')

    # When a browser plays it
    with served(tmp_path) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"{address}/")
        shown = page.evaluate(PLAY)
        browser.close()

    # Then it has all its frames, and the lawn is as green as it was drawn
    assert (shown["size"], shown["seconds"], shown["frames"]) == ([320, 180], 1, 24)
    assert np.abs(np.subtract(shown["color"], GRASS)).max() <= 4
