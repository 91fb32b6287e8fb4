"""What `make` would do, by its own dry run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_a_demo_of_ones_own_zip_takes_a_name_with_spaces(tmp_path: Path):
    # Given a checkout that is set up, in a folder whose name has a space too
    checkout = tmp_path / "my checkout"
    (checkout / "build" / "stamps").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", checkout)
    for name in ("pyproject.toml", "requirements.lock", "package.json", "package-lock.json"):
        (checkout / name).touch()
    for name in ("python", "npm"):
        (checkout / "build" / "stamps" / name).touch()
    # When the demo of such a zip is asked for
    run = subprocess.run(
        ["make", "--dry-run", "demo", "ZIP=my photos.zip"],
        cwd=checkout, capture_output=True, text=True, check=False,
    )  # fmt: skip
    # Then it is one argument of the command, and no other flight is made
    assert run.returncode == 0, run.stderr
    assert 'run "my photos.zip" --preset' in run.stdout
    assert "spaceport_demo" not in run.stdout


def test_what_takes_long_says_what_it_is_before_it_begins(tmp_path: Path):
    # Given a fresh clone
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "package.json", "package-lock.json"):
        shutil.copy(ROOT / name, tmp_path)
    # When the demo is asked for
    run = subprocess.run(
        ["make", "--dry-run", "demo"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    # Then each long step comes after a line in words
    lines = run.stdout.splitlines()
    for step in ("-m pip install", "spaceport_render.warm_cache", "fetch_viewer.py", "-m spaceport_demo"):
        at = next(index for index, line in enumerate(lines) if step in line)
        assert any(line.startswith("echo") for line in lines[max(0, at - 2) : at]), step


@pytest.mark.parametrize(("target", "program"), [("images", "push_images"), ("deploy", "deploy_stack")])
def test_what_is_missing_is_told_before_anything_is_installed_for_it(tmp_path: Path, target, program):
    # Given a checkout that has nothing but Python's packages
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    # When it is to go to AWS
    run = subprocess.run(
        ["make", "--dry-run", target], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    # Then credentials, and Docker, are looked for before SAM is fetched
    assert run.stdout.index(f"{program}.py") < run.stdout.index("aws-sam-cli")
    assert "--check" in run.stdout[: run.stdout.index("aws-sam-cli")]
