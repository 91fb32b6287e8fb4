"""The SfM job program, `python -m spaceport_sfm`: knows SageMaker's folders, the environment and signals.

With arguments it is the command for a machine without a cloud, see `command`.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from spaceport.archive import DIGEST_VARIABLE, has_digest
from spaceport.errors import UserError
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
        source = zip_in(tree.processing_input("photos"), os.environ.get(DIGEST_VARIABLE))
        scratch = tree.root / "scratch"  # on the job's own volume: the system's /tmp may be small
        scratch.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="sfm-", dir=scratch) as work:
            plan = ReconstructionPlan(
                source=source,
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


def zip_in(folder: Path, digest: str | None) -> Path:
    """The zip that the job is of, of those that SageMaker brought: all whose keys begin as its key does.

    SageMaker knows no versions and brings the newest, which need not be the one that was looked at: `digest`
    tells that. None: nobody has looked, since somebody started the execution by hand.

    Raises:
        UserError: `zip_replaced`.
    """
    found = sorted(file for file in folder.iterdir() if file.suffix.lower() == ".zip" and file.is_file())
    if digest is None:
        if len(found) != 1:
            raise FileNotFoundError(f"{folder} must hold exactly one zip, it holds {len(found)}")
        return found[0]
    for candidate in found:
        with candidate.open("rb") as file:
            if has_digest(file, digest):
                return candidate
    raise UserError(
        "zip_replaced",
        "Another zip was uploaded under the same name before this job had read its own.",
        "The later zip has a job of its own. To have this one, too, upload it under another name.",
    )


if __name__ == "__main__":
    is_job = not sys.argv[1:] and MlTree.from_environment().is_there
    sys.exit(main() if is_job else command.main(sys.argv[1:]))
