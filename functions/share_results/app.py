"""The HTTP API's links to results, for the jobs' owners: give one, take all back.

Apart from `serve_api`, which reads no result and writes none: a link needs copies of what it shows.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from spaceport.answers import Shared, Unshared
from spaceport.bodies import ShareBody, parse_body
from spaceport.environment import Environment
from spaceport.job import JobRecord, is_job_id, now_iso
from spaceport.jobs import Jobs
from spaceport.links import Links
from spaceport.problem_routes import address_in, body_in, caller_in, router
from spaceport.shared_files import PAGE, SharedFiles
from spaceport.sharing import Sharing


class Settings(Environment):
    jobs_table: str
    links_table: str
    data_bucket: str


logger = Logger()
settings = Settings.read()
dynamodb = boto3.resource("dynamodb")
jobs = Jobs(dynamodb.Table(settings.jobs_table))
files = SharedFiles(boto3.client("s3"), settings.data_bucket)
sharing = Sharing(jobs, Links(dynamodb.Table(settings.links_table)), files)
app = router(logger)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return app.resolve(event, context)


@app.post("/jobs/<job_id>/share")
def share_job(job_id: str) -> tuple[dict[str, Any], int]:
    body = parse_body(ShareBody, body_in(app))
    token, link = sharing.share(own_job(job_id), body.days, now_iso())
    logger.info("shared", ends_at=link.ends_at)
    url = f"{address_in(app)}/shared/{token}/{PAGE}"
    return Shared(token=token, url=url, expires_at=link.ends_at).told(), HTTPStatus.CREATED


@app.delete("/jobs/<job_id>/share")
def unshare_job(job_id: str) -> dict[str, Any]:
    row = own_job(job_id)
    taken = sharing.revoke(row.job_id)
    logger.info("unshared", links=taken)
    return Unshared(job_id=row.job_id, links=taken).told()


def own_job(job_id: str) -> JobRecord:
    """The caller's job. Raises UserError `no_such_job`."""
    logger.append_keys(job_id=job_id)
    return caller_in(app).own(jobs.get(job_id) if is_job_id(job_id) else None, job_id)
