"""Refusals as problem details (RFC 9457): `application/problem+json` with our code and hint."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from spaceport.errors import UserError

MEDIA_TYPE = "application/problem+json"
# Every other code is the request's own fault.
_STATUS = {
    "no_such_job": HTTPStatus.NOT_FOUND,
    "no_such_zip": HTTPStatus.NOT_FOUND,
    "no_such_upload": HTTPStatus.NOT_FOUND,
    "no_such_route": HTTPStatus.NOT_FOUND,
    "no_such_link": HTTPStatus.NOT_FOUND,
    "share_expired": HTTPStatus.GONE,
    "no_result": HTTPStatus.CONFLICT,
    "too_many_links": HTTPStatus.CONFLICT,
    "is_batch": HTTPStatus.CONFLICT,
    "job_active": HTTPStatus.CONFLICT,
    "job_over": HTTPStatus.CONFLICT,
    "job_changed": HTTPStatus.CONFLICT,
    "has_results": HTTPStatus.CONFLICT,
    "already_done": HTTPStatus.CONFLICT,
    "rejected": HTTPStatus.CONFLICT,
    "no_artifacts": HTTPStatus.CONFLICT,
    "too_many_runs": HTTPStatus.CONFLICT,
    "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "fault": HTTPStatus.INTERNAL_SERVER_ERROR,
}
NO_ROUTE = UserError("no_such_route", "There is nothing at this address.", "Check the job's id in it.")
FAULT = UserError("fault", "Something went wrong on our side.", "Try again; what failed is in the log.")


def status_of(refused: UserError) -> HTTPStatus:
    """The HTTP status that tells of `refused`."""
    return _STATUS.get(refused.code, HTTPStatus.BAD_REQUEST)


def problem(refused: UserError) -> dict[str, Any]:
    """The problem's JSON object. Its type is "about:blank": the code is what programs read."""
    status = status_of(refused)
    return {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": refused.message,
        "code": refused.code,
        "hint": refused.hint,
    }
