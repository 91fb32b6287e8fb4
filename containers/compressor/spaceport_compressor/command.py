"""`python -m spaceport_compressor MODEL OUT`: the stage without any cloud, for a person or a script."""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from spaceport.errors import UserError
from spaceport.prices import free
from spaceport.program_command import (
    LOG,
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
from spaceport.quality import QUALITY_REPORT, SFM_REPORT, TRAINING_REPORT, ModelQuality, TrainingReport
from spaceport.report_times import REPORT_PAGE, with_times
from spaceport.stages import COMPRESSION, SFM, TRAINING
from spaceport_compressor.cleaning.clean import Rules
from spaceport_compressor.compress import (
    MODEL,
    TITLE,
    VIEWER_DIR,
    CompressionJob,
    compress,
)
from spaceport_compressor.quality_report import read_report
from spaceport_compressor.subject import Source, Up
from spaceport_compressor.summary import summary
from spaceport_render.scene import scene_in

WORK = "work"  # in OUT: results before they are all there
FINISHED = "finished"  # what that becomes when they are, until each lies in OUT itself
MADE_UP_FOR = "Nothing was packed: here are the results of the run before, which ended while it moved them."
STOPPED = "Stopped. The same command begins again."
# Where `make setup` installs the viewer; an image names its own place.
CHECKOUTS_VIEWER = Path(__file__).parents[3] / "node_modules/@playcanvas/supersplat-viewer"
EPILOG = f"""\
MODEL is what `python -m spaceport_gaussian` made, or a .ply of any 3DGS trainer. SCENE is what it was trained
on: what `python -m spaceport_sfm` made, or any folder with images/ and COLMAP's sparse/ of photos without
lens distortion. With it the delivered model is cleaned and judged by the photos, the held-out ones where
there are any, and the viewer opens where the drone was. Photos are as large as MODEL's preset trains with;
where training was given another train_max_size, give it again. Without SCENE the delivered model is only
held against MODEL, from cameras around it, and what only photos can tell is null. Most trainers on COLMAP's
poses leave a model whose up is about -y.

OUT gets model.sog (and the same as model.sogs), the other formats that --set formats=... asks for, viewer/
(a page that shows the model, for any web server), of a large model also lod/ (the pieces that the page then
shows), report.html and {QUALITY_REPORT} (what was measured), and the film and the picture that training made.
On a terminal OUT/{LOG} gets the log, else standard error, and standard output gets progress as JSON lines.

exit codes: 0 done, 1 something that you can mend, 2 wrong usage, 70 a fault of ours, 130 and 143 stopped
"""


@dataclass(frozen=True)
class Given:
    """What the command was told, found on disk.

    Attributes:
        training: the folder that training left, where MODEL is of one; else None.
    """

    source: Source
    training: Path | None


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.scene and given.up is not Up.Z:
        parser.error("--up is for a model without its scene: photos and model are in the same axes, z up")
    stopped_by_signals(STOPPED)
    with ExitStack() as files:  # the log among them, which our own faults go to as well

        def run() -> str:
            found = find(given.model, given.scene, given.up)
            return _run(found, given.out, given.title, given.set, files)

        return tell_end("compression", run, given.out)


def _run(given: Given, out: Path, title: str, settings: Sequence[str], files: ExitStack) -> str:
    """Do the work, or the rest of it; returns the summary."""
    told, out = out, out.absolute()
    tuning = tuning_of([*_preset(given.source), *settings])
    check_results_folder(given.source, out)
    files.enter_context(only_run_on(out))
    finished = out / FINISHED
    if finished.is_dir():
        _put_in_place(finished, out)
        return f"{MADE_UP_FOR}\n{summary(read_report(out / QUALITY_REPORT, ModelQuality), told)}"
    work = out / WORK
    shutil.rmtree(work, ignore_errors=True)  # a run's that was stopped
    job = CompressionJob(
        source=given.source,
        training=given.training,
        compressed=work,
        gaussian=None,
        viewer_package=Path(os.environ.get(VIEWER_DIR) or CHECKOUTS_VIEWER),
        title=title,
        now=datetime.now(UTC),
        max_size=tuning.train_max_size,
        seed=tuning.seed,
        rules=Rules.of(tuning),
        lod_above=tuning.lod_above,
        formats=tuning.formats,
    )
    started = time.monotonic()
    with progress_of(COMPRESSION, out, files) as progress:
        quality = compress(job, progress)
    _tell_times(work / REPORT_PAGE, quality, time.monotonic() - started)
    work.rename(finished)
    _put_in_place(finished, out)
    return summary(quality, told)


def _put_in_place(finished: Path, out: Path) -> None:
    for result in sorted(finished.iterdir()):
        result.rename(out / result.name)
    finished.rmdir()


def find(model: Path, scene: Path | None, up: Up = Up.Z) -> Given:
    """What `model` and `scene` name.

    Raises:
        UserError: `no_model`, `scene_missing`.
    """
    model = model.absolute()
    if model.is_dir():
        model /= MODEL
    if not model.is_file():
        raise UserError(
            "no_model",
            f"There is no {model}.",
            "Name a folder that `python -m spaceport_gaussian` wrote to the end, or a .ply file.",
        )
    # Beside a file of another name, reports may be of another model.
    is_trainings = model.name == MODEL and (model.parent / TRAINING_REPORT).is_file()
    dense = None if scene is None else scene_in(scene.absolute())
    source = Source(
        model,
        metrics=model.parent / TRAINING_REPORT if is_trainings else None,
        scene=dense,
        sfm=_if_there(dense.parent / SFM_REPORT) if dense else None,
        up=up,
    )
    return Given(source, model.parent if is_trainings else None)


def _if_there(file: Path) -> Path | None:
    return file if file.is_file() else None


def check_results_folder(source: Source, out: Path) -> None:
    """Make `out`. Raises UserError where a run would write over something that is not its own."""
    if source.scene:
        check_beside(source.scene, out)
    contents = {entry.name for entry in contents_of_results_folder(out)}
    if FINISHED in contents:
        finished = out / FINISHED
        is_ours = any((place / QUALITY_REPORT).is_file() for place in (finished, out))
        if not is_ours or any((finished / name).exists() for name in contents):
            raise out_not_empty(out, finished=False)
    elif not contents <= {WORK}:
        raise out_not_empty(out, finished=QUALITY_REPORT in contents)


def _preset(source: Source) -> list[str]:
    """The preset of training: it says how large the pictures are that the model is judged by."""
    if source.metrics is None:
        return []
    return [f"preset={read_report(source.metrics, TrainingReport).preset}"]


def _tell_times(page: Path, quality: ModelQuality, seconds: float) -> None:
    """Fill in what a job's last state would: the programs' own times, as far as they are known."""
    stages = {COMPRESSION.name: seconds}
    if quality.sfm:
        stages[SFM.name] = quality.sfm.seconds
    if quality.training:
        stages[TRAINING.name] = quality.training.seconds
    timed = with_times(page.read_text(encoding="utf-8"), stages, sum(stages.values()), free(stages))
    page.write_text(timed, encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m spaceport_compressor",
        description="Pack a 3D Gaussian splat for the web, with a page that shows it and a report.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a folder with model.ply, or a .ply file")
    parser.add_argument("out", type=Path, metavar="OUT", help="a new folder for the results")
    parser.add_argument(
        "--scene", type=Path, metavar="SCENE", help="the photos and poses that MODEL was trained on"
    )
    parser.add_argument(
        "--up",
        type=Up,
        choices=list(Up),
        default=Up.Z,
        metavar="AXIS",
        help="which way is up in a MODEL without SCENE: z (default), y, or -y (--up=-y); it is turned to z",
    )
    parser.add_argument(
        "--title", type=_readable, default=TITLE, help=f"shown above the model (default: {TITLE})"
    )
    add_settings(parser, COMPRESSION)
    return parser


def _readable(argument: str) -> str:
    """`argument` as a page can hold it: bytes that the terminal's encoding lacks become question marks."""
    return argument.encode(errors="surrogateescape").decode(errors="replace")
