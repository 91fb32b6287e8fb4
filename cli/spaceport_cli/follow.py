"""Following a job over the WebSocket until it ends, through lost connections.

A subscription is answered with a snapshot of the job's row, when there is a newer one than was seen, and then
with every change. So whatever was missed, subscribing again mends it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from spaceport.errors import UserError
from spaceport_cli.job_status import JobStatus, latest
from spaceport_cli.proxies import is_loopback

Note = Callable[[str], None]


@dataclass(frozen=True)
class Patience:
    """How long to wait for what, in seconds."""

    quiet: float = 60.0  # API Gateway drops a connection that was idle for 600 s
    answer: float = 15.0  # to a question of ours; longer means that the connection is dead
    unseen: float = 5.0  # between two questions for a row that is not there yet
    row: float = 120.0  # from the cloud's first answer until the row of a job must be there
    first_retry: float = 0.5
    longest_retry: float = 20.0
    give_up: float = 300.0  # without any connection


class NoSuchJobError(UserError):
    """The cloud has no row for the job."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            "no_such_job",
            f"The cloud knows no job {job_id}.",
            "Check the job's id, and --stack if it is on AWS.",
        )


async def follow(
    job_id: str,
    address: Callable[[], str],
    note: Note,
    patience: Patience | None = None,
    after_version: int = 0,
) -> AsyncGenerator[JobStatus, None]:
    """Each newer status of the job, the last one terminal.

    Args:
        address: makes the WebSocket's address; asked again for each connection, since a ticket is good for
            one. A ConnectionError of it is a lost connection.
        note: is told when the connection is lost and when it is back.
        after_version: only statuses later than this one count.

    Raises:
        NoSuchJobError: no row came in `patience.row` seconds after the first answer.
        UserError: `access_refused`, `connection_lost`, or what the cloud answered to the subscription.
    """
    patience = patience or Patience()
    view: JobStatus | None = None
    trouble = _Trouble(patience)
    while True:
        try:
            seen = after_version if view is None else view.version
            async with _subscribed(job_id, seen, address, patience) as subscription:
                row_due: float | None = None
                while view is None or not view.is_terminal:
                    message = await subscription.message(patience.unseen if view is None else patience.quiet)
                    if row_due is None:  # a function that starts cold takes a while to answer anything
                        row_due = time.monotonic() + patience.row
                    if trouble.ended():
                        note("The connection is back.")
                    newer = latest(view, message, job_id, after_version)
                    if newer is not None and newer is not view:
                        view = newer
                        subscription.seen_version = view.version
                        yield view
                    elif view is None and time.monotonic() >= row_due:
                        raise NoSuchJobError(job_id)
            return
        except (OSError, WebSocketException, TimeoutError) as error:
            reason = _reason(error)
            if _is_refusal(error) and trouble.refused():
                raise UserError(
                    "access_refused",
                    "The cloud refused two tickets that it had just given.",
                    "Deploy the stack again, or check that its two APIs belong together.",
                ) from error
            if trouble.began():
                note(f"The connection is lost ({reason}); trying again.")
            await asyncio.sleep(trouble.pause(job_id, reason))


async def first_status(
    job_id: str, address: Callable[[], str], note: Note, patience: Patience
) -> JobStatus | None:
    """The job's status as of now, or None where no row came in `patience.row` seconds after an answer."""
    try:
        async with aclosing(follow(job_id, address, note, patience)) as statuses:
            return await anext(statuses)
    except NoSuchJobError:
        return None


@asynccontextmanager
async def _subscribed(
    job_id: str, seen_version: int, address: Callable[[], str], patience: Patience
) -> AsyncGenerator[_Subscription, None]:
    """A new connection on which the subscription has been sent: only what is newer than seen is wanted."""
    url = await asyncio.to_thread(address)  # it asks AWS
    # The library's own keep-alive is off: ours asks the API behind the front door.
    proxy: Literal[True] | None = None if is_loopback(url) else True
    async with connect(
        url, open_timeout=patience.answer, close_timeout=2, ping_interval=None, proxy=proxy
    ) as socket:
        subscription = _Subscription(socket, job_id, seen_version, patience.answer)
        await subscription.begin()
        yield subscription


class _Subscription:
    """A subscription on one connection; when it is quiet it asks again: a ping that mends what was lost."""

    def __init__(self, socket: ClientConnection, job_id: str, seen_version: int, answer_s: float) -> None:
        self.seen_version = seen_version
        self._socket, self._job_id, self._answer_s = socket, job_id, answer_s
        self._answered = True

    async def begin(self) -> None:
        request = {"action": "subscribe", "jobId": self._job_id, "sinceVersion": self.seen_version}
        await self._socket.send(json.dumps(request))
        self._answered = False

    async def message(self, quiet_s: float) -> dict[str, Any]:
        """The next message.

        Raises:
            TimeoutError: the subscription was not answered.
            UserError: the cloud refused it.
        """
        while True:
            try:
                async with asyncio.timeout(quiet_s if self._answered else self._answer_s):
                    message = _parsed(await self._socket.recv())
            except TimeoutError:
                if not self._answered:
                    raise
                await self.begin()
                continue
            if message is None:
                continue
            self._answered = True
            if message["type"] == "error":
                raise _refusal(message)
            return message


def _parsed(text: str | bytes) -> dict[str, Any] | None:
    try:
        message = json.loads(text)
    except ValueError:
        return None
    # API Gateway's own error frames have no `type`: left unanswered, the subscription is tried again.
    return message if isinstance(message, dict) and "type" in message else None


def _refusal(message: dict[str, Any]) -> UserError:
    error = message.get("error") or {}
    return UserError(
        str(error.get("code", "refused")),
        str(error.get("message", "The cloud refused to tell of this job.")),
        str(error.get("hint", "")),
    )


def _reason(error: Exception) -> str:
    """Why there is no connection, in few words, without the address: that holds the ticket."""
    if isinstance(error, InvalidStatus):
        return f"HTTP {error.response.status_code}"
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, OSError):
        return error.strerror or "unreachable"
    return "closed by the cloud"


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, InvalidStatus) and error.response.status_code in {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
    }


class _Trouble:
    """The time since the connection broke: how long to pause before the next try, and when to give up."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._since: float | None = None
        self._told = False
        self._refusals = 0
        self._pause = patience.first_retry

    def began(self) -> bool:
        """Note a failure; whether it is time to tell the user: not of a blink that the first retry mends."""
        if self._since is None:
            self._since = time.monotonic()
            return False
        tell, self._told = not self._told, True
        return tell

    def refused(self) -> bool:
        """Note that a ticket was refused; whether it is the second: one may have grown old on the way."""
        self._refusals += 1
        return self._refusals > 1

    def ended(self) -> bool:
        """Note that messages come; whether the user was told of the trouble."""
        told = self._told
        self._since, self._told, self._pause = None, False, self._patience.first_retry
        self._refusals = 0
        return told

    def pause(self, job_id: str, reason: str) -> float:
        """Seconds until the next try. Raises UserError `connection_lost` when it has lasted too long."""
        if self._since is not None and time.monotonic() - self._since >= self._patience.give_up:
            raise UserError(
                "connection_lost",
                f"The cloud could not be reached for {self._patience.give_up:.0f} seconds ({reason}).",
                f"The job goes on without us: `spaceport watch {job_id}` comes back to it.",
            )
        pause, self._pause = self._pause, min(self._pause * 2, self._patience.longest_retry)
        return pause
