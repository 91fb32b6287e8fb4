"""A local cloud of the tests' own, with the product's template deployed, and clients for it."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

import pytest
import urllib3
from PIL import Image
from stub_programs import Stubs
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from spaceport.job import job_id_for
from spaceport_cli.api import ApiClient, sign_in
from spaceport_local.cloud import LocalCloud
from spaceport_local.deploy import STACK

ENDED = {"COMPLETED", "FAILED", "STOPPED", "REJECTED"}


@dataclass
class Follower:
    """A WebSocket client that follows one job and keeps every status that is news.

    A snapshot and the change that follows it may tell the same version, or come in the wrong order: as every
    client does, this one drops what is no newer than what it has.
    """

    socket: ClientConnection
    seen: list[dict[str, Any]] = field(default_factory=list)

    @property
    def version(self) -> int:
        return self.seen[-1]["version"] if self.seen else 0

    def until(self, done: Callable[[dict[str, Any]], bool], seconds: float) -> dict[str, Any]:
        """The first status for which `done` holds. Fails the test where none comes in time."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                message = json.loads(self.socket.recv(timeout=left))
            except (TimeoutError, ConnectionClosed):
                break
            if message["type"] == "status" and message["version"] > self.version:
                self.seen.append(message)
                if done(message):
                    return message
        pytest.fail(f"not seen within {seconds:.0f} s; last was {self.seen[-1] if self.seen else 'nothing'}")

    def until_ended(self, seconds: float) -> dict[str, Any]:
        return self.until(lambda s: s["status"] in ENDED, seconds)


@dataclass(frozen=True)
class Stack:
    """The deployed stack, with the few calls that the tests make on it."""

    cloud: LocalCloud

    @cached_property
    def api(self) -> ApiClient:
        """The HTTP API, as the operator calls it."""
        return ApiClient(self.cloud)

    def output(self, name: str) -> str:
        return self.cloud.outputs[name]

    def resource(self, logical_id: str) -> str:
        """The name of the resource that the template calls `logical_id`."""
        told = self.cloud.client("cloudformation").describe_stack_resource(
            StackName=STACK, LogicalResourceId=logical_id
        )
        name: str = told["StackResourceDetail"]["PhysicalResourceId"]
        return name

    def drop(self, zip_bytes: bytes, key: str, **request: Any) -> str:
        """Drop a zip; the id of its job."""
        put = self.cloud.client("s3").put_object(
            Bucket=self.output("UploadsBucket"),
            Key=key,
            Body=zip_bytes,
            Metadata={"spaceport": json.dumps(request)} if request else {},
        )
        return job_id_for(self.output("UploadsBucket"), key, put["VersionId"])

    def connect(self, ticket: str | None = None) -> ClientConnection:
        """A connection with that ticket, or with a new one of the operator's."""
        if ticket is None:
            return connect(self.api.socket_address())
        return connect(f"{self.cloud.websocket_url()}?{urlencode({'ticket': ticket})}")

    @contextmanager
    def follow(self, job_id: str) -> Iterator[Follower]:
        with self.connect() as socket:
            socket.send(json.dumps({"action": "subscribe", "jobId": job_id}))
            yield Follower(socket)

    def last_status(self, job_id: str, seconds: float) -> dict[str, Any]:
        """What a client that waits for the job's end sees last."""
        with self.follow(job_id) as follower:
            return follower.until_ended(seconds)

    def executions_of(self, job_id: str) -> list[dict[str, Any]]:
        listed = self.cloud.client("stepfunctions").list_executions(
            stateMachineArn=self.output("StateMachineArn")
        )
        return [dict(e) for e in listed["executions"] if e["name"].startswith(f"{job_id}-")]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    cloud = LocalCloud(data_dir=tmp_path_factory.mktemp("cloud"), enforce_iam=True)
    cloud.up()
    yield Stack(cloud)
    cloud.down()


@dataclass(frozen=True)
class User:
    """Someone with a token, or without."""

    address: str
    token: str | None

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        answer = urllib3.request(method, self.address + path, json=body, headers=headers)
        return answer.status, answer.json()

    def status_of(self, job_id: str) -> dict[str, Any]:
        status, told = self.ask("GET", f"/jobs/{job_id}")
        assert status == 200, told
        return told

    def until(self, job_id: str, holds: Callable[[dict[str, Any]], bool], seconds: float) -> dict[str, Any]:
        """The first status for which `holds` does; a job that is not there yet is waited for."""
        deadline = time.monotonic() + seconds
        while True:
            status, told = self.ask("GET", f"/jobs/{job_id}")
            if status == 200 and holds(told):
                return told
            assert time.monotonic() < deadline, told
            time.sleep(0.1)

    def until_ended(self, job_id: str, seconds: float = 30) -> dict[str, Any]:
        return self.until(job_id, lambda told: told["status"] in ENDED, seconds)


@pytest.fixture(scope="session")
def stack_of() -> type[Stack]:
    """Makes a stack of a cloud that the test deploys itself."""
    return Stack


@pytest.fixture(scope="module")
def user(stack: Stack) -> Callable[[str], User]:
    """`user("alice")`: a user whom an admin has made, signed in with her password."""
    cognito = stack.cloud.client("cognito-idp")

    def make(name: str) -> User:
        password = f"Long-enough-{name}-1"
        who = {"UserPoolId": stack.output("UserPoolId"), "Username": name}
        with suppress(cognito.exceptions.UsernameExistsException):  # of another module with this stack
            cognito.admin_create_user(**who, MessageAction="SUPPRESS")
        cognito.admin_set_user_password(**who, Password=password, Permanent=True)
        answer = cognito.initiate_auth(
            ClientId=stack.output("UserPoolClientId"),
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": name, "PASSWORD": password},
        )
        return User(stack.cloud.api_url(), answer["AuthenticationResult"]["AccessToken"])

    return make


@pytest.fixture(scope="module")
def alice(user: Callable[[str], User]) -> User:
    return user("alice")


@pytest.fixture(scope="module")
def bob(user: Callable[[str], User]) -> User:
    return user("bob")


@pytest.fixture(scope="module")
def operator(stack: Stack) -> User:
    return User(stack.cloud.api_url(), sign_in(stack.cloud))


@pytest.fixture(scope="module")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Stubs:
    return Stubs(tmp_path_factory.mktemp("stubs"))


@pytest.fixture(scope="session")
def photos_zip() -> bytes:
    """Photos that pass the gate, for stub programs."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for sigma in (40, 50, 60):
            body = io.BytesIO()
            Image.effect_noise((300, 300), sigma).convert("RGB").save(body, "JPEG")
            archive.writestr(f"photo_{sigma}.jpg", body.getvalue())
    return out.getvalue()


@pytest.fixture
def noise_zip() -> bytes:
    """Photos that are good files, but show nothing that could be matched: SfM runs a while and fails."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for i in range(4):
            body = io.BytesIO()
            Image.effect_noise((1600, 1200), 60 + 10 * i).convert("RGB").save(body, "JPEG")
            archive.writestr(f"noise_{i}.jpg", body.getvalue())
    return out.getvalue()
