"""MiniStack's own WebSocket handler, with the outboxes that wake their senders."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from ministack.services import apigateway

from spaceport_local.patches import outboxes

WITHIN_S = 0.4  # MiniStack's own senders look every 0.5 s


class Client:
    """A client of a socket API without routes, connected to MiniStack."""

    def __init__(self) -> None:
        self.says: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.says.put_nowait({"type": "websocket.connect"})
        self.hears: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.served = asyncio.create_task(
            apigateway.handle_websocket({"path": "/prod"}, self.says.get, self.hears.put, "api")
        )

    async def heard(self) -> dict[str, Any]:
        return await asyncio.wait_for(self.hears.get(), WITHIN_S)

    async def post(self, method: str, body: bytes = b"") -> int:
        """What API Gateway answers to a call of @connections: its status."""
        (connection_id,) = apigateway._ws_connections
        answer = await apigateway.handle_connections_api(method, "api", "prod", connection_id, body, {})
        return int(answer[0])


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Client], Awaitable[None]]], None]:
    """Runs what it is given with a client that is connected."""
    monkeypatch.setattr(apigateway, "asyncio", apigateway.asyncio)  # both are put back at the end
    monkeypatch.setattr(apigateway, "_ws_connections", {})
    monkeypatch.setattr(apigateway, "_api_owner", lambda api: ("WEBSOCKET", "000000000000", "us-east-1"))
    outboxes.install()

    async def play(then: Callable[[Client], Awaitable[None]]) -> None:
        client = Client()
        assert (await client.heard())["type"] == "websocket.accept"
        await then(client)

    return lambda then: asyncio.run(play(then))


def test_what_is_posted_is_sent_in_order(connected):
    async def then(client: Client) -> None:
        assert [await client.post("POST", text) for text in (b"one", b"two")] == [200, 200]
        assert [(await client.heard())["text"] for _ in range(2)] == ["one", "two"]

    connected(then)


def test_a_quiet_connection_wakes_nobody(connected):
    async def then(client: Client) -> None:
        await asyncio.sleep(0)
        assert not asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]  # the timers

    connected(then)


def test_a_client_that_leaves_is_let_go_at_once(connected):
    async def then(client: Client) -> None:
        client.says.put_nowait({"type": "websocket.disconnect", "code": 1001})
        await asyncio.wait_for(client.served, WITHIN_S)
        assert not apigateway._ws_connections

    connected(then)


def test_a_connection_that_is_deleted_is_closed_at_once(connected):
    async def then(client: Client) -> None:
        assert await client.post("DELETE") == 204
        assert (await client.heard())["type"] == "websocket.close"
        await asyncio.wait_for(client.served, WITHIN_S)

    connected(then)
