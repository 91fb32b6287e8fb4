"""The stage as a story: read the model, write the SOG file, judge it, build the viewer, report."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

from spaceport.errors import UserError
from spaceport.pictures import HELD_OUT, THUMBNAIL, TRAINED_ON, VIDEO
from spaceport.progress import Progress, part_of
from spaceport.quality import (
    QUALITY_REPORT,
    SFM_REPORT,
    TRAINING_REPORT,
    QualityReport,
    SfmReport,
    TrainingReport,
)
from spaceport.report_times import REPORT_PAGE
from spaceport_compressor.judging.fidelity import (
    delivery_numbers,
    measure_fidelity,
    references_of,
    split_views,
)
from spaceport_compressor.judging.rate_choice import write_smallest
from spaceport_compressor.quality_report import assemble, read_report
from spaceport_compressor.report_page.page import Material, write_report_page
from spaceport_compressor.sog.read import read_sog
from spaceport_compressor.sog.write import check_writable
from spaceport_compressor.viewer.bundle import write_viewer
from spaceport_render.gaussians import Gaussians
from spaceport_render.holdout import fixed_subset
from spaceport_render.ply import read_ply
from spaceport_render.scene import read_scene

MODEL = "model.ply"
TRAINING_LOG = "training.log"
SOG = "model.sog"
OLDER_SOG = "model.sogs"  # the name that earlier clients ask for
VIEWER = "viewer"
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
        colmap: SfM's output: `sfm.json` and `dense/`.
        training: the training job's model folder: `model.ply`, `training.log`, `metrics.json`, and pictures.
        compressed: takes the delivered files.
        gaussian: takes a copy of the training job's files.
        viewer_package: the installed `@playcanvas/supersplat-viewer`.
        title: the job's name, shown above the model.
        max_size: longer side of the renders that judge the file, pixels; training's own.
        seed: of the palette's clustering.
    """

    colmap: Path
    training: Path
    compressed: Path
    gaussian: Path
    viewer_package: Path
    title: str
    max_size: int
    seed: int


def compress(job: CompressionJob, progress: Progress) -> QualityReport:
    """Do the whole stage; the report is also left in `quality.json`, and for people in `report.html`.

    A fault in drawing the latter is logged and costs the job nothing else.

    Raises:
        UserError: an input is missing or not what it should be, or the viewer is not installed.
    """
    progress(0.0, "Reading the trained model")
    sfm = read_report(job.colmap / SFM_REPORT, SfmReport)
    training = read_report(job.training / TRAINING_REPORT, TrainingReport)
    trained = _read_model(job.training / MODEL)
    scene = read_scene(job.colmap / "dense", job.max_size)
    for folder in (job.compressed, job.gaussian):
        folder.mkdir(parents=True, exist_ok=True)

    trained_on, held = split_views(scene.views, training.holdout)
    fixed = fixed_subset(trained_on)
    subset = references_of(trained, fixed)
    sog = job.compressed / SOG
    precision = write_smallest(
        sog,
        trained,
        [view.camera for view in trained_on],
        subset,
        seed=job.seed,
        progress=part_of(progress, 0.2, 0.8),
    )
    logger.info("delivered at %s", precision)
    shutil.copyfile(sog, job.compressed / OLDER_SOG)

    progress(0.8, "Comparing the delivered model with the trained one")
    decoded = read_sog(sog)
    fidelity = measure_fidelity(decoded, references_of(trained, held) or subset)
    delivery = delivery_numbers(job.training / MODEL, sog, len(trained), fidelity)

    progress(0.9, "Building the viewer page")
    cameras = [view.camera for view in scene.views]
    write_viewer(job.compressed / VIEWER, job.title, cameras, decoded, job.viewer_package)
    for name in (MODEL, TRAINING_LOG, TRAINING_REPORT):
        shutil.copyfile(job.training / name, job.gaussian / name)
    report = assemble(sfm, training, delivery, _publish_pictures(job))
    (job.compressed / QUALITY_REPORT).write_text(report.model_dump_json(indent=2))

    progress(0.95, "Writing the report")
    material = Material(job.title, report, decoded, scene.views, held or fixed, job.training / TRAINING_LOG)
    _write_report_page(job.compressed / REPORT_PAGE, material)
    progress(
        1.0,
        "The model is packed",
        sog_bytes=delivery.sog_bytes,
        decode_psnr_db=delivery.decode_psnr_db,
        psnr_loss_db=delivery.psnr_loss_db,
    )
    return report


def _publish_pictures(job: CompressionJob) -> list[str]:
    """Copy what pictures training left; returns those that lie beside the delivered model."""
    for folder in (HELD_OUT, TRAINED_ON):
        if (job.training / folder).is_dir():
            shutil.copytree(job.training / folder, job.gaussian / folder, dirs_exist_ok=True)
    there = [name for name in (VIDEO, THUMBNAIL) if (job.training / name).is_file()]
    for name in there:
        shutil.copyfile(job.training / name, job.compressed / name)
    return there


def _write_report_page(page: Path, material: Material) -> None:
    try:
        write_report_page(page, material)
    except Exception:  # hours of work are done and measured: no picture is worth losing them
        logger.exception("the report could not be drawn; the model is delivered without")
        page.write_text(NO_REPORT, encoding="utf-8")


def _read_model(path: Path) -> Gaussians:
    try:
        gaussians = read_ply(path)
    except FileNotFoundError as error:
        raise UserError(
            "no_model", f"Training left no {path.name}.", "Run the training stage again; it writes it."
        ) from error
    if len(gaussians) == 0:
        raise UserError("empty_model", f"{path.name} holds no Gaussians.", "Train again, with more photos.")
    try:
        check_writable(gaussians)
    except ValueError as error:
        raise UserError(
            "broken_model", f"{path.name} can't be delivered: {error}.", "Train again, with another seed."
        ) from error
    return gaussians
