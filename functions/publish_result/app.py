"""Last state: complete quality.json, make the viewer servable, tell the row that the job is done."""

from __future__ import annotations

import mimetypes
from datetime import datetime
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from spaceport.environment import Environment
from spaceport.errors import UserError
from spaceport.failure import RefusedError
from spaceport.job import JobRecord, Outputs, now_iso
from spaceport.jobs import Jobs
from spaceport.quality import QUALITY_REPORT, QualityReport
from spaceport.stages import COMPRESSION


class Settings(Environment):
    jobs_table: str
    viewer_base_url: str = ""


logger = Logger()
settings = Settings.read()
s3 = boto3.client("s3")
jobs = Jobs(boto3.resource("dynamodb").Table(settings.jobs_table))


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """`event`: the plan's {jobId, executionArn, compressedS3Uri, gaussianS3Uri, colmapS3Uri}."""
    row = jobs.get(event["jobId"])
    if row is None:
        raise RefusedError(UserError("no_row", f"The job {event['jobId']} has no row.", "Start it again."))
    bucket, prefix = event["compressedS3Uri"].removeprefix("s3://").split("/", 1)
    now = now_iso()
    quality = with_times(read_quality(bucket, prefix), row, now)
    write(bucket, f"{prefix}{QUALITY_REPORT}", quality.model_dump_json(indent=2).encode())
    serve_viewer(bucket, f"{prefix}viewer/")
    outputs = Outputs(
        viewer_url=f"{settings.viewer_base_url}/{prefix}viewer/index.html"
        if settings.viewer_base_url
        else None,
        sog=f"{event['compressedS3Uri']}model.sog",
        quality=f"{event['compressedS3Uri']}{QUALITY_REPORT}",
        ply=f"{event['gaussianS3Uri']}model.ply",
        georef=f"{event['colmapS3Uri']}sparse/georef.json" if quality.georef else None,
    )
    published = jobs.complete(row.job_id, event["executionArn"], outputs, headline(quality), now)
    logger.info("published", job_id=row.job_id, published=published)
    return {"jobId": row.job_id, "published": published}


def read_quality(bucket: str, prefix: str) -> QualityReport:
    body = s3.get_object(Bucket=bucket, Key=f"{prefix}{QUALITY_REPORT}")["Body"].read()
    return QualityReport.model_validate_json(body)


def with_times(quality: QualityReport, row: JobRecord, now: str) -> QualityReport:
    """`quality` with the row's wall seconds of each stage and of the whole job; the last stage ends now."""
    ended = {name: record.model_copy() for name, record in row.stages.items()}
    if COMPRESSION.name in ended:
        ended[COMPRESSION.name].ended = now
    seconds = {name: record.seconds for name, record in ended.items() if record.seconds is not None}
    total = (
        datetime.fromisoformat(now) - datetime.fromisoformat(row.queued_at or row.created_at)
    ).total_seconds()
    return quality.model_copy(update={"stages": seconds, "total_seconds": round(total, 3)})


def headline(quality: QualityReport) -> dict[str, float]:
    """The numbers that the row shows without opening the report."""
    numbers = {
        "registered": quality.photos.registered,
        "photos": quality.photos.given,
        "gaussians": quality.delivery.gaussians,
        "sog_bytes": quality.delivery.sog_bytes,
        "psnr_train": quality.training.psnr_train,
        "psnr_holdout": quality.training.psnr_holdout,
        "ssim_holdout": quality.training.ssim_holdout,
        "rms_horizontal_m": quality.georef.rms_horizontal_m if quality.georef else None,
    }
    return {name: float(value) for name, value in numbers.items() if value is not None}


def serve_viewer(bucket: str, prefix: str) -> None:
    """Give the viewer's files their media types: SageMaker uploads plain bytes, which browsers download."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for found in page.get("Contents", []):
            key = found["Key"]
            s3.copy_object(
                Bucket=bucket,
                Key=key,
                CopySource={"Bucket": bucket, "Key": key},
                ContentType=mimetypes.guess_type(key)[0] or "application/octet-stream",
                MetadataDirective="REPLACE",
            )


def write(bucket: str, key: str, body: bytes) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")
