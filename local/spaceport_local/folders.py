"""Where things lie: the project that is deployed, and the folder that one engine keeps its data in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spaceport.errors import UserError

TEMPLATE = "template.yaml"
HOME_VARIABLE = "SPACEPORT_HOME"


@dataclass(frozen=True)
class DataFolder:
    """The folder of one engine: its state, objects, jobs and log. Two engines never share one."""

    root: Path

    @property
    def state(self) -> Path:
        """One JSON file a service."""
        return self.root / "state"

    @property
    def journal(self) -> Path:
        """What happened since the state was saved."""
        return self.root / "journal"

    @property
    def objects(self) -> Path:
        """S3's objects."""
        return self.root / "objects"

    @property
    def jobs(self) -> Path:
        """One folder a SageMaker job."""
        return self.root / "jobs"

    @property
    def temporary(self) -> Path:
        """The engine's own TMPDIR: emptied at each start, so that a killed engine leaves nothing behind."""
        return self.root / "tmp"

    @property
    def log(self) -> Path:
        return self.root / "engine.log"

    @property
    def lock(self) -> Path:
        """Held by the running engine: the only proof that one runs, whatever a file says."""
        return self.root / "engine.lock"

    @property
    def deployment_lock(self) -> Path:
        """Held by the command that brings the engine and its stack up."""
        return self.root / "deployment.lock"

    @property
    def address(self) -> Path:
        """The running engine's process id and port, and whether it enforces IAM."""
        return self.root / "engine.json"

    @property
    def last_port(self) -> Path:
        """Where the last engine listened, to be taken again: links of finished jobs name it."""
        return self.root / "port"

    def read_last_port(self) -> int | None:
        """`last_port`'s number; None before the first engine."""
        try:
            return int(self.last_port.read_text())
        except (OSError, ValueError):
            return None

    @property
    def refusal(self) -> Path:
        """Why the last engine refused to start."""
        return self.root / "refusal.json"


def find_project(start: Path | None = None) -> Path:
    """The folder of `template.yaml`: `start` (the working folder) or the nearest one above it,
    else the checkout that this package is installed from.

    Raises:
        UserError: `no_template`.
    """
    start = (start or Path.cwd()).resolve()
    checkout = Path(__file__).resolve().parents[2]
    for folder in (start, *start.parents, checkout):
        if (folder / TEMPLATE).is_file():
            return folder
    raise UserError(
        "no_template",
        f"There is no {TEMPLATE} in {start} or above it.",
        "Run the command in a checkout of Spaceport.",
    )


def default_data_folder(project: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """`$SPACEPORT_HOME`, else `.spaceport/` in the project."""
    home = environ.get(HOME_VARIABLE)
    return Path(home).expanduser().resolve() if home else project / ".spaceport"
