"""The compression job's edge: SageMaker's folders and the environment in, an exit code out.

With arguments it is the command for a machine without a cloud, see `command`.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from spaceport.errors import UserError
from spaceport.job_program import MlTree, run_program
from spaceport.progress import ProgressWriter
from spaceport.quality import SFM_REPORT, TRAINING_REPORT
from spaceport.stages import COMPRESSION
from spaceport.tuning import Tuning
from spaceport_compressor import command
from spaceport_compressor.cleaning.clean import Rules
from spaceport_compressor.compress import MODEL, TITLE, VIEWER_DIR, CompressionJob, compress
from spaceport_compressor.subject import Source

JOB_NAME = "SPACEPORT_JOB_NAME"


def main() -> int:
    """Run the job; the exit code tells the executor how it went."""
    tree = MlTree.from_environment()

    def program(progress: ProgressWriter) -> None:
        tuning = Tuning.from_environment(os.environ)
        colmap, training = tree.processing_input("colmap"), tree.processing_input("training")
        job = CompressionJob(
            source=Source(
                model=training / MODEL,
                metrics=training / TRAINING_REPORT,
                scene=colmap / "dense",
                sfm=colmap / SFM_REPORT,
            ),
            training=training,
            compressed=tree.processing_output("compressed"),
            gaussian=tree.processing_output("gaussian"),
            viewer_package=_viewer_package(),
            title=os.environ.get(JOB_NAME, "") or TITLE,
            now=datetime.now(UTC),
            max_size=tuning.train_max_size,
            seed=tuning.seed,
            rules=Rules.of(tuning),
            lod_above=tuning.lod_above,
            formats=tuning.formats,
        )
        compress(job, progress)

    return run_program(COMPRESSION, tree.processing_message, program)


def _viewer_package() -> Path:
    folder = os.environ.get(VIEWER_DIR)
    if not folder:
        raise UserError(
            "no_viewer",
            f"{VIEWER_DIR} is not set, so the viewer page can't be built.",
            "Set it to the folder of the installed @playcanvas/supersplat-viewer.",
        )
    return Path(folder)


if __name__ == "__main__":
    is_job = not sys.argv[1:] and MlTree.from_environment().is_there
    sys.exit(main() if is_job else command.main(sys.argv[1:]))
