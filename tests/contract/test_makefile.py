"""What `make` would do, by its own dry run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

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
