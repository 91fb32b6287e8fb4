"""The SfM job program, `python -m spaceport_sfm`: knows SageMaker's folders, the environment and signals.

With arguments it is the command for a machine without a cloud, see `command`.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from spaceport.job_program import MlTree, run_program
from spaceport.progress import ProgressWriter
from spaceport.stages import SFM
from spaceport.stop_signal import Interrupted, StopSignal
from spaceport.tuning import Tuning
from spaceport_sfm import command
from spaceport_sfm.plan import ReconstructionPlan
from spaceport_sfm.program import build_scene


def main() -> int:
    """Run the stage; return the exit code."""
    stop = StopSignal()
    signal.signal(signal.SIGTERM, stop)  # what SageMaker stops a job by
    tree = MlTree.from_environment()

    def program(progress: ProgressWriter) -> None:
        scratch = tree.root / "scratch"  # on the job's own volume: the system's /tmp may be small
        scratch.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="sfm-", dir=scratch) as work:
            plan = ReconstructionPlan(
                source=_only_zip(tree.processing_input("photos")),
                tuning=Tuning.from_environment(os.environ),
                photo_folder=tree.processing_output("extracted"),
                output=tree.processing_output("colmap"),
                work=Path(work),
            )
            build_scene(plan, progress, stop)

    try:
        return run_program(SFM, tree.processing_message, program)
    except Interrupted as interrupted:
        return interrupted.exit_code


def _only_zip(folder: Path) -> Path:
    found = sorted(file for file in folder.iterdir() if file.suffix.lower() == ".zip")
    if len(found) != 1:
        raise FileNotFoundError(f"{folder} must hold exactly one zip, it holds {len(found)}")
    return found[0]


if __name__ == "__main__":
    is_job = not sys.argv[1:] and MlTree.from_environment().is_there
    sys.exit(main() if is_job else command.main(sys.argv[1:]))
