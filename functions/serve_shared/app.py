"""What anybody may look at who has a link: the viewer of one result, until the link ends.

Nobody is signed in here, so this function reads rows and copies made for links, and writes nothing. The page
is answered; the files beside it, which may be larger than an answer, are redirections to signed addresses.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from spaceport.answers import SharedResult
from spaceport.environment import Environment
from spaceport.job import JobRecord, now_iso
from spaceport.jobs import Jobs
from spaceport.links import Link, Links
from spaceport.problem_routes import address_in, router
from spaceport.problems import NO_ROUTE
from spaceport.shared_files import ADDRESS_LIFE_S, PAGE, POSTER, SharedFiles, is_shown
from spaceport.sharing import Visits
from spaceport.signing import FOR_BROWSERS


class Settings(Environment):
    jobs_table: str
    links_table: str
    data_bucket: str


# The address has the token: it is kept by no shared cache, told to no other site, and found by no search.
PRIVATE = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "X-Content-Type-Options": "nosniff",
}

logger = Logger()
settings = Settings.read()
dynamodb = boto3.resource("dynamodb")
visits = Visits(Jobs(dynamodb.Table(settings.jobs_table)), Links(dynamodb.Table(settings.links_table)))
shared_files = SharedFiles(boto3.client("s3", config=FOR_BROWSERS), settings.data_bucket)
app = router(logger)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return app.resolve(event, context)


@app.get("/shared/<token>")
def get_shared(token: str) -> Response[dict[str, Any]]:
    link, row = opened(token, now_iso())
    here = f"{address_in(app)}/shared/{token}"
    told = SharedResult(
        name=row.job_name,
        status=row.status,
        created_at=row.created_at,
        expires_at=link.ends_at,
        viewer_url=f"{here}/{PAGE}",
        poster_url=f"{here}/{POSTER}",
        quality=row.metrics,
    ).told()
    return Response(HTTPStatus.OK, "application/json", told, headers=dict(PRIVATE))


@app.get("/shared/<token>/.+")
def get_shared_file(token: str) -> Response[str]:
    now = now_iso()
    link, _ = opened(token, now)
    name = app.current_event.path.partition(f"/shared/{token}/")[2]
    page = shared_files.page(link) if name == PAGE else None
    if page is not None:
        return Response(HTTPStatus.OK, "text/html; charset=utf-8", page, headers=dict(PRIVATE))
    if name == PAGE or not is_shown(name):
        raise NO_ROUTE
    return redirection(link, name, now)


def opened(token: str, now: str) -> tuple[Link, JobRecord]:
    """The link, and its job. Raises UserError `no_such_link` or `share_expired`."""
    link, row = visits.open(token, now)
    logger.append_keys(job_id=row.job_id)
    return link, row


def redirection(link: Link, name: str, now: str) -> Response[str]:
    left = link.seconds_left(now)
    where = shared_files.address(link, name, left)
    # A browser need not ask again at once; half of its life is left for the request that follows.
    cached = f"private, max-age={min(ADDRESS_LIFE_S, left) // 2}"
    headers = {**PRIVATE, "Cache-Control": cached, "Location": where}
    return Response(HTTPStatus.FOUND, "text/plain", "", headers=headers)
