"""Last state: complete quality.json and report.html, make all that browsers show servable, tell the row."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from spaceport import metering, report_times
from spaceport.artifacts import Artifacts
from spaceport.delivered import Delivered
from spaceport.environment import Environment
from spaceport.errors import UserError
from spaceport.failure import RefusedError
from spaceport.formats import FILES, LEVELS_OF_DETAIL
from spaceport.job import JobRecord, Outputs, now_iso
from spaceport.jobs import Jobs
from spaceport.partial import CAMERAS, GEOREF, POINTS, SOG
from spaceport.pictures import HELD_OUT, THUMBNAIL, TRAINED_ON, VIDEO
from spaceport.plan import MODEL
from spaceport.prices import bill_of, stage_seconds
from spaceport.quality import QUALITY_REPORT, QualityReport, headline
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
    quality = QualityReport.model_validate_json(measured).model_copy(
        update={"stages": seconds, "total_seconds": total}
    )
    delivered.write(QUALITY_REPORT, quality.model_dump_json(indent=2).encode(), "application/json")
    page = delivered.read(report_times.REPORT_PAGE)
    if page is not None:  # an older image of the compression stage makes none
        timed = report_times.with_times(page.decode(), seconds, total, bill)
        delivered.write(report_times.REPORT_PAGE, timed.encode(), report_times.MEDIA_TYPE)
    for name in ("viewer/", "lod/", "tiles/", "model.glb", *quality.pictures):
        delivered.give_media_types(name)
    viewer = delivered.link(settings.viewer_base_url, "viewer/index.html")
    outputs = Outputs(
        viewer_url=viewer if settings.viewer_base_url else None,
        sog=f"{event['compressedS3Uri']}{SOG}",
        lod=f"{event['compressedS3Uri']}{LEVELS_OF_DETAIL}" if quality.delivery.lod else None,
        quality=f"{event['compressedS3Uri']}{QUALITY_REPORT}",
        report=f"{event['compressedS3Uri']}{report_times.REPORT_PAGE}" if page is not None else None,
        video=f"{event['compressedS3Uri']}{VIDEO}" if VIDEO in quality.pictures else None,
        thumbnail=f"{event['compressedS3Uri']}{THUMBNAIL}" if THUMBNAIL in quality.pictures else None,
        **{"ply": f"{event['gaussianS3Uri']}{MODEL}", **other_formats(event["compressedS3Uri"], quality)},
        georef=f"{event['colmapS3Uri']}{GEOREF}" if quality.georef else None,
        cameras=f"{event['colmapS3Uri']}{CAMERAS}" if quality.georef else None,
        points=f"{event['colmapS3Uri']}{POINTS}",
    )
    published = jobs.complete(
        row.job_id, event["executionArn"], outputs, headline(quality), now, costs=bill.stages
    )
    if published:
        metering.job_ended(row, Status.COMPLETED, bill)
    logger.info("published", published=published)
    # Last of all: until the row names this run's results, it may come to name the earlier ones again.
    if begun is not None and (published or is_published(row.job_id, event["executionArn"])):
        discard_earlier_runs(event, begun)
    return {"jobId": row.job_id, "published": published}


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
