"""Whether the disk is full, which native code tells by crashes and hangs, and the error for it."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from spaceport.errors import UserError

# Work that failed for want of room leaves this much at most: what it could not complete it may have removed.
FULL_BYTES = 16 << 20


def is_full(folder: Path) -> bool:
    """Whether so little is left where `folder` is that what just failed may have failed by that."""
    return shutil.disk_usage(folder).free < FULL_BYTES


def disk_full(doing: str, folder: Path) -> UserError:
    """The error for a disk that was full while `doing`, told by the `folder` that it holds."""
    return UserError(
        "disk_full",
        f"The disk was full while {doing}.",
        f"Make room on the disk of {folder}, or send fewer photos.",
    )


@contextmanager
def full_disk_told(doing: Callable[[], str], folder: Path) -> Iterator[None]:
    """Raises `disk_full` where the block finds no room; `doing` and `folder` as there."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise disk_full(doing(), folder) from error
