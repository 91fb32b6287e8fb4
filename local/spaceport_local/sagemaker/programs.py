"""Which program runs for which image: what `docker run IMAGE` would start."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from spaceport.errors import UserError
from spaceport_local.sagemaker.record import ClientFaultError

# The image's short name (`sfm` of `123.dkr.ecr.us-east-1.amazonaws.com/spaceport/sfm@sha256:…`) and
# the package that its Dockerfile starts.
MODULES = {"sfm": "spaceport_sfm", "gaussian": "spaceport_gaussian", "compressor": "spaceport_compressor"}
VIEWER = Path("node_modules", "@playcanvas", "supersplat-viewer", "dist")


@dataclass(frozen=True)
class Program:
    """A command line, and what its image's ENV lines would set."""

    command: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Programs:
    """The programs of a checkout. `scripts` stand in for, or add to, the images' own programs."""

    project: Path
    scripts: Mapping[str, Path] = field(default_factory=dict)

    def find(self, image: str) -> Program:
        """The program of an image. Raises ClientFaultError when there is none."""
        name = short_name(image)
        if name in self.scripts:
            return Program((sys.executable, str(self.scripts[name])), {})
        if name not in MODULES:
            known = ", ".join(sorted({*MODULES, *self.scripts}))
            raise ClientFaultError(f"Cannot find the image {image} on this machine; there are: {known}.")
        environment = {}
        if name == "compressor":
            try:
                environment["SPACEPORT_VIEWER_DIR"] = str(viewer_folder(self.project))
            except UserError as error:
                raise ClientFaultError(str(error)) from error
        return Program((sys.executable, "-m", MODULES[name]), environment)


def short_name(image: str) -> str:
    """`sfm` of `registry:5000/spaceport/sfm:latest`."""
    return image.rsplit("/", 1)[-1].partition("@")[0].partition(":")[0]


def viewer_folder(project: Path) -> Path:
    """The installed viewer. Raises UserError `no_viewer`."""
    folder = project / VIEWER
    if not folder.is_dir():
        raise UserError(
            "no_viewer",
            f"The viewer that goes into every result is not installed: there is no {folder}.",
            "Run `make setup`, or `npm ci` in the checkout.",
        )
    return folder
