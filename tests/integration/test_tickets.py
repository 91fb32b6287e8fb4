"""Tickets and subscriptions on the local cloud: who is let in, how often, what they hear, in what order."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest
from boto3.dynamodb.types import TypeSerializer
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection

from spaceport.job import JobRecord, empty_stages, now_iso
from spaceport.jobs import item_of
from spaceport.stages import Status
from spaceport.tickets import TICKET_LIFE_S

pytestmark = pytest.mark.engine


@pytest.fixture
def let_in(stack) -> Iterator[Callable[[str], bool]]:
    """`let_in(ticket)`: whether a connection with it is made; it is closed at once."""

    statuses: list[int] = []

    def connects(ticket: str) -> bool:
        try:
            with stack.connect(ticket):
                return True
        except InvalidStatus as refusal:
            statuses.append(refusal.response.status_code)
            return False

    yield connects
    assert set(statuses) <= {401, 403}


@pytest.fixture
def item(stack) -> Callable[[str], dict[str, Any]]:
    """`item(ticket)`: where the table keeps it."""
    return lambda ticket: {
        "TableName": stack.resource("TicketsTable"),
        "Key": {"digest": {"S": sha256(ticket.encode()).hexdigest()}},
    }


def test_a_ticket_lets_in_once(stack, let_in):
    ticket = stack.api.post("/ws-ticket", {})["ticket"]
    assert [let_in(ticket) for _ in range(3)] == [True, False, False]


def test_of_many_at_once_with_one_ticket_one_gets_in(stack, let_in):
    ticket = stack.api.post("/ws-ticket", {})["ticket"]
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(let_in, [ticket] * 8)) == 1


def test_an_expired_ticket_lets_nobody_in(stack, let_in, item):
    # Given a ticket that the table's own expiry has not come to yet
    ticket = stack.api.post("/ws-ticket", {})["ticket"]
    dynamodb = stack.cloud.client("dynamodb")
    kept = dynamodb.get_item(**item(ticket))["Item"]
    assert 0 < int(kept["expiresAt"]["N"]) - time.time() <= TICKET_LIFE_S
    dynamodb.update_item(
        **item(ticket),
        UpdateExpression="SET expiresAt = :past",
        ExpressionAttributeValues={":past": {"N": str(int(time.time()) - 1)}},
    )
    # Then it is worth nothing
    assert not let_in(ticket)


def test_what_is_no_ticket_of_this_stack_lets_nobody_in(stack, let_in, item, operator):
    ticket = stack.api.post("/ws-ticket", {})["ticket"]
    digest = item(ticket)["Key"]["digest"]["S"]
    secret = stack.cloud.client("secretsmanager").get_secret_value(
        SecretId=stack.output("AccessTokenSecretArn")
    )
    for other in ("", "made-up", ticket[:-1], f"{ticket} ", digest, operator.token, secret["SecretString"]):
        assert not let_in(other), other
    assert let_in(ticket)


@pytest.fixture
def write(stack) -> Callable[..., None]:
    """`write(job_id, version=...)`: a row of Alice's in the table, which waits for nothing."""
    dynamodb, table = stack.cloud.client("dynamodb"), stack.output("JobsTable")

    def put(job_id: str, **fields: Any) -> None:
        now = now_iso()
        row = JobRecord(
            job_id=job_id,
            owner="alice",
            status=Status.COMPLETED,
            created_at=now,
            updated_at=now,
            stages=empty_stages(),
        ).model_copy(update=fields)
        item = {name: TypeSerializer().serialize(value) for name, value in item_of(row).items()}
        dynamodb.put_item(TableName=table, Item=item)

    return put


def test_a_connection_hears_of_its_owners_jobs_only(stack, alice, bob, operator, write):
    # Given three who follow a job of Alice's before it has a row
    job_id = f"job-{uuid4().hex[:20]}"
    with (
        stack.connect(alice.ask("POST", "/ws-ticket")[1]["ticket"]) as of_alice,
        stack.connect(bob.ask("POST", "/ws-ticket")[1]["ticket"]) as of_bob,
        stack.connect(operator.ask("POST", "/ws-ticket")[1]["ticket"]) as of_operator,
    ):
        for socket in (of_alice, of_bob, of_operator):
            socket.send(json.dumps({"action": "subscribe", "jobId": job_id}))
            told = json.loads(socket.recv(timeout=10))
            assert told == {"type": "subscribed", "jobId": job_id, "version": None}
        # When it gets one, which waits for nothing
        write(job_id)
        # Then Alice and the operator hear of it
        for socket in (of_alice, of_operator):
            assert json.loads(socket.recv(timeout=10))["jobId"] == job_id
        # And Bob hears nothing, and is told the same as of a job that there is not when he asks again
        of_bob.send(json.dumps({"action": "subscribe", "jobId": job_id}))
        assert json.loads(of_bob.recv(timeout=10)) == {
            "type": "subscribed",
            "jobId": job_id,
            "version": None,
        }


