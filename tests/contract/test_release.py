"""What goes out with a release: one version, locks that agree, known licences, a workflow that tests."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.utils import canonicalize_name

import third_party

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text()
LAYER_LOCK = (ROOT / "layer" / "requirements.lock").read_text()

# Licences that ask for no more than to be named; each word of an expression must be one of them.
FREE = {
    *(
        "0BSD",
        "Apache-2.0",
        "BSD",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "CC0-1.0",
        "CNRI-Python",
        "ISC",
    ),
    *("LLVM-exception", "MIT", "MIT-0", "MIT-CMU", "PSF-2.0", "Zlib"),
}
# Those that ask for more, and why that is met.
WITH_REASON = {
    "MPL-2.0": "of files that we do not change",
    "LGPL-3.0": "pi-heif loads it as shared libraries, which anyone may replace",
}
JOINING = {"AND", "OR", "WITH", "or"}


def test_the_version_stands_in_one_place_and_heads_the_changelog():
    assert version("spaceport") == PROJECT["version"]
    newest = re.search(
        r"^## (?:Unreleased: )?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert newest is not None
    assert newest[1] == PROJECT["version"]


def test_the_page_of_third_parties_is_of_the_locks_as_they_are():
    assert third_party.PAGE.read_text() == third_party.page(), "python deploy/third_party.py"


@pytest.mark.parametrize("component", third_party.components(), ids=lambda one: one.name)
def test_a_licence_is_free_or_has_its_reason(component: third_party.Component):
    words = set(re.findall(r"[^\s()]+", component.licence)) - JOINING
    assert words, "it does not say: look, and put it into UNTOLD"
    assert words <= FREE | WITH_REASON.keys()


def test_the_layer_has_the_tested_versions_each_with_its_hash():
    tested = {canonicalize_name(name): it for name, it in third_party.python_packages(LOCK).items()}
    lines = [line for line in LAYER_LOCK.splitlines() if not line.startswith("#")]
    for line in lines:
        name, number, digest = re.fullmatch(r"([\w.-]+)==(\S+) --hash=sha256:([0-9a-f]{64})", line).groups()
        assert tested[canonicalize_name(name)] == number
        assert digest
    asked = re.findall(r"^[\w-]+", (ROOT / "layer" / "requirements.txt").read_text(), re.MULTILINE)
    held = {canonicalize_name(line.partition("==")[0]) for line in lines}
    assert {canonicalize_name(name) for name in asked} <= held


def test_the_workflow_runs_what_the_readme_says():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    steps = [step.get("run") for job in workflow["jobs"].values() for step in job["steps"]]
    assert ".ci/run" in steps
    assert "make audit" in steps
    assert "make test" in (ROOT / ".ci" / "run").read_text()
    assert "make test" in (ROOT / "README.md").read_text()
    assert re.search(r"^audit:", (ROOT / "Makefile").read_text(), re.MULTILINE)
