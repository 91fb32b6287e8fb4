"""How soon can the web app be used, on this machine?

    python bench/web_speed.py [--runs 10]

Starts a local cloud of its own and opens its page again and again with nothing in the cache. A page can be
used once its form is there and the main thread is free to answer. Prints the machine and one JSON line: the
times from the navigation on (ms, median and worst) of a desk, of a phone (a processor slowed down four times)
and of the list of models of someone who is signed in, and the bytes that the door took.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
from pathlib import Path

from machine import machine
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from spaceport_cli.api import sign_in
from spaceport_local.cloud import LocalCloud

PHONE_SLOWDOWN = 4  # Lighthouse's for a phone of the middle
# Asks for a frame and for a turn of the main thread after it: what was begun before is done then.
USABLE = """(selector) => new Promise((resolve) => {
  const look = () => document.querySelector(selector)
    ? requestAnimationFrame(() => setTimeout(() => resolve(performance.now())))
    : requestAnimationFrame(look);
  look();
})"""
BYTES = """() => [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
  .reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0)"""
DOOR, LIST = "form.enter button", "h1 + a.primary"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cloud = LocalCloud(data_dir=Path(folder) / "cloud")
        cloud.up()
        try:
            told = measure(cloud, given.runs)
        finally:
            cloud.down()
    print(machine("playwright"))
    print(json.dumps(told))
    return 0


def measure(cloud: LocalCloud, runs: int) -> dict[str, object]:
    door, listed = cloud.app_url(), f"{cloud.app_url()}#/session/{sign_in(cloud)}/jobs"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        one(browser, door, DOOR)  # the first reads the browser's own files
        desk = [one(browser, door, DOOR) for _ in range(runs)]
        phone = [one(browser, door, DOOR, PHONE_SLOWDOWN) for _ in range(runs)]
        models = [one(browser, listed, LIST) for _ in range(runs)]
        browser.close()
    return {
        "desk_ms": summed(desk),
        "phone_ms": summed(phone),
        "models_ms": summed(models),
        "door_bytes": desk[0][1],
        "runs": runs,
    }


def one(browser: Browser, address: str, selector: str, slowdown: int = 1) -> tuple[float, int]:
    """(ms until `selector` can be used, bytes loaded) of a window that has seen nothing before."""
    context = browser.new_context()
    page: Page = context.new_page()
    tools: CDPSession = context.new_cdp_session(page)
    tools.send("Emulation.setCPUThrottlingRate", {"rate": slowdown})
    page.goto(address, wait_until="commit")
    usable = page.evaluate(USABLE, selector)
    page.wait_for_load_state("load")
    told = (usable, page.evaluate(BYTES))
    context.close()
    return told


def summed(taken: list[tuple[float, int]]) -> list[int]:
    times = [ms for ms, _ in taken]
    return [round(statistics.median(times)), round(max(times))]


if __name__ == "__main__":
    raise SystemExit(main())
