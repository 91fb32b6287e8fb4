"""Stands in for `pip` in an image that is assembled without a network: `pip install` of what is here already.

    pip install [options] [--constraint FILE] REQUIREMENT...

Looks in the folders of PACKAGES_OF_THIS_MACHINE for exactly what the requirements ask for, their own
requirements included, and links it into the image. Nothing else gets there: what a program imports and no
requirement names is missing in the image, as it would be on AWS.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import shutil
import sys
import sysconfig
from pathlib import Path

FOLDERS = os.environ["PACKAGES_OF_THIS_MACHINE"].split(os.pathsep)
sys.path += FOLDERS  # for `packaging` alone, in this process alone

from packaging.requirements import Requirement  # noqa: E402
from packaging.utils import canonicalize_name  # noqa: E402


def main() -> None:
    """Install, or exit with a sentence about what is not here."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["install"])
    parser.add_argument("--no-cache-dir", action="store_true")
    parser.add_argument("--constraint", type=Path)
    parser.add_argument("requirements", nargs="+")
    given = parser.parse_args()

    here = {canonicalize_name(found.name): found for found in importlib.metadata.distributions(path=FOLDERS)}
    allowed = {}
    if given.constraint:
        lines = map(Requirement, given.constraint.read_text().splitlines())
        allowed = {canonicalize_name(line.name): line.specifier for line in lines}
    wanted = [Requirement(text) for text in given.requirements]
    installed: set[tuple[str, frozenset[str]]] = set()
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        if (name, frozenset(requirement.extras)) in installed:
            continue
        installed.add((name, frozenset(requirement.extras)))
        found = here.get(name)
        if found is None:
            sys.exit(f"pip: {requirement} is not on this machine")
        for specifier in (requirement.specifier, allowed.get(name, "")):
            if specifier and not specifier.contains(found.version, prereleases=True):
                sys.exit(f"pip: {name}{specifier} is wanted, this machine has {found.version}")
        _link(found)
        wanted += [need for need in map(Requirement, found.requires or []) if _applies(need, requirement)]


def _applies(need: Requirement, to: Requirement) -> bool:
    return need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *to.extras))


def _link(found: importlib.metadata.Distribution) -> None:
    """Its folders and modules as links, its programs as copies."""
    packages = Path(sysconfig.get_path("purelib"))
    programs = Path(sysconfig.get_path("scripts"))
    for file in found.files or []:
        source = Path(found.locate_file(file))
        if file.parts[0] != "..":
            link = packages / file.parts[0]
            if file.parts[0] != "__pycache__" and not link.is_symlink():
                link.symlink_to(Path(found.locate_file(file.parts[0])))
        elif source.parent.name == "bin" and source.is_file():
            shutil.copy(source, programs / source.name)


if __name__ == "__main__":
    main()
