"""The HTTP API asked what its document allows and what it does not, by Schemathesis, on the local cloud."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from spaceport.openapi import document
from spaceport.tuning import TuningRequest

pytestmark = pytest.mark.engine
EXAMPLES = 5  # an operation, beside what its boundaries give
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
# A job's settings are one model in three bodies, and nearly all boundaries that there are. They are tried in
# start-job's; the other two have these, one of each kind: 1,227 requests, of 2,159 with all of them thrice.
FEW_SETTINGS = ("preset", "max_iterations", "dropout", "formats", "jobName", "email", "pipelineStep")


def explored() -> dict[str, Any]:
    """The document, less what would be explored more than once."""
    told = document()
    schemas = told["components"]["schemas"]
    few = {name: asked for name, asked in schemas["JobRequest"]["properties"].items() if name in FEW_SETTINGS}
    assert len(few) == len(FEW_SETTINGS)
    schemas["JobRequest"]["properties"] = few
    schemas["RetryBody"]["properties"]["tuning"] = {
        **schemas["TuningRequest"],
        "properties": {name: asked for name, asked in few.items() if name in TuningRequest.model_fields},
    }
    return told


schema = schemathesis.openapi.from_dict(explored())


@schema.parametrize()
@hypothesis.settings(
    max_examples=EXAMPLES,
    derandomize=True,  # CI must not fail by luck; the fuzzing is for whoever runs it with other examples
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_no_request_breaks_the_api_and_every_answer_is_what_is_promised(stack, alice, case):
    case.call_and_validate(
        base_url=stack.cloud.api_url(), headers={"Authorization": f"Bearer {alice.token}"}, checks=CHECKS
    )
