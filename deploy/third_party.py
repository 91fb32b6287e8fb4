"""THIRD_PARTY.md from the lock files: `python deploy/third_party.py` writes it anew.

Versions are those of requirements.lock and package-lock.json, licences what each package says of itself where
it is installed.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import metadata, requires
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "THIRD_PARTY.md"
SHIPPED_EXTRAS = ("functions", "jobs", "cuda")  # of pyproject.toml, beside what the command needs

# Licences as classifiers and free texts name them, by their SPDX names; BSD leaves open of how many clauses.
SPDX = {
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
UNTOLD = {"dumb-init": "MIT"}  # by its source, github.com/Yelp/dumb-init: the package does not say
# What comes inside of other packages or images, and so is in no lock file: (name, licence, where).
INSIDE = (
    ("COLMAP", "BSD-3-Clause", "compiled into pycolmap, with the libraries that its own notices name"),
    ("FFmpeg", "GPL-3.0-or-later", "a program of its own in imageio-ffmpeg: started, not linked"),
    ("gsplat 1.5.3", "Apache-2.0", "compiled into the training image; the extra `cuda`"),
    ("jaxtyping 0.3.11", "MIT", "of gsplat, in the training image"),
    ("libheif, libde265", "LGPL-3.0", "compiled into pi-heif, which loads them as shared libraries"),
    ("LibRaw", "LGPL-2.1 or CDDL-1.0", "compiled into rawpy"),
    ("PlayCanvas Engine", "MIT", "bundled into supersplat-viewer, delivered with every result"),
    ("Python, Debian and Ubuntu, CUDA, PyTorch", "their own", "the images' base images"),
)


@dataclass(frozen=True)
class Component:
    """A package of a lock file."""

    name: str
    version: str
    licence: str
    shipped: bool


def python_packages(lock: str) -> dict[str, str]:
    """Version by name, of each line `name==version`."""
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", lock, re.MULTILINE))


def licence_of(name: str) -> str:
    """What a package says of its licence. Raises KeyError for words that SPDX does not know."""
    told = metadata(name)
    if expression := told.get("License-Expression") or UNTOLD.get(name):
        return str(expression)
    classifiers = [
        line.rpartition(" :: ")[2] for line in told.get_all("Classifier", []) if "License ::" in line
    ]
    known = [SPDX[one] for one in classifiers if one in SPDX]
    text = str(told.get("License") or "").strip()
    return " or ".join(known) if known else SPDX.get(text, text)


def shipped_packages(lock: Mapping[str, str]) -> set[str]:
    """The names, as PyPI compares them, of what the layer and the images install of the lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *(one for name in SHIPPED_EXTRAS for one in extras.get(name, []))]
    found: set[str] = set()
    waiting = [canonicalize_name(Requirement(one).name) for one in asked]
    locked = {canonicalize_name(name) for name in lock}
    while waiting:
        name = waiting.pop()
        if name in found or name not in locked:
            continue
        found.add(name)
        waiting += _needed_by(name)
    return found


def _needed_by(name: str) -> list[str]:
    parsed = [Requirement(one) for one in requires(name) or []]
    return [
        canonicalize_name(one.name)
        for one in parsed
        if one.marker is None or one.marker.evaluate({"extra": ""})
    ]


def components() -> list[Component]:
    """All packages of both lock files, by name."""
    lock = python_packages((ROOT / "requirements.lock").read_text())
    shipped = shipped_packages(lock)
    found = [
        Component(name, version, licence_of(name), canonicalize_name(name) in shipped)
        for name, version in lock.items()
    ]
    packages: dict[str, dict[str, Any]] = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    found += [
        Component(
            path.removeprefix("node_modules/"),
            one["version"],
            one.get("license", "?"),
            not one.get("dev", False),
        )
        for path, one in packages.items()
        if path
    ]
    return sorted(found, key=lambda one: one.name.lower())


def page() -> str:
    """The whole of THIRD_PARTY.md."""
    found = components()
    return "\n".join(
        [
            "# Third-party software",
            "",
            "Spaceport is under Apache-2.0 ([LICENSE](LICENSE)). What others wrote is under their licences;",
            "each package carries its own text, in the images below `*.dist-info/`, in a delivered viewer as",
            "`LICENSE.txt`. This page is made of the lock files by `python deploy/third_party.py`.",
            "",
            "## In the command, the images, the functions' layer and the delivered viewer",
            "",
            *_table(one for one in found if one.shipped),
            "",
            "Inside of these, or of the images' bases:",
            "",
            "| what | licence | where |",
            "| --- | --- | --- |",
            *(f"| {name} | {licence} | {where} |" for name, licence, where in INSIDE),
            "",
            "## On a developer's machine only",
            "",
            *_table(one for one in found if not one.shipped),
            "",
        ]
    )


def _table(found: Iterable[Component]) -> Iterator[str]:
    yield "| package | version | licence |"
    yield "| --- | --- | --- |"
    yield from (f"| {one.name} | {one.version} | {one.licence} |" for one in found)


if __name__ == "__main__":
    PAGE.write_text(page())
