"""Custom resource: SageMaker's two log groups exist, so that a subscription filter can be put on them.

The groups belong to the account, not to this stack: what is missing is created, nothing is ever deleted
and no retention is changed.
"""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
logs = boto3.client("logs")


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    status, reason = "SUCCESS", ""
    try:
        if event["RequestType"] != "Delete":
            for name in event["ResourceProperties"]["LogGroupNames"]:
                ensure(name)
    except Exception as error:  # CloudFormation waits an hour for an answer: it must get one whatever happens
        logger.exception("log groups")
        status, reason = "FAILED", f"{type(error).__name__}: {error}"
    respond(event, status, reason)


def ensure(name: str) -> None:
    try:
        logs.create_log_group(logGroupName=name)
    except logs.exceptions.ResourceAlreadyExistsException:
        logger.info("log group is there", group=name)


def respond(event: dict[str, Any], status: str, reason: str) -> None:
    """Tell CloudFormation, by a PUT to the URL it gave."""
    body = {
        "Status": status,
        "Reason": reason,
        "PhysicalResourceId": event.get("PhysicalResourceId", "sagemaker-log-groups"),
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    request = urllib.request.Request(
        event["ResponseURL"], json.dumps(body).encode(), {"Content-Type": ""}, method="PUT"
    )
    with urllib.request.urlopen(request, timeout=30):
        pass
