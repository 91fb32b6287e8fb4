"""What the local cloud says of an engine that is there but out of order."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from spaceport.errors import UserError
from spaceport_local.cloud import LocalCloud
from spaceport_local.folders import DataFolder


class OutOfOrder(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(400)
        self.end_headers()
        self.wfile.write(b"<ErrorResponse><Error><Code>Broken</Code><Message>out of order</Message></Error>")
        self.wfile.write(b"</ErrorResponse>")

    def log_message(self, *_: object) -> None:
        return None


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[LocalCloud]:
    """The cloud of a process that holds the engine's lock and port, and refuses everything."""
    folder = DataFolder(tmp_path)
    with HTTPServer(("127.0.0.1", 0), OutOfOrder) as server, folder.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder.address.write_text(json.dumps({"pid": os.getpid(), "port": server.server_port}))
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield LocalCloud(tmp_path)
        server.shutdown()
        thread.join()


def test_an_engine_that_refuses_everything_is_told_in_words(broken: LocalCloud) -> None:
    with pytest.raises(UserError, match=r"can't be asked.*out of order") as error:
        broken.api_url()
    assert "spaceport down" in error.value.hint


def test_parameters_that_are_none_are_refused_before_anything_starts(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SPACEPORT_PARAMETERS", "MaxRunningJobs=1 two")
    with pytest.raises(UserError, match="'two'") as error:
        LocalCloud(tmp_path)
    assert "Name=value" in error.value.hint
