"""Tickets on the local cloud: which lets somebody in, how often, and what they hear then."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest
from boto3.dynamodb.types import TypeSerializer
from websockets.exceptions import InvalidStatus

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


def test_a_connection_hears_of_its_owners_jobs_only(stack, alice, bob, operator):
    # Given three who follow a job of Alice's before it has a row
    job_id, now = f"job-{uuid4().hex[:20]}", now_iso()
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
        row = JobRecord(
            job_id=job_id,
            owner="alice",
            status=Status.COMPLETED,
            created_at=now,
            updated_at=now,
            stages=empty_stages(),
        )
        stack.cloud.client("dynamodb").put_item(
            TableName=stack.output("JobsTable"),
            Item={name: TypeSerializer().serialize(value) for name, value in item_of(row).items()},
        )
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
