"""WebSocket authorizer: the ticket in the query string is spent, and says who connects.

API Gateway keeps no answer of a WebSocket API's authorizer, so a ticket that comes twice is asked for twice.
"""

from __future__ import annotations

from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from spaceport.environment import Environment
from spaceport.tickets import Tickets


class Settings(Environment):
    tickets_table: str


logger = Logger()
settings = Settings.read()
tickets = Tickets(boto3.resource("dynamodb").Table(settings.tickets_table))


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    ticket = (event.get("queryStringParameters") or {}).get("ticket") or ""
    caller = tickets.redeem(ticket)
    return {
        "principalId": caller.name if caller else "nobody",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Action": "execute-api:Invoke",
                    "Effect": "Allow" if caller else "Deny",
                    "Resource": event["methodArn"],
                }
            ],
        },
        "context": caller.context() if caller else {},
    }
