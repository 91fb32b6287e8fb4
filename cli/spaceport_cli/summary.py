"""The honest numbers of a finished job, in a few lines. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from spaceport.quality import ControlNumbers, GeorefNumbers, Photos, QualityReport, TrainingReport
from spaceport.stages import STAGES
from spaceport_cli.job_status import JobStatus
from spaceport_cli.plain_text import printable
from spaceport_cli.results import Results
from spaceport_cli.wording import counted, size, stage_title

_PHOTOS_SHOWN = 10  # of those that something is wrong with; the rest is in quality.json


def summary(status: JobStatus, results: Results | None) -> str:
    """What became of a completed job: its photos, place, quality, size, times, files and viewer."""
    advice = [*_advice(results.quality)] if results and results.quality else []
    told_below = {text for _, text in advice}
    rows = [
        *(("note", warning) for warning in status.warnings if warning not in told_below),
        *(_measured(results.quality) if results and results.quality else ()),
        *_times(status),
        *_places(status, results),
        *advice,
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
    lost = round(delivery.lost_db or 0.0, 2)
    yield (
        "loss",
        f"decoded file against the model it packs {delivery.decode_psnr_db:.1f} dB;"
        f" {f'{lost:.2f} dB of PSNR' if lost > 0 else 'nothing'} lost against the photos",
    )


def _photos(photos: Photos) -> Iterator[tuple[str, str]]:
    yield "photos", f"{photos.registered} of {photos.given} placed"
    for label, photos_told in (("refused", photos.refused), ("warned", photos.warned)):
        for photo in photos_told[:_PHOTOS_SHOWN]:
            yield label, f"{photo.name}: {photo.reason}"
        hidden = len(photos_told) - _PHOTOS_SHOWN
        if hidden > 0:
            yield label, f"and {hidden} more, see quality.json"


def _place(georef: GeorefNumbers | None) -> str:
    if georef is None:
        return "not geo-referenced, so no sure scale: no GPS, or too few photos with it, or all in one line"
    level, up, against = georef.rms_horizontal_m, georef.rms_vertical_m, "GPS"
    if georef.control is not None:
        level, up, against = georef.control.rms_horizontal_m, georef.control.rms_vertical_m, "ground control"
    checked = _checked(georef.control) if georef.control else ""
    return (
        f"{level:.2f} m horizontal, {up:.2f} m vertical (RMS against {against}){checked},"
        f" at {georef.origin.lat:.5f}, {georef.origin.lon:.5f}"
    )


def _checked(control: ControlNumbers) -> str:
    if control.check_rms_horizontal_m is None or control.check_rms_vertical_m is None:
        return ""
    return (
        f", {control.check_rms_horizontal_m:.2f} m and {control.check_rms_vertical_m:.2f} m"
        f" against {counted(len(control.check), 'check point')}"
    )


def _advice(quality: QualityReport) -> Iterator[tuple[str, str]]:
    """What to do better next time: last, where the eye rests."""
    for advice in quality.advice:
        yield "advice", advice.text


def _quality(training: TrainingReport) -> str:
    if training.psnr_holdout is None:
        return (
            f"no photo was held out, so only the training photos' {training.psnr_train:.2f} dB PSNR"
            " as trained is known (--set holdout=8 measures)"
        )
    measures = [f"{training.psnr_holdout:.2f} dB PSNR as trained"]
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
