"""Which commands use the local cloud now, so that none takes it down under another.

Every command that needs the cloud up shares a file lock meanwhile; the kernel frees it even after a crash.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


class Use:
    """One command's use of the local cloud."""

    def __init__(self, lock: IO[str]) -> None:
        self._lock = lock

    def is_only_one(self) -> bool:
        """Whether no other command uses the cloud. If so none can begin to before this use ends."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def in_use(folder: Path) -> Iterator[Use]:
    """Use the local cloud; waits while another command takes it down. The lock's file lies in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "local-cloud.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield Use(lock)
