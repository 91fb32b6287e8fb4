"""A client that follows one job through whatever happens, in a thread of its own."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from spaceport.errors import UserError
from spaceport.stages import TERMINAL, Status

ANSWER_WITHIN_S = 10.0  # of a subscription: a function that starts cold on a busy machine takes some
PAUSE_S = 0.3


class Watcher:
    """Connects, subscribes and reads; again from the last version seen whenever that ends.

    Attributes:
        seen: every status that is news, as a client shows it: with a higher version than the one before.
        subscriptions: how often it had to subscribe. What it saw is whole where that was once.
    """

    def __init__(self, job_id: str, address: Callable[[], str]) -> None:
        self.job_id = job_id
        self.seen: list[dict[str, Any]] = []
        self.subscriptions = 0
        self._address = address
        self._subscribed = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def version(self) -> int:
        return self.seen[-1]["version"] if self.seen else 0

    @property
    def has_seen_the_end(self) -> bool:
        return bool(self.seen) and Status(self.seen[-1]["status"]) in TERMINAL

    def wait_subscribed(self, seconds: float = 60) -> None:
        assert self._subscribed.wait(seconds), f"no subscription to {self.job_id}"

    def stop(self) -> None:
        self._over.set()
        self._thread.join(timeout=ANSWER_WITHIN_S)

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self._follow()
            except (
                WebSocketException,
                OSError,
                UserError,
                ValueError,
            ):  # the last of a frame of the gateway's own
                time.sleep(PAUSE_S)

    def _follow(self) -> None:
        with connect(self._address(), open_timeout=30) as socket:
            wish = {"action": "subscribe", "jobId": self.job_id, "sinceVersion": self.version}
            socket.send(json.dumps(wish))
            answered, asked = False, time.monotonic()
            while not self._over.is_set():
                try:
                    message = json.loads(socket.recv(timeout=0.5))
                except TimeoutError:
                    if not answered and time.monotonic() - asked > ANSWER_WITHIN_S:
                        raise
                    continue
                if "type" not in message:
                    raise ValueError(f"API Gateway's own: {message}")
                if message["type"] == "subscribed" and not answered:
                    answered = True
                    self.subscriptions += 1
                    self._subscribed.set()
                elif message["type"] == "status" and message["version"] > self.version:
                    self.seen.append(message)
