"""WebSocket authorizer: the token in the query string must be the stack's own secret.

Whoever holds it is the operator and sees every job. Cognito users come with the HTTP API.
"""

from __future__ import annotations

import hmac
import json
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from spaceport.environment import Environment
from spaceport.job import OPERATOR


class Settings(Environment):
    access_token_secret_arn: str


logger = Logger()
settings = Settings.read()
secrets = boto3.client("secretsmanager")


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    token = (event.get("queryStringParameters") or {}).get("token") or ""
    allowed = hmac.compare_digest(token.encode(), access_token().encode())
    return {
        "principalId": OPERATOR if allowed else "nobody",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Action": "execute-api:Invoke",
                    "Effect": "Allow" if allowed else "Deny",
                    "Resource": event["methodArn"],
                }
            ],
        },
        "context": {"owner": OPERATOR} if allowed else {},
    }


@cache
def access_token() -> str:
    """The stack's token; read once a worker, so that a connection costs no call."""
    secret = secrets.get_secret_value(SecretId=settings.access_token_secret_arn)["SecretString"]
    token: str = json.loads(secret)["token"]
    return token
