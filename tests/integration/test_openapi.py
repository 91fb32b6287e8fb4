"""The HTTP API asked what its document allows and what it does not, by Schemathesis, on the local cloud."""

from __future__ import annotations

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

pytestmark = pytest.mark.engine
EXAMPLES = 5  # an operation, beside what its boundaries give (770 requests in all): half a minute
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
schema = schemathesis.openapi.from_dict(document())


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
