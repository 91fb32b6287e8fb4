"""Last state: complete quality.json and report.html, make all that browsers show servable, tell the row."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import ValidationError

from spaceport import metering, report_times
from spaceport.artifacts import Artifacts
from spaceport.delivered import Delivered
from spaceport.environment import Environment
from spaceport.errors import UserError
from spaceport.failure import RefusedError
from spaceport.formats import FILES, LEVELS_OF_DETAIL
from spaceport.job import JobRecord, Outputs, now_iso
from spaceport.jobs import Jobs
from spaceport.partial import CAMERAS, GEOREF, POINTS, SOG, PartialResults
from spaceport.pictures import HELD_OUT, THUMBNAIL, TRAINED_ON, VIDEO
from spaceport.plan import MODEL
from spaceport.prices import bill_of, stage_seconds
from spaceport.quality import QUALITY_REPORT, QualityReport, headline, not_finite
from spaceport.stages import COMPRESSION, Status

# What the compression stage leaves in some runs and not in others, by how the names begin. What one run left
# and the next did not, S3 would go on showing beside another model.
DELIVERED = ("lod/", "tiles/", "model.", report_times.REPORT_PAGE, VIDEO, THUMBNAIL)
BESIDE_THE_TRAINED = (f"{HELD_OUT}/", f"{TRAINED_ON}/")


class Settings(Environment):
    jobs_table: str
    data_bucket: str
    viewer_base_url: str = ""


logger = Logger()
settings = Settings.read()
s3 = boto3.client("s3")
artifacts = Artifacts(s3, settings.data_bucket)
jobs = Jobs(boto3.resource("dynamodb").Table(settings.jobs_table))


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """`event`: the plan's {jobId, executionArn, compressedS3Uri, gaussianS3Uri, colmapS3Uri}."""
    logger.append_keys(job_id=event["jobId"])
    row = jobs.get(event["jobId"])
    if row is None:
        raise RefusedError(UserError("no_row", f"The job {event['jobId']} has no row.", "Start it again."))
    started = row.stages[COMPRESSION.name].started
    begun = None if started is None else datetime.fromisoformat(started)
    delivered = Delivered(s3, event["compressedS3Uri"], begun)
    measured = delivered.read(QUALITY_REPORT)
    if measured is None:
        raise FileNotFoundError(f"the compression stage left no {QUALITY_REPORT}")
    now = now_iso()
    seconds, total = stage_seconds(row, now), total_seconds(row, now)
    bill = bill_of(row, event["executionArn"], now)
    quality = read_quality(measured)
    if quality is not None:
        quality = quality.model_copy(update={"stages": seconds, "total_seconds": total})
        delivered.write(QUALITY_REPORT, quality.model_dump_json(indent=2).encode(), "application/json")
    page = delivered.read(report_times.REPORT_PAGE)
    if page is not None:  # an older image of the compression stage makes none
        timed = report_times.with_times(page.decode(), seconds, total, bill)
        delivered.write(report_times.REPORT_PAGE, timed.encode(), report_times.MEDIA_TYPE)
    for name in ("viewer/", "lod/", "tiles/", "model.glb", VIDEO, THUMBNAIL):
        delivered.give_media_types(name)
    viewer = delivered.link(settings.viewer_base_url, "viewer/index.html")
    made = what_is_there(row) if quality is None else outputs_of(event, quality, page is not None)
    outputs = made.model_copy(update={"viewer_url": viewer if settings.viewer_base_url else None})
    numbers = {} if quality is None else headline(quality)
    published = jobs.complete(row.job_id, event["executionArn"], outputs, numbers, now, costs=bill.stages)
    if published:
        metering.job_ended(row, Status.COMPLETED, bill)
    logger.info("published", published=published)
    # Last of all: until the row names this run's results, it may come to name the earlier ones again.
    if begun is not None and (published or is_published(row.job_id, event["executionArn"])):
        discard_earlier_runs(event, begun)
    return {"jobId": row.job_id, "published": published}


def read_quality(measured: bytes) -> QualityReport | None:
    """What the compression stage measured; None where it can't be read: the model is there all the same."""
    try:
        quality = QualityReport.model_validate_json(measured)
    except ValidationError:
        logger.exception(f"{QUALITY_REPORT} is not what it should be: published as it is")
        return None
    if untold := not_finite(quality):
        logger.warning("no numbers", places=untold)
    return quality


def outputs_of(event: dict[str, Any], quality: QualityReport, has_page: bool) -> Outputs:
    """Where the results are that `quality` tells of."""
    compressed, colmap = event["compressedS3Uri"], event["colmapS3Uri"]
    return Outputs(
        sog=f"{compressed}{SOG}",
        lod=f"{compressed}{LEVELS_OF_DETAIL}" if quality.delivery.lod else None,
        quality=f"{compressed}{QUALITY_REPORT}",
        report=f"{compressed}{report_times.REPORT_PAGE}" if has_page else None,
        video=f"{compressed}{VIDEO}" if VIDEO in quality.pictures else None,
        thumbnail=f"{compressed}{THUMBNAIL}" if THUMBNAIL in quality.pictures else None,
        **{"ply": f"{event['gaussianS3Uri']}{MODEL}", **other_formats(compressed, quality)},
        georef=f"{colmap}{GEOREF}" if quality.georef else None,
        cameras=f"{colmap}{CAMERAS}" if quality.georef else None,
        points=f"{colmap}{POINTS}",
    )


def what_is_there(row: JobRecord) -> Outputs:
    """This run's results as the bucket has them, where no report tells of them."""
    own = row.model_copy(update={"earlier_results": False})
    return PartialResults(artifacts).of(own) or Outputs()


def is_published(job_id: str, execution_arn: str) -> bool:
    """Whether this execution has completed the job before: the state was tried again."""
    row = jobs.get(job_id)
    return row is not None and (row.status, row.execution_arn) == (Status.COMPLETED, execution_arn)


def discard_earlier_runs(event: dict[str, Any], begun: datetime) -> None:
    """Delete what earlier runs left and this one did not: what is older than this one's compression stage."""
    discarded = artifacts.discard_older(event["compressedS3Uri"], DELIVERED, begun)
    discarded += artifacts.discard_older(event["gaussianS3Uri"], BESIDE_THE_TRAINED, begun)
    logger.info("earlier runs' files discarded", files=discarded)


def other_formats(folder: str, quality: QualityReport) -> dict[str, str]:
    """The model in formats other than SOG, by the output's name: those that this run wrote."""
    return {name.value: folder + file for name, file in FILES.items() if file in quality.delivery.files}


def total_seconds(row: JobRecord, now: str) -> float:
    """The wall seconds since this run was queued."""
    queued = datetime.fromisoformat(row.queued_at or row.created_at)
    return round((datetime.fromisoformat(now) - queued).total_seconds(), 3)
