"""How to talk to an engine: its address, and boto3 clients that ignore the user's own AWS settings."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote

import boto3
import botocore.session
from botocore.config import Config

HOST = "127.0.0.1"
REGION = "us-east-1"
CONNECTIONS = 64  # that a client keeps open: the engine's own serve as many jobs as run at once
ACCOUNT = "000000000000"  # MiniStack's account of any access key that is not itself an account number


@dataclass(frozen=True)
class Credentials:
    """What a client signs its calls with: by default those of the account itself, which may do everything."""

    key: str = ACCOUNT
    secret: str = "local"
    token: str | None = None


ADMINISTRATOR = Credentials()


@dataclass(frozen=True)
class Endpoint:
    """A running engine's address."""

    port: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def client(self, service: str, region: str = REGION, credentials: Credentials = ADMINISTRATOR) -> Any:
        """A boto3 client of `service`."""
        session: Any = _session()  # its typed stubs want each service's name as a literal
        return session.client(
            service,
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=credentials.key,
            aws_secret_access_key=credentials.secret,
            aws_session_token=credentials.token,
            config=Config(
                signature_version="s3v4" if service == "s3" else None,
                s3={"addressing_style": "path"},  # bucket names are not host names here
                proxies={},  # a proxy can't reach this machine's loopback
                retries={"mode": "standard", "max_attempts": 3},
                max_pool_connections=CONNECTIONS,
            ),
        )

    def websocket(self, api_id: str, stage: str) -> str:
        return f"ws://{HOST}:{self.port}/_aws/execute-api/{api_id}/{stage}"

    def api_url(self, api_id: str, stage: str) -> str:
        return f"{self.url}/_aws/execute-api/{api_id}/{stage}"

    def object_url(self, bucket: str, key: str) -> str:
        return f"{self.url}/{bucket}/{quote(key)}"


@cache
def _session() -> boto3.Session:
    # No profile and no files: an AWS_PROFILE that doesn't exist, or an endpoint_url in ~/.aws/config,
    # must not break or redirect calls to this machine.
    nowhere = (None, None, os.devnull, None)
    own = botocore.session.Session(
        session_vars={
            "profile": (None, None, None, None),
            "config_file": nowhere,
            "credentials_file": nowhere,
        }
    )
    return boto3.Session(botocore_session=own)
