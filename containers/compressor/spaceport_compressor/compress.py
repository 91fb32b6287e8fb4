"""The stage as a story: read the model, clean it, write the SOG file, judge it, build the viewer, report."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from spaceport.formats import LEVELS_OF_DETAIL, Format
from spaceport.pictures import HELD_OUT, THUMBNAIL, TRAINED_ON, VIDEO
from spaceport.progress import Progress, part_of
from spaceport.quality import QUALITY_REPORT, TRAINING_REPORT, LevelsOfDetail, ModelQuality
from spaceport.report_times import REPORT_PAGE
from spaceport_compressor.cleaning.clean import Rules, clean
from spaceport_compressor.formats.deliver import write_formats
from spaceport_compressor.judging.fidelity import delivery_numbers, judge, loss_since
from spaceport_compressor.judging.rate_choice import write_smallest
from spaceport_compressor.lod.decimation import levels_of_detail
from spaceport_compressor.lod.write import write_lod
from spaceport_compressor.quality_report import assemble
from spaceport_compressor.report_page.page import Material, write_report_page
from spaceport_compressor.sog.precision import Precision
from spaceport_compressor.sog.read import read_sog
from spaceport_compressor.subject import Source, Subject, read_subject
from spaceport_compressor.viewer.bundle import Exhibit, viewer_files, write_viewer
from spaceport_compressor.viewer.place import place_of
from spaceport_render.flight_path import viewing_distance
from spaceport_render.gaussians import Gaussians

MODEL = "model.ply"
TRAINING_LOG = "training.log"
SOG = "model.sog"
OLDER_SOG = "model.sogs"  # the name that earlier clients ask for
VIEWER = "viewer"
TITLE = "3D model"  # of a job that nobody gave a name
VIEWER_DIR = "SPACEPORT_VIEWER_DIR"  # the environment variable that says where the viewer is installed
# Takes the report's place: an earlier run's, which S3 may hold, would tell of another model.
NO_REPORT = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>No report</title>'
    "<p>The report of this model could not be drawn, which is a fault of ours; the job’s log tells more. "
    f"The model is whole, and {QUALITY_REPORT} has its numbers.</p></html>"
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CompressionJob:
    """Where everything is, and the knobs.

    Attributes:
        source: the model, and where what is known of it lies.
        training: the training job's model folder, where there is one: `training.log`, and pictures.
        compressed: takes the delivered files.
        gaussian: takes a copy of the training job's files; None: they stay where they are.
        viewer_package: the installed `@playcanvas/supersplat-viewer`.
        title: the job's name, shown above the model.
        now: what time it is, which the report tells.
        max_size: longer side of the renders that judge the file, pixels; training's own.
        seed: of the palette's clustering.
        rules: by which the model is cleaned.
        lod_above: models of more Gaussians are also written in levels of detail, and tiles have these.
        formats: what to write besides SOG.
    """

    source: Source
    training: Path | None
    compressed: Path
    gaussian: Path | None
    viewer_package: Path
    title: str
    now: datetime
    max_size: int
    seed: int
    rules: Rules
    lod_above: int
    formats: tuple[Format, ...]


def compress(job: CompressionJob, progress: Progress) -> ModelQuality:
    """Do the whole stage; the report is also left in `quality.json`, and for people in `report.html`.

    A fault in drawing the latter is logged and costs the job nothing else.

    Raises:
        UserError: an input is missing or not what it should be, or the viewer is not installed.
    """
    viewer_files(job.viewer_package)  # what is missing there is told now, not after all the work
    progress(0.0, "Reading the trained model")
    subject = read_subject(job.source, job.max_size)
    job.compressed.mkdir(parents=True, exist_ok=True)

    progress(0.1, "Cleaning the model")
    cleaned = clean(subject.trained, subject.flight, job.rules)
    removed = cleaned.removed.model_copy(update={"broken": subject.broken})
    logger.info("cleaned: %s of %d Gaussians", removed, len(subject.trained) + subject.broken)

    sog = job.compressed / SOG
    steering = subject.steering_references(cleaned.gaussians)
    choice = write_smallest(
        sog,
        cleaned.gaussians,
        subject.steering_cameras,
        steering,
        seed=job.seed,
        progress=part_of(progress, 0.2, 0.8),
    )
    logger.info("delivered at %s", choice.precision)
    shutil.copyfile(sog, job.compressed / OLDER_SOG)

    progress(0.8, "Comparing the delivered model with the trained one")
    decoded = read_sog(sog)
    # Without held-out photos the views that steered judge, too, and are drawn already.
    judging = subject.judging_references(cleaned.gaussians) if subject.held else steering
    judgement = judge(decoded, judging)
    cleaning_loss_db = loss_since(subject.trained, judging)

    levels, lod = [cleaned.gaussians], None
    if len(cleaned.gaussians) > job.lod_above:
        progress(0.82, "Making coarser copies for the distance")
        levels = levels_of_detail(cleaned.gaussians, subject.steering_cameras)
        lod = _write_lod(job, subject, levels, choice.precision, part_of(progress, 0.84, 0.88))

    progress(0.88, "Writing the model in other formats")
    files = write_formats(job.compressed, levels, job.formats, subject.origin)
    measured = delivery_numbers(job.source.model, sog, len(cleaned.gaussians), judgement.fidelity)
    delivery = measured.model_copy(
        update={
            "removed": removed,
            "cleaning_loss_db": cleaning_loss_db,
            "candidates": list(choice.candidates),
            "lod": lod,
            "files": files,
        }
    )

    progress(0.9, "Building the viewer page")
    shown = f"../{LEVELS_OF_DETAIL if lod else SOG}"
    place = place_of(subject.sfm, subject.cameras)
    exhibit = Exhibit(job.title, subject.cameras, decoded, subject.control_points, shown, place)
    write_viewer(job.compressed / VIEWER, exhibit, job.viewer_package)
    pictures = [] if job.training is None else _publish_training(job.training, job.compressed, job.gaussian)
    report = assemble(subject.sfm, subject.training, delivery, pictures)
    (job.compressed / QUALITY_REPORT).write_text(report.model_dump_json(indent=2))

    progress(0.95, "Writing the report")
    log = None if job.training is None else job.training / TRAINING_LOG
    material = Material(
        job.title,
        job.now,
        report,
        decoded,
        cameras=subject.cameras,
        views=subject.views,
        judged=len(subject.judged_views),
        worst=judgement.worst,
        training_log=log,
    )
    _write_report_page(job.compressed / REPORT_PAGE, material)
    lost = {} if delivery.psnr_loss_db is None else {"psnr_loss_db": delivery.psnr_loss_db}
    progress(
        1.0,
        "The model is packed",
        sog_bytes=delivery.sog_bytes,
        decode_psnr_db=delivery.decode_psnr_db,
        **lost,
    )
    return report


def _write_lod(
    job: CompressionJob,
    subject: Subject,
    levels: Sequence[Gaussians],
    precision: Precision,
    progress: Progress,
) -> LevelsOfDetail:
    folder = (job.compressed / LEVELS_OF_DETAIL).parent
    cameras = subject.steering_cameras
    distance = viewing_distance(cameras, levels[0].means)
    return write_lod(folder, levels, cameras, distance, precision, seed=job.seed, progress=progress)


def _publish_training(training: Path, compressed: Path, gaussian: Path | None) -> list[str]:
    """Copy what training left; returns the pictures that lie beside the delivered model."""
    if gaussian is not None:
        gaussian.mkdir(parents=True, exist_ok=True)
        for name in (MODEL, TRAINING_LOG, TRAINING_REPORT):
            shutil.copyfile(training / name, gaussian / name)
        for folder in (HELD_OUT, TRAINED_ON):
            if (training / folder).is_dir():
                shutil.copytree(training / folder, gaussian / folder, dirs_exist_ok=True)
    there = [name for name in (VIDEO, THUMBNAIL) if (training / name).is_file()]
    for name in there:
        shutil.copyfile(training / name, compressed / name)
    return there


def _write_report_page(page: Path, material: Material) -> None:
    try:
        write_report_page(page, material)
    except Exception:  # hours of work are done and measured: no picture is worth losing them
        logger.exception("the report could not be drawn; the model is delivered without")
        page.write_text(NO_REPORT, encoding="utf-8")
