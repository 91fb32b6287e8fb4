"""The HTTP API as the command calls it: signed in as the stack's operator.

The operator's password is a secret of the stack, so whoever may read that secret and has the right to sign
users in needs nothing else. On AWS the account gets that password with the first sign-in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from http import HTTPStatus
from typing import Any

import urllib3
from botocore.exceptions import BotoCoreError, ClientError

from spaceport.errors import UserError
from spaceport.job import OPERATOR
from spaceport.operator_account import make_ready
from spaceport_cli.clouds import Cloud, operator_password, output
from spaceport_cli.proxies import proxy_for

TIMEOUT = urllib3.Timeout(connect=10, read=35)  # API Gateway itself gives up after 30 s
# What could not be sent is sent again; an answer that was lost is asked for again by GET only.
RETRIES = urllib3.Retry(
    total=3,
    backoff_factor=0.3,
    allowed_methods=["GET"],
    status_forcelist=[429, 502, 503, 504],
    raise_on_status=False,
)


class UnavailableError(UserError):
    """The API can't serve this now: asked again in a while, it may."""


class ApiClient:
    """Calls the API of one cloud. Every method raises UserError with the API's own code, words and hint.

    Further codes: `no_access` where the caller may not sign in, `api_unreachable` where nobody answers,
    `api_refused` where the gateway before it does.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._token: str | None = None

    def get(self, path: str) -> dict[str, Any]:
        """The answer to `GET path`; the path begins with a slash and may hold a query."""
        return self._call("GET", path)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to `POST path`."""
        return self._call("POST", path, body)

    def delete(self, path: str) -> dict[str, Any]:
        """The answer to `DELETE path`."""
        return self._call("DELETE", path)

    def socket_address(self) -> str:
        """The WebSocket API's address with a new ticket in it: good for one connection, within a minute.

        Raises:
            ConnectionError: there is no ticket now; there may be one at another time.
            UserError: as every method, but for what may pass by itself.
        """
        try:
            ticket = self.post("/ws-ticket", {})["ticket"]
        except UnavailableError as error:
            raise ConnectionError(error.message) from error
        return f"{self._cloud.websocket_url()}?ticket={ticket}"

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        answer = self._ask(method, path, body)
        if answer.status == HTTPStatus.UNAUTHORIZED:  # the token's hour is over
            self._token = None
            answer = self._ask(method, path, body)
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise _refusal(answer)
        told = _object_in(answer)
        if not told:  # as from the log-in page of a foreign network
            raise UserError(
                "api_unreachable",
                f"The API answered {answer.status} with something that is not its own.",
                "Check what stands between this machine and the cloud, like a proxy, and try again.",
            )
        return told

    @cached_property
    def _http(self) -> urllib3.PoolManager:
        proxy = proxy_for(self._cloud.api_url())
        if proxy is None:
            return urllib3.PoolManager(timeout=TIMEOUT, retries=RETRIES)
        return urllib3.ProxyManager(proxy, timeout=TIMEOUT, retries=RETRIES)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> urllib3.BaseHTTPResponse:
        self._token = self._token or sign_in(self._cloud)
        headers = {"Authorization": f"Bearer {self._token}"}
        try:
            return self._http.request(method, f"{self._cloud.api_url()}{path}", json=body, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise _unreachable(error) from error


def sign_in(cloud: Cloud) -> str:
    """A Cognito access token of the operator, good for an hour.

    Raises:
        UserError: `no_access`, `api_unreachable`.
    """
    try:
        return _Operator(cloud, operator_password(cloud)).sign_in()
    except ClientError as error:
        raise UserError(
            "no_access",
            f"The operator can't sign in: {error.response['Error']['Message']}",
            "It takes the rights cognito-idp:AdminInitiateAuth, AdminGetUser and AdminSetUserPassword"
            " on the stack's user pool, and the password that the stack's secret holds.",
        ) from error
    except (BotoCoreError, ConnectionError) as error:
        raise _unreachable(error) from error


class _Operator:
    """The operator's account in the stack's user pool."""

    def __init__(self, cloud: Cloud, password: str) -> None:
        self._cognito = cloud.client("cognito-idp")
        self._pool, self._client = output(cloud, "UserPoolId"), output(cloud, "UserPoolClientId")
        self._password = password

    def sign_in(self) -> str:
        """An access token. Raises botocore's ClientError where it is refused."""
        try:
            token = self._token()
        except self._cognito.exceptions.NotAuthorizedException:
            if not self._make_ready():
                raise
            token = self._token()
        if token is None and self._make_ready():  # the password is right, but a temporary one
            token = self._token()
        if token is None:
            raise UserError(
                "no_access",
                "Cognito asks the operator for more than a password.",
                "Turn multi-factor authentication off for this account; other users may have it.",
            )
        return token

    def _token(self) -> str | None:
        """An access token, or None where Cognito asks for more than the password."""
        answer = self._cognito.admin_initiate_auth(
            UserPoolId=self._pool,
            ClientId=self._client,
            AuthFlow="ADMIN_USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": OPERATOR, "PASSWORD": self._password},
        )
        token: str | None = answer.get("AuthenticationResult", {}).get("AccessToken")
        return token

    def _make_ready(self) -> bool:
        return make_ready(self._cognito, self._pool, self._password)


def _refusal(answer: urllib3.BaseHTTPResponse) -> UserError:
    """The problem that the API answered with (RFC 9457), or what its gateway said."""
    told = _object_in(answer)
    may_pass = (
        answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status == HTTPStatus.TOO_MANY_REQUESTS
    )
    kind = UnavailableError if may_pass else UserError
    if "code" in told:
        return kind(told["code"], told.get("detail", ""), told.get("hint", ""))
    said = told.get("message") or answer.reason or "without a reason"
    return kind("api_refused", f"The API answered {answer.status}: {said}.", "Try again in a moment.")


def _object_in(answer: urllib3.BaseHTTPResponse) -> dict[str, Any]:
    """The JSON object that was answered; empty where it is anything else."""
    try:
        told = json.loads(answer.data)
    except ValueError:
        told = None
    return told if isinstance(told, dict) else {}


def _unreachable(error: Exception) -> UnavailableError:
    return UnavailableError(
        "api_unreachable", f"The API can't be asked: {error}", "Check the network and try again."
    )
