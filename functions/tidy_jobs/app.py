"""Once a day: delete what has been kept long enough.

Each job is looked at on its own: one that can't be tidied now must not keep the others waiting.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from spaceport.artifacts import Artifacts
from spaceport.environment import Environment
from spaceport.job import JobRecord, now_iso
from spaceport.jobs import Jobs
from spaceport.retention import INTERMEDIATES, Due, due

PAGE = 100


class Settings(Environment):
    jobs_table: str
    data_bucket: str
    results_days: int


logger = Logger()
settings = Settings.read()
jobs = Jobs(boto3.resource("dynamodb").Table(settings.jobs_table))
artifacts = Artifacts(boto3.client("s3"), settings.data_bucket)
results_kept = timedelta(days=settings.results_days) if settings.results_days else None


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return tidy(datetime.now(UTC))


def tidy(now: datetime) -> dict[str, Any]:
    """Tidy every job. Raises RuntimeError after the last one where some could not be tidied."""
    tidied, failed = 0, []
    for row in chain(jobs.all(PAGE), jobs.many(jobs.deleted())):
        needed = due(row, now, results_kept)
        if needed is Due.NOTHING:
            continue
        logger.append_keys(job_id=row.job_id)
        try:
            do(needed, row, now)
        except Exception:  # whatever it is, the other jobs are not to wait for it
            logger.exception("not tidied", needed=needed.name)
            failed.append(row.job_id)
        else:
            logger.info("tidied", needed=needed.name)
            tidied += 1
    if failed:
        raise RuntimeError(f"{len(failed)} jobs could not be tidied: {', '.join(failed[:20])}")
    return {"tidied": tidied}


def do(needed: Due, row: JobRecord, now: datetime) -> None:
    if needed is Due.INTERMEDIATES:
        # Written first: a retry from now on begins anew, and one that was quicker keeps what it begins with.
        if jobs.discard_intermediates(row):
            artifacts.discard_folders(row.job_id, INTERMEDIATES)
            jobs.intermediates_discarded(row)
    else:
        jobs.delete(row.job_id, now_iso(now))  # `forget_job` hears of it
