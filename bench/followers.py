"""WebSocket clients that follow a job, and what became of the promises that ARCHITECTURE.md makes to them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate, pairwise
from typing import Any

from websockets.asyncio.client import ClientConnection

from spaceport.stages import TERMINAL, Status

LAST_WITHIN_S = 1.0  # of the last version, as ARCHITECTURE.md promises


@dataclass
class Seen:
    """What one client got of one job: (version, status, stage, seconds since the row's write) a message."""

    job_id: str
    messages: list[tuple[int, str, str, float]] = field(default_factory=list)

    def take(self, message: dict[str, Any]) -> None:
        written = datetime.fromisoformat(message["updatedAt"]).timestamp()
        self.messages.append((message["version"], message["status"], message["stage"], time.time() - written))

    @property
    def has_ended(self) -> bool:
        return bool(self.messages) and Status(self.messages[-1][1]) in TERMINAL

    @property
    def news(self) -> list[float]:
        """Seconds from each write to its message; the first may be a snapshot, which waited for nobody."""
        return [waited for *_, waited in self.messages[1:]]

    @property
    def changes(self) -> list[float]:
        """The same, of changes of stage and status only."""
        return [now[3] for last, now in pairwise(self.messages) if last[1:3] != now[1:3]]

    async def follow(self, socket: ClientConnection) -> None:
        """Take the job's messages until it has ended."""
        await socket.send(json.dumps({"action": "subscribe", "jobId": self.job_id}))
        while not self.has_ended:
            message = json.loads(await socket.recv())
            if message["type"] == "status":
                self.take(message)


@dataclass(frozen=True)
class Promises:
    """How often a promise was broken."""

    versions_fell: int  # messages whose version is below one that their client had already
    steps_lost: int  # clients that did not see a change of stage or status that another saw after their first
    ends_late: int  # clients that got the last version after a second
    ends_lost: int  # clients that never got it

    @property
    def kept(self) -> bool:
        return not (self.versions_fell or self.steps_lost or self.ends_late or self.ends_lost)


def promises(clients: Sequence[Seen]) -> Promises:
    """What became of the promises. That a version comes twice breaks none: one may be the snapshot's."""
    steps_of: dict[str, dict[tuple[str, str], int]] = {}  # the version at which each step was first seen
    last: dict[str, int] = {}
    for client in clients:
        steps = steps_of.setdefault(client.job_id, {})
        for version, status, stage, _ in client.messages:
            steps[status, stage] = min(version, steps.get((status, stage), version))
            last[client.job_id] = max(version, last.get(client.job_id, 0))
    fell = lost = late = gone = 0
    for client in clients:
        versions = [version for version, *_ in client.messages]
        fell += sum(
            version < highest for highest, version in zip(accumulate(versions, max), versions, strict=True)
        )
        steps = {step for step, at in steps_of[client.job_id].items() if versions and at >= versions[0]}
        lost += not steps <= {(status, stage) for _, status, stage, _ in client.messages}
        ends = [waited for version, _, _, waited in client.messages if version == last.get(client.job_id)]
        gone += not ends
        late += bool(ends) and ends[0] > LAST_WITHIN_S
    return Promises(fell, lost, late, gone)
