"""The HTTP API's OpenAPI document: `python -m spaceport.openapi > docs/openapi.json` writes it anew.

Made from the models that bodies are checked by and answers are promised by. Bodies are checked by
`spaceport.bodies`, not by Powertools: a body that is no text, or nested 50,000 deep, is a refusal there, too.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated, Any

from pydantic import BaseModel, StringConstraints, TypeAdapter
from pydantic.json_schema import models_json_schema

from spaceport.answers import (
    Deleted,
    Forgotten,
    GatewayMessage,
    JobEvents,
    JobPage,
    JobStatus,
    Limits,
    PartAddresses,
    Problem,
    Retried,
    SentParts,
    Shared,
    SharedResult,
    Started,
    Ticket,
    Unshared,
    UploadBegun,
    Uploaded,
)
from spaceport.bodies import (
    CompleteBody,
    EventsQuery,
    KeyQuery,
    ListQuery,
    NoBody,
    PartsBody,
    RetryBody,
    ShareBody,
    StartBody,
    StopBody,
    UploadBody,
)
from spaceport.job import JobId
from spaceport.links import TOKEN_PATTERN
from spaceport.problems import MEDIA_TYPE

JSON = "application/json"
OK, CREATED, ACCEPTED = HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED
BAD, NOT_FOUND, CONFLICT = HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT
GONE = HTTPStatus.GONE
TOO_LARGE = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
# What stands in a path's braces.
IN_PATH: dict[str, Any] = {
    "jobId": JobId,
    "uploadId": Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._~-]{1,256}$")],
    "token": Annotated[str, StringConstraints(pattern=TOKEN_PATTERN)],
}
# What any operation may be answered with, by the gateway before it or for what fails on our side.
ANYWHERE = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


@dataclass(frozen=True)
class Operation:
    """One route: what it is sent and what it answers.

    Attributes:
        answers: by status.
        refusals: the statuses of its own problems.
        is_open: it asks for no sign-in.
    """

    method: str
    path: str
    name: str
    summary: str
    answers: Mapping[HTTPStatus, type[BaseModel]]
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    refusals: tuple[HTTPStatus, ...] = field(default=())
    is_open: bool = False


OPERATIONS = (
    Operation(
        "post", "/start-job", "start_job", "Start the job of an uploaded zip, or its later steps once more",
        {ACCEPTED: Started}, StartBody, refusals=(BAD, NOT_FOUND, CONFLICT, TOO_LARGE),
    ),
    Operation(
        "post", "/stop-job", "stop_job", "Stop a job, however far it is",
        {OK: JobStatus, ACCEPTED: JobStatus}, StopBody, refusals=(BAD, NOT_FOUND, CONFLICT, TOO_LARGE),
    ),
    Operation(
        "get", "/jobs", "list_jobs", "The caller's jobs, newest first; all owners' for an admin",
        {OK: JobPage}, query=ListQuery, refusals=(BAD,),
    ),
    Operation("get", "/jobs/{jobId}", "get_job", "A job's status", {OK: JobStatus}, refusals=(NOT_FOUND,)),
    Operation(
        "post", "/jobs/{jobId}/retry", "retry_job", "Let a stopped or failed job go on where it was",
        {ACCEPTED: Retried}, RetryBody, refusals=(BAD, NOT_FOUND, CONFLICT, TOO_LARGE),
    ),
    Operation(
        "post", "/uploads", "begin_upload", "Begin to upload a zip in parts",
        {CREATED: UploadBegun}, UploadBody, refusals=(BAD, TOO_LARGE),
    ),
    Operation(
        "get", "/uploads/{uploadId}", "get_upload", "The parts that are there",
        {OK: SentParts}, query=KeyQuery, refusals=(BAD, NOT_FOUND),
    ),
    Operation(
        "post", "/uploads/{uploadId}/parts", "address_parts", "Where to PUT parts",
        {OK: PartAddresses}, PartsBody, refusals=(BAD, NOT_FOUND, TOO_LARGE),
    ),
    Operation(
        "post", "/uploads/{uploadId}/complete", "complete_upload", "Make one zip of the parts, and its job",
        {OK: Uploaded}, CompleteBody, refusals=(BAD, NOT_FOUND, TOO_LARGE),
    ),
    Operation(
        "delete", "/uploads/{uploadId}", "abort_upload", "Forget an unfinished upload",
        {OK: Forgotten}, query=KeyQuery, refusals=(BAD, NOT_FOUND),
    ),
    Operation(
        "get", "/jobs/{jobId}/events", "list_events", "What became of a job, change by change",
        {OK: JobEvents}, query=EventsQuery, refusals=(BAD, NOT_FOUND),
    ),
    Operation(
        "delete", "/jobs/{jobId}", "delete_job", "Delete an ended job, its zip and all that it has made",
        {ACCEPTED: Deleted}, refusals=(NOT_FOUND, CONFLICT),
    ),
    Operation(
        "post", "/jobs/{jobId}/share", "share_job", "Give a link to a job's result, which ends",
        {CREATED: Shared}, ShareBody, refusals=(BAD, NOT_FOUND, CONFLICT, TOO_LARGE),
    ),
    Operation(
        "delete", "/jobs/{jobId}/share", "unshare_job", "Take all links to a job's result back",
        {OK: Unshared}, refusals=(NOT_FOUND,),
    ),
    Operation(
        "get", "/shared/{token}", "get_shared", "What a link tells, and where it shows the result",
        {OK: SharedResult}, refusals=(NOT_FOUND, GONE), is_open=True,
    ),
    Operation(
        "post", "/ws-ticket", "give_ticket", "A ticket for a WebSocket connection",
        {OK: Ticket}, NoBody, refusals=(BAD, TOO_LARGE),
    ),
    Operation("get", "/limits", "get_limits", "What this stack takes", {OK: Limits}),
)  # fmt: skip


def document() -> dict[str, Any]:
    """The document, OpenAPI 3.1. It names no server: the stack's outputs tell the address."""
    bodies = {operation.body for operation in OPERATIONS if operation.body}
    answers = {model for operation in OPERATIONS for model in operation.answers.values()}
    references, schemas = models_json_schema(
        [(model, "validation") for model in _by_name(bodies)]
        + [(model, "serialization") for model in _by_name(answers | {Problem, GatewayMessage})],
        by_alias=True,
        ref_template="#/components/schemas/{model}",
    )
    schema_of: dict[type, Any] = {model: schema for (model, _), schema in references.items()}
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _described(operation, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Spaceport", "version": "1", "description": "Photos in, a 3D Gaussian Splat out."},
        "paths": paths,
        "security": [{"cognito": []}],
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"cognito": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _by_name(models: set[type[BaseModel]]) -> list[type[BaseModel]]:
    return sorted(models, key=lambda model: model.__name__)


def _described(operation: Operation, schema_of: Mapping[type, Any]) -> dict[str, Any]:
    def told(status: HTTPStatus, media: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
        return {
            "description": status.phrase,
            "content": {name: {"schema": schema_of[model]} for name, model in media.items()},
        }

    answers = {status: told(status, {JSON: model}) for status, model in operation.answers.items()}
    refusals = {
        status: told(status, {MEDIA_TYPE: Problem, JSON: GatewayMessage})
        for status in (*operation.refusals, *ANYWHERE)
        if not (operation.is_open and status == HTTPStatus.UNAUTHORIZED)
    }
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": _parameters(operation),
        "responses": {str(status.value): answer for status, answer in sorted((answers | refusals).items())},
    }
    if operation.is_open:
        described["security"] = []
    if operation.body is not None:
        is_needed = any(part.is_required() for part in operation.body.model_fields.values())
        content = {JSON: {"schema": schema_of[operation.body]}}
        described["requestBody"] = {"required": is_needed, "content": content}
    return described


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": TypeAdapter(kind).json_schema()}
        for name, kind in IN_PATH.items()
        if f"{{{name}}}" in operation.path
    ]
    if operation.query is None:
        return in_path
    schema = operation.query.model_json_schema()
    needed = {name: {"required": True} for name in schema.get("required", [])}
    return in_path + [
        {"name": name, "in": "query", **needed.get(name, {}), "schema": part}
        for name, part in schema["properties"].items()
    ]


if __name__ == "__main__":
    json.dump(document(), sys.stdout, indent=1)
    print()
