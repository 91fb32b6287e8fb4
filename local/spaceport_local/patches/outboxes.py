"""A WebSocket connection's outbox wakes its sender when there is something to send, and when it is over.

MiniStack's senders look twice a second whether their connections are still open: two hundred that follow
jobs take 4 % of a core for it, in the loop from which all answers come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from types import SimpleNamespace
from typing import Any

from ministack.services import apigateway

from spaceport_local.patches.seams import Seam

SEAMS = (Seam("services.apigateway:handle_websocket", "6d609b2db6a0"),)


def install() -> None:
    apigateway._ws_connections = _Connections(apigateway._ws_connections)
    # Its only wait with a limit is a sender's for its outbox.
    apigateway.asyncio = SimpleNamespace(**{**vars(asyncio), "wait_for": _wait_without_limit})


async def _wait_without_limit(something: Awaitable[Any], timeout: float) -> Any:
    return await something


class _Connections(dict[str, dict[str, Any]]):
    """MiniStack's open connections, by their ids. It adds each before the sender looks into its outbox."""

    def __setitem__(self, connection_id: str, connection: dict[str, Any]) -> None:
        outbox, closed = connection["outbox"], connection["close_event"]
        tell = closed.set

        def close() -> None:
            tell()
            outbox.put_nowait(None)  # ends the sender

        closed.set = close
        super().__setitem__(connection_id, connection)
