"""The SfM job program, `python -m spaceport_sfm`: knows SageMaker's folders, the environment and signals."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from spaceport.job_program import MlTree, run_program
from spaceport.progress import ProgressWriter
from spaceport.stages import SFM
from spaceport.tuning import Tuning
from spaceport_sfm.program import build_scene


def main() -> int:
    """Run the stage; return the exit code."""
    signal.signal(signal.SIGTERM, _stop)
    tree = MlTree.from_environment()

    def program(progress: ProgressWriter) -> None:
        scratch = tree.root / "scratch"  # on the job's own volume: the system's /tmp may be small
        scratch.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="sfm-", dir=scratch) as work:
            build_scene(
                _only_zip(tree.processing_input("photos")),
                Tuning.from_environment(os.environ),
                progress,
                photo_folder=tree.processing_output("extracted"),
                output=tree.processing_output("colmap"),
                work=Path(work),
            )

    return run_program(SFM, tree.processing_message, program)


def _only_zip(folder: Path) -> Path:
    found = sorted(file for file in folder.iterdir() if file.suffix.lower() == ".zip")
    if len(found) != 1:
        raise FileNotFoundError(f"{folder} must hold exactly one zip, it holds {len(found)}")
    return found[0]


def _stop(number: int, frame: FrameType | None) -> None:
    """SageMaker stops a job by SIGTERM: leave through every `finally`, which ends the child process."""
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
