"""Tickets: what a WebSocket connection is let in by, once, within a minute.

A browser can't send a header with `new WebSocket(...)`, so what authorises the connection is in the query
string, which proxies and logs keep. A ticket is worth nothing there: it is spent by the connection itself.
The Tickets table holds only its SHA-256, so that who reads the table can't connect either.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import TYPE_CHECKING

from spaceport.callers import Caller

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

TICKET_LIFE_S = 60  # from the answer that holds it to the connection: one round trip, on a bad line
_TICKET_BYTES = 32  # 256 random bits: nobody guesses one


class Tickets:
    """The Tickets table. Its own expiry (TTL) comes late, by days; here the time decides."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def issue(self, caller: Caller, now: float | None = None) -> str:
        """A new ticket of `caller`: 43 characters that need no quoting in an address."""
        ticket = secrets.token_urlsafe(_TICKET_BYTES)
        expires = int((time.time() if now is None else now) + TICKET_LIFE_S)
        self._table.put_item(
            Item={
                "digest": _digest(ticket),
                "owner": caller.name,
                "admin": caller.is_admin,
                "expiresAt": expires,
            }
        )
        return ticket

    def redeem(self, ticket: str, now: float | None = None) -> Caller | None:
        """Who the ticket is of; None where it was spent, has expired or never was. It is spent after this."""
        try:
            spent = self._table.delete_item(
                Key={"digest": _digest(ticket)},
                ConditionExpression="expiresAt > :now",  # false of one that is not there, too
                ExpressionAttributeValues={":now": int(time.time() if now is None else now)},
                ReturnValues="ALL_OLD",
            )["Attributes"]
        except self._table.meta.client.exceptions.ConditionalCheckFailedException:
            return None
        return Caller(str(spent["owner"]), is_admin=bool(spent["admin"]))


def _digest(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()
