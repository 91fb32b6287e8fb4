"""The honest numbers of a finished job, in a few lines. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from spaceport.quality import GeorefNumbers, Photos, QualityReport, TrainingReport
from spaceport.stages import STAGES
from spaceport_cli.job_status import JobStatus
from spaceport_cli.plain_text import printable
from spaceport_cli.results import Results
from spaceport_cli.wording import counted, size, stage_title

_REFUSED_SHOWN = 10  # the rest is in quality.json


def summary(status: JobStatus, results: Results | None) -> str:
    """What became of a completed job: its photos, place, quality, size, times, files and viewer."""
    rows = [
        *((("note", warning)) for warning in status.warnings),
        *(_measured(results.quality) if results and results.quality else ()),
        *_times(status),
        *_places(status, results),
    ]
    lines = [f"{status.message}  {status.job_name or status.job_id}"]
    lines += [f"  {label:<9} {text}" for label, text in rows]
    return "\n".join(printable(line) for line in lines)


def _measured(quality: QualityReport) -> Iterator[tuple[str, str]]:
    yield from _photos(quality.photos)
    yield "place", _place(quality.georef)
    yield "quality", _quality(quality.training)
    delivery = quality.delivery
    yield (
        "size",
        f"{size(delivery.sog_bytes)}, {counted(delivery.gaussians, 'Gaussian')}"
        f" of {delivery.bytes_per_gaussian:.1f} bytes (the PLY: {size(delivery.ply_bytes)})",
    )
    loss = round(delivery.psnr_loss_db, 2) + 0.0  # a rounded nothing has no sign
    yield (
        "loss",
        f"decoded file against trained model {delivery.decode_psnr_db:.1f} dB;"
        f" {loss:.2f} dB of PSNR lost against the photos",
    )


def _photos(photos: Photos) -> Iterator[tuple[str, str]]:
    yield "photos", f"{photos.registered} of {photos.given} placed"
    for refused in photos.refused[:_REFUSED_SHOWN]:
        yield "refused", f"{refused.name}: {refused.reason}"
    hidden = len(photos.refused) - _REFUSED_SHOWN
    if hidden > 0:
        yield "refused", f"and {hidden} more, see quality.json"


def _place(georef: GeorefNumbers | None) -> str:
    if georef is None:
        return "not geo-referenced, so without scale: no GPS, or too few photos with it, or all in one line"
    return (
        f"{georef.rms_horizontal_m:.2f} m horizontal, {georef.rms_vertical_m:.2f} m vertical"
        f" (RMS against GPS), at {georef.origin.lat:.5f}, {georef.origin.lon:.5f}"
    )


def _quality(training: TrainingReport) -> str:
    if training.psnr_holdout is None:
        return (
            f"no photo was held out, so only the training photos' {training.psnr_train:.2f} dB PSNR"
            " is known (--set holdout=8 measures)"
        )
    measures = [f"{training.psnr_holdout:.2f} dB PSNR"]
    if training.ssim_holdout is not None:
        measures.append(f"{training.ssim_holdout:.3f} SSIM")
    if training.detail_holdout is not None:
        measures.append(f"{training.detail_holdout:.2f} of the photos' detail")
    return f"{', '.join(measures)} on {counted(len(training.holdout), 'held-out photo')}"


def _times(status: JobStatus) -> Iterator[tuple[str, str]]:
    parts = [
        f"{stage_title(stage.name)} {record.seconds:.0f} s"
        for stage in STAGES
        if (record := status.stages.get(stage.name)) and record.seconds is not None
    ]
    if parts:
        yield "time", ", ".join(parts)


def _places(status: JobStatus, results: Results | None) -> Iterator[tuple[str, str]]:
    if results:
        yield "files", f"{results.folder}/: {', '.join(results.files) or 'none'}"
    if status.outputs and status.outputs.viewer_url:
        yield "viewer", status.outputs.viewer_url
