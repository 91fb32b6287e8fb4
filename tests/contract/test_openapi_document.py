"""The API's document is that of the handler's routes, and of the models that check and promise."""

from __future__ import annotations

import ast
import json
import re
from http import HTTPStatus
from pathlib import Path

from spaceport import answers
from spaceport.job import JobError, JobRecord, Outputs, empty_stages, now_iso
from spaceport.openapi import OPERATIONS, document
from spaceport.problems import _STATUS

ROOT = Path(__file__).resolve().parents[2]
HANDLERS = [
    ast.parse((ROOT / "functions" / name / "app.py").read_text())
    for name in ("serve_api", "share_results", "serve_shared")
]
FOR_BROWSERS = {("get", "/shared/{token}/.+")}  # the files behind a link, which programs don't call by hand
METHODS = {"app.get", "app.post", "app.delete"}


def test_the_document_is_current():
    written = json.loads((ROOT / "docs" / "openapi.json").read_text())
    assert written == document(), "write it anew: python -m spaceport.openapi > docs/openapi.json"


def routes() -> dict[tuple[str, str], ast.FunctionDef]:
    """(method, path as OpenAPI writes it) → the handlers' function."""
    found = {}
    nodes = [node for handler in HANDLERS for node in handler.body]
    for function in (node for node in nodes if isinstance(node, ast.FunctionDef)):
        for decorator in function.decorator_list:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) in METHODS:
                path = ast.literal_eval(decorator.args[0])
                path = re.sub(r"<(\w+)_id>", r"{\1Id}", path).replace("<token>", "{token}")
                found[decorator.func.attr, path] = function
    return {route: function for route, function in found.items() if route not in FOR_BROWSERS}


def test_it_has_every_route_of_the_handlers_under_its_name():
    named = {(operation.method, operation.path): operation.name for operation in OPERATIONS}
    assert named == {route: function.name for route, function in routes().items()}


def test_it_promises_the_models_that_bodies_and_queries_are_checked_by():
    for operation in OPERATIONS:
        function = routes()[operation.method, operation.path]
        checked = {
            (node.func.id, ast.unparse(node.args[0]))
            for node in ast.walk(function)
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"parse_body", "parse_fields"}
        }
        promised = {
            (by, model.__name__)
            for by, model in (("parse_body", operation.body), ("parse_fields", operation.query))
            if model
        }
        assert checked == promised, operation.path


def test_a_status_is_what_the_document_says_in_every_field():
    row = JobRecord(
        job_id="job-1",
        created_at=now_iso(),
        updated_at=now_iso(),
        stages=empty_stages(),
        error=JobError(code="x", message="y"),
        outputs=Outputs(),
    )
    view = row.status_view()
    assert answers.JobStatus.model_validate(view).told() == view


def test_every_status_that_a_refusal_has_is_told_of_by_some_operation():
    told = {status for operation in OPERATIONS for status in operation.refusals}
    assert set(_STATUS.values()) - {HTTPStatus.INTERNAL_SERVER_ERROR} <= told
