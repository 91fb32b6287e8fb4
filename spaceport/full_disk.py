"""A disk without room, which any write may find: told as what a user can mend, not as a fault of ours."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from spaceport.errors import UserError


@contextmanager
def full_disk_told(message: str, hint: str) -> Iterator[None]:
    """Raises UserError `disk_full` where a write in the block finds no room."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise UserError("disk_full", message, hint) from error
