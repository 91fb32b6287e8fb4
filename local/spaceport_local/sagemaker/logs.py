"""A job's output, line by line, in CloudWatch Logs while the job runs."""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

READ_BYTES = 65_536  # a pipe's buffer; far below the 1 MB that one PutLogEvents call takes
LINE_LIMIT_BYTES = 256_000  # CloudWatch Logs takes 256 KB an event
READER_WAIT_S = 5.0

logger = logging.getLogger(__name__)


class LogStream(AbstractContextManager["LogStream"]):
    """Reads a pipe's end to its end and sends each line on as soon as it is complete.

    While a batch is on its way more lines gather in the pipe, so the batches grow with the load and
    a quiet job's line is sent at once. A copy goes to `file`.
    """

    def __init__(self, logs: Any, group: str, stream: str, pipe: int, file: Path) -> None:
        self._logs = logs
        self._where = {"logGroupName": group, "logStreamName": stream}
        # The reader's own: of a number that its owner has closed it would read what is another's by then.
        self._pipe = os.dup(pipe)
        self._file = file
        self._thread = threading.Thread(target=self._run, name=f"log {stream}", daemon=True)

    def __enter__(self) -> LogStream:
        try:
            with suppress(self._logs.exceptions.ResourceAlreadyExistsException):
                self._logs.create_log_group(logGroupName=self._where["logGroupName"])
            self._logs.create_log_stream(**self._where)
        except BaseException:
            os.close(self._pipe)
            raise
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # A process that left the job's group may still hold the pipe: its lines are nobody's.
        self._thread.join(READER_WAIT_S)

    def _run(self) -> None:
        rest = b""
        with os.fdopen(self._pipe, "rb", buffering=0) as pipe, self._file.open("ab") as copy:
            while chunk := pipe.read(READ_BYTES):
                copy.write(chunk)
                copy.flush()
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > LINE_LIMIT_BYTES:
                    lines, rest = [*lines, rest], b""
                self._send(lines)
            self._send([rest])

    def _send(self, lines: list[bytes]) -> None:
        now = int(time.time() * 1000)
        events = [
            {"timestamp": now, "message": text}
            for line in lines
            if (text := line.decode(errors="replace").rstrip("\r"))
        ]
        if not events:
            return
        try:
            self._logs.put_log_events(**self._where, logEvents=events)
        except Exception:  # the pipe must be read on, or the program waits for ever to write its next line
            logger.exception("%d lines of %s are lost", len(events), self._where["logStreamName"])
