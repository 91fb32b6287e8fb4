"""layer/requirements.lock anew: what the layer holds, in the versions of requirements.lock, with hashes.

`python layer/lock.py`. pip itself picks the wheels that the Lambda runtime takes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LOCK = HERE / "requirements.lock"
HEAD = "# Made by `make lock`: the very wheels of the layer, cp312 for manylinux2014 on x86-64.\n"
RUNTIME = (
    *("--only-binary=:all:", "--implementation", "cp", "--python-version", "3.12"),
    *("--platform", "manylinux2014_x86_64"),
)


def wheels() -> list[dict[str, Any]]:
    """What pip would install into the layer, by its own report."""
    words = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", *RUNTIME]
    words += ["--target", "nowhere", "--report", "-", "--requirement", str(HERE / "requirements.txt")]
    words += ["--constraint", str(HERE.parent / "requirements.lock")]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    installs: list[dict[str, Any]] = json.loads(done.stdout)["install"]
    return installs


def lines() -> list[str]:
    """`name==version --hash=sha256:...`, by name."""
    found = [
        f"{one['metadata']['name']}=={one['metadata']['version']}"
        f" --hash=sha256:{one['download_info']['archive_info']['hashes']['sha256']}"
        for one in wheels()
    ]
    return sorted(found, key=str.lower)


if __name__ == "__main__":
    LOCK.write_text(HEAD + "\n".join(lines()) + "\n")
