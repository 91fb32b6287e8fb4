"""Tickets on the local cloud: which lets somebody in, and how often."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

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
