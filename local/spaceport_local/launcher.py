"""Start, find and stop the engine process of a data folder."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spaceport.errors import ErrorText, UserError
from spaceport_local.endpoint import Endpoint
from spaceport_local.folders import DataFolder

START_TIMEOUT_S = 60.0  # it takes 1 s; a loaded two-core CI machine was seen to take 10
STOP_TIMEOUT_S = 20.0
POLL_S = 0.05
LOG_LIMIT_BYTES = 10_000_000  # a longer log of earlier runs is put aside
LOG_TAIL_LINES = 5


@dataclass(frozen=True)
class Launcher:
    """Starts and stops the engine of one data folder. `options` are further command-line arguments."""

    folder: DataFolder
    project: Path
    port: int | None = None
    options: Sequence[str] = ()

    def running(self) -> Endpoint | None:
        """The address of the running engine, or None.

        The lock tells whether one runs: an address file may be left over from an engine that was killed,
        and its port may belong to another engine by now.
        """
        if not self._locked():
            return None
        port = self._address().get("port")
        return None if port is None else Endpoint(port)  # None: it is just starting or stopping

    def enforces_iam(self) -> bool:
        """Whether the running engine lets roles do only what their policies allow."""
        return bool(self._address().get("enforceIam"))

    def start(self) -> Endpoint:
        """Start an engine and wait until it serves. An engine that already runs is left as it is.

        Raises:
            UserError: what the engine itself refuses (`port_in_use`, `wrong_engine_version`),
                or `engine_failed` with the end of its log.
        """
        if (endpoint := self.running()) is not None:
            return endpoint
        self.folder.root.mkdir(parents=True, exist_ok=True)
        self.folder.refusal.unlink(missing_ok=True)
        process = self._spawn()
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            # Where somebody else's engine of this data was quicker, that one is waited for.
            if process.poll() is not None and not self._locked():
                raise self._why_it_failed(f"It ended with exit code {process.returncode}.")
            endpoint = self.running()
            if endpoint is not None and _healthy(endpoint):
                return endpoint
            time.sleep(POLL_S)
        process.kill()
        process.wait()
        raise self._why_it_failed(f"It did not answer within {START_TIMEOUT_S:.0f} s.")

    def stop(self) -> bool:
        """Stop the engine and every job of it; return whether one ran.

        Raises:
            UserError: `engine_hidden`, where it never told its process id, or somebody deleted its file.
        """
        if not self._locked():
            return False
        asked: set[int] = set()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while self._locked():
            # Read again each time: one that is just starting has not told its process id yet.
            pid = self._pid()
            if pid is not None and pid not in asked:
                _signal(pid, signal.SIGTERM)
                asked.add(pid)
            elif time.monotonic() > deadline:
                if pid is None:
                    raise UserError(
                        "engine_hidden",
                        f"An engine runs with the data in {self.folder.root}; nothing tells which process.",
                        f"End the process `python -m spaceport_local --data-dir {self.folder.root}`.",
                    )
                _signal(pid, signal.SIGKILL)  # its warden ends the children
                break
            time.sleep(POLL_S)
        return True

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "spaceport_local"]
        command += ["--data-dir", str(self.folder.root), "--project", str(self.project)]
        if self.port is not None:
            command += ["--port", str(self.port)]
        command += self.options
        if self.folder.log.exists() and self.folder.log.stat().st_size > LOG_LIMIT_BYTES:
            self.folder.log.replace(self.folder.log.with_suffix(".log.1"))
        with self.folder.log.open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # it outlives this command, and leads the group of its workers
                cwd=self.folder.root,  # `-m` puts the working folder on the path: not the user's
            )

    def _locked(self) -> bool:
        try:
            with self.folder.lock.open("r") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def _pid(self) -> int | None:
        pid: int | None = self._address().get("pid")
        return pid

    def _address(self) -> dict[str, Any]:
        """What the running engine tells of itself; empty while it starts or stops."""
        try:
            address: dict[str, Any] = json.loads(self.folder.address.read_text())
        except (OSError, ValueError):
            return {}
        return address

    def _why_it_failed(self, how: str) -> UserError:
        try:
            refusal = ErrorText(**json.loads(self.folder.refusal.read_text()))
            return UserError(refusal.code, refusal.message, refusal.hint)
        except (OSError, ValueError, TypeError):
            tail = self.folder.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
            return UserError(
                "engine_failed",
                f"The local cloud's engine did not start. {how}",
                f"Its log is {self.folder.log}; it ends with:\n" + "\n".join(tail),
            )


def _healthy(endpoint: Endpoint) -> bool:
    # urllib would ask a proxy of the environment, which can't reach our loopback
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{endpoint.url}/_ministack/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
