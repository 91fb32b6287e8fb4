"""Fixtures for every kind of test, and the rule for skips: in CI only a missing GPU may skip a test."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
IN_CI = os.environ.get("CI") == "true"
MANY_BYTES = 10_000  # pytest lays out ten a line, and its time grows with the square of the lines
GPU_REASON = "gpu"  # every skip for want of a CUDA device begins with this word


def pytest_configure() -> None:
    # Take Ctrl-C back: what a shell starts with `&` ignores SIGINT, and so would all programs under test.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Every engine lets roles do only what their policies allow, unless a test says otherwise: a right that a
    # policy lacks must show here, and not on AWS.
    os.environ.setdefault("SPACEPORT_ENFORCE_IAM", "1")


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Where two files differ: pytest's own comparison of many bytes takes longer than a test may."""
    if op != "==" or not (isinstance(left, bytes) and isinstance(right, bytes)) or len(left) < MANY_BYTES:
        return None
    pairs = enumerate(zip(left, right, strict=False))
    first = next((at for at, (one, other) in pairs if one != other), min(len(left), len(right)))
    return [f"{len(left)} bytes == {len(right)} bytes", f"They differ from byte {first} on."]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def brighton_zip() -> Path:
    """The real test flight, which lies beside the repository and is never part of it."""
    zip_file = ROOT.parent / "shared" / "data" / "brighton_beach.zip"
    if not zip_file.exists():
        pytest.skip(f"the real test photos are not there: {zip_file.relative_to(ROOT.parent)}")
    return zip_file


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium to drive."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium on PATH: install Debian's `chromium`")
    return found


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """With CI=true a skip is a failure, unless for want of a GPU: a green run must have run everything."""
    outcome = yield
    fail_skips_in_ci(outcome.get_result())


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    """The same for a whole module that skips itself."""
    outcome = yield
    fail_skips_in_ci(outcome.get_result())


def fail_skips_in_ci(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not (IN_CI and report.skipped) or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not reason.removeprefix("Skipped: ").startswith(GPU_REASON):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, where everything must run: {reason}"
