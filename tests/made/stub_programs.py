"""A folder of job programs that do nothing, for tests of what is around them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stub_reports import write_reports

PROGRAM = Path(__file__).parents[1] / "integration" / "stub_program.py"


@dataclass(frozen=True)
class Stubs:
    """Job programs that do nothing, but can be held in any stage (`stub_program.py`). `folder` is theirs."""

    folder: Path

    @property
    def options(self) -> list[str]:
        """What the engine takes them by: `LocalCloud(options=...)`."""
        script = self.folder / "program.py"
        if not script.exists():
            (self.folder / "held").mkdir(parents=True)
            script.write_text(PROGRAM.read_text())
            write_reports(self.folder / "reports")
        images = ("sfm", "gaussian", "compressor")
        return [word for image in images for word in ("--program", f"{image}={script}")]

    def hold(self, stage: str) -> None:
        """Let every job wait in `stage` from now on."""
        (self.folder / "held" / stage).touch()

    def let_go(self) -> None:
        for held in (self.folder / "held").iterdir():
            held.unlink()

    def begun(self, job_id: str) -> list[tuple[str, str]]:
        """(SageMaker job's name less the job's id, checkpoint found) of each start of a program, in order."""
        log = self.folder / "begun"
        lines = log.read_text().splitlines() if log.exists() else []
        starts = (line.split(" found ") for line in lines if line.startswith(f"{job_id}-"))
        return [(name.removeprefix(f"{job_id}-"), found) for name, found in starts]