# ---- a snapshot, and the changes while it is on its way ----------------------------------------


@dataclass
class Snapshot:
    """What the table tells of the snapshot of a job's one follower."""

    dynamodb: Any
    table: str
    job_id: str

    @property
    def until(self) -> float:
        """It is on its way until then at the latest, seconds since 1970; 0: it was sent."""
        return float(self._follower["snapshotUntil"]["N"])

    @until.setter
    def until(self, seconds: float) -> None:
        self.dynamodb.update_item(
            TableName=self.table,
            Key={name: self._follower[name] for name in ("jobId", "connectionId")},
            UpdateExpression="SET snapshotUntil = :until",
            ExpressionAttributeValues={":until": {"N": str(seconds)}},
        )

    @property
    def _follower(self) -> dict[str, Any]:
        (follower,) = self.dynamodb.query(
            TableName=self.table,
            KeyConditionExpression="jobId = :job",
            ExpressionAttributeValues={":job": {"S": self.job_id}},
        )["Items"]
        return dict(follower)


@pytest.fixture
def followed(stack, write) -> Iterator[tuple[ClientConnection, Snapshot]]:
    """A connection that has its snapshot of a job's version 1, and what the table tells of it."""
    job_id = f"job-{uuid4().hex[:20]}"
    snapshot = Snapshot(stack.cloud.client("dynamodb"), stack.resource("ConnectionsTable"), job_id)
    write(job_id, version=1)
    with stack.connect() as socket:
        socket.send(json.dumps({"action": "subscribe", "jobId": job_id}))
        assert [json.loads(socket.recv(timeout=10))["version"] for _ in range(2)] == [1, 1]
        deadline = time.monotonic() + 10
        while snapshot.until > 0:  # the function notes that it was sent after it was
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield socket, snapshot


def test_an_update_waits_for_the_snapshot_that_is_on_its_way(followed, write):
    # Given a follower whose snapshot is on its way, for longer than this test may take
    socket, snapshot = followed
    snapshot.until = time.time() + 20
    # When the row changes
    write(snapshot.job_id, version=2)
    # Then the client hears of it after the snapshot was sent, and not before
    with pytest.raises(TimeoutError):
        socket.recv(timeout=1)
    snapshot.until = 0
    assert json.loads(socket.recv(timeout=10))["version"] == 2


def test_an_update_waits_no_longer_than_a_snapshot_may_take(followed, write):
    # Given a follower whose snapshot never comes: what should have sent it died
    socket, snapshot = followed
    until = snapshot.until = time.time() + 2
    # When the row changes
    write(snapshot.job_id, version=2)
    # Then it is told of it once the time is over
    assert json.loads(socket.recv(timeout=10))["version"] == 2
    assert time.time() >= until


def test_versions_only_rise_for_who_subscribes_while_a_job_changes(stack, write):
    # Given a job whose row changes all the time
    job_id, last = f"job-{uuid4().hex[:20]}", 40
    write(job_id, version=1)

    def change() -> None:
        for version in range(2, last + 1):
            write(job_id, version=version)

    with ThreadPoolExecutor(1) as writer, ExitStack() as connections:
        sockets = [connections.enter_context(stack.connect()) for _ in range(4)]
        changing = writer.submit(change)
        # When clients subscribe meanwhile
        for socket in sockets:
            socket.send(json.dumps({"action": "subscribe", "jobId": job_id}))
            time.sleep(0.02)
        # Then each hears of it from its snapshot to the last change, and never of an older one after a newer
        for socket in sockets:
            versions = [0]
            while versions[-1] < last:
                message = json.loads(socket.recv(timeout=20))
                versions += [message["version"]] if message["type"] == "status" else []
            assert versions == sorted(versions)
        changing.result()
