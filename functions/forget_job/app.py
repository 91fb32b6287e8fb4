"""Job Changed → all is erased that a deleted job left, and the links of one whose stop was to leave nothing.

What fails is tried again, three times at once and every day by `tidy_jobs`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from spaceport.artifacts import Artifacts
from spaceport.changes import JobChanged
from spaceport.connections import Connections
from spaceport.environment import Environment
from spaceport.erasure import Erasure, JobLogStreams, Zips
from spaceport.history import History
from spaceport.jobs import Jobs
from spaceport.links import Links
from spaceport.shared_files import SharedFiles
from spaceport.sharing import Sharing


class Settings(Environment):
    jobs_table: str
    history_table: str
    connections_table: str
    links_table: str
    uploads_bucket: str
    data_bucket: str


logger = Logger()
settings = Settings.read()
dynamodb, s3 = boto3.resource("dynamodb"), boto3.client("s3")
jobs = Jobs(dynamodb.Table(settings.jobs_table))
history = History(dynamodb.Table(settings.history_table))
links = Links(dynamodb.Table(settings.links_table))
shared_files = SharedFiles(s3, settings.data_bucket)
sharing = Sharing(jobs, links, shared_files)
erasure = Erasure(
    jobs,
    Artifacts(s3, settings.data_bucket),
    Zips(s3, settings.uploads_bucket),
    history,
    Connections(dynamodb.Table(settings.connections_table)),
    links,
    shared_files,
    JobLogStreams(boto3.client("logs")),
)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    told = JobChanged.model_validate(event["detail"])
    logger.append_keys(job_id=told.job_id)
    row = jobs.get(told.job_id)
    if row is None:
        # The stream gave the job's changes once more, with this one: after its history was erased.
        history.erase(told.job_id)
    if told.discards and not told.deleted:
        # They show copies of an earlier result. By the event's time, not by the row: the wish was for what
        # there was, and the job may have been begun again, and shared, since.
        logger.info("links taken back", links=sharing.revoke(told.job_id, until=told.time))
    if row is None or row.deleted_at is None:
        return {"jobId": told.job_id, "erased": False}
    logger.info("erased", erased=erasure.erase(row, datetime.now(UTC)))
    return {"jobId": told.job_id, "erased": True}
