"""`python -m spaceport_gaussian SCENE OUT`: the stage without any cloud, for a person or a script."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from spaceport.program_command import (
    LOG,
    STOPPED,
    add_settings,
    check_beside,
    contents_of_results_folder,
    only_run_on,
    out_not_empty,
    progress_of,
    stopped_by_signals,
    tell_end,
    tuning_of,
)
from spaceport.quality import TRAINING_REPORT, TrainingReport
from spaceport.stages import TRAINING
from spaceport.stop_signal import StopSignal
from spaceport.tuning import Preset, Tuning
from spaceport_gaussian.checkpoint import CHECKPOINT
from spaceport_gaussian.device import prepared_device
from spaceport_gaussian.job import Folders, run_job
from spaceport_gaussian.summary import summary
from spaceport_render.scene import scene_in

WORK = "work"  # in OUT: the checkpoints
EPILOG = f"""\
SCENE is what `python -m spaceport_sfm` made, or any folder with images/ and COLMAP's sparse/ of photos
without lens distortion (PINHOLE cameras), z up. OUT gets model.ply (the trained splat), {TRAINING_REPORT} and
training.log (what was measured), thumbnail.jpg, flight.mp4 (unless video=false) and held_out/ or trained_on/
(photos beside the model). OUT/{WORK} holds the last checkpoint and preview.jpg, the model as it learns: the
same command goes on where a run was stopped or killed. It is removed at the end. On a terminal OUT/{LOG}
gets the log, else standard error, and standard output gets progress as JSON lines. Of several GPUs it takes
the first.

exit codes: 0 done, 1 something that you can mend, 2 wrong usage, 70 a fault of ours, 130 and 143 stopped
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    given = _parser().parse_args(arguments)
    stop = stopped_by_signals(STOPPED)
    preset = [f"preset={given.preset}"] if given.preset else []
    with ExitStack() as files:  # the log among them, which our own faults go to as well

        def run() -> str:
            tuning = tuning_of([*preset, *given.set])
            return summary(_run(given.scene, given.out, tuning, stop, files, keep=given.keep), given.out)

        return tell_end("training", run, given.out)


def _run(
    scene: Path, out: Path, tuning: Tuning, stop: StopSignal, files: ExitStack, *, keep: bool
) -> TrainingReport:
    scene, out = scene_in(scene.absolute()), out.absolute()
    check_results_folder(scene, out)
    files.enter_context(only_run_on(out))
    (out / WORK).mkdir(exist_ok=True)
    folders = Folders(scene, model=out, checkpoints=out / WORK)
    with progress_of(TRAINING, out, files) as progress:
        report = run_job(folders, tuning, progress, device=prepared_device(), stop=stop)
    if not keep:
        shutil.rmtree(out / WORK)
    return report


def check_results_folder(scene: Path, out: Path) -> None:
    """Make `out`. Raises UserError where a run would write over something that is not its own."""
    check_beside(scene, out)
    contents = {entry.name for entry in contents_of_results_folder(out)}
    is_unfinished = contents <= {WORK} or (out / WORK / CHECKPOINT).is_file()
    if not is_unfinished:
        raise out_not_empty(out, finished=TRAINING_REPORT in contents)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m spaceport_gaussian",
        description="Train a 3D Gaussian splat of a scene whose camera poses are known.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scene", type=Path, metavar="SCENE", help="a folder with images/ and sparse/")
    parser.add_argument("out", type=Path, metavar="OUT", help="a new folder for the results")
    parser.add_argument(
        "--preset",
        choices=[preset.value for preset in Preset],
        help="how much time it may take; preview is made for machines without a GPU (default: balanced)",
    )
    add_settings(parser, TRAINING)
    parser.add_argument("--keep", action="store_true", help=f"keep OUT/{WORK}: checkpoint and preview")
    return parser
