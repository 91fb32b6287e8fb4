"""How much memory processes hold, beside what is left to them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from spaceport_render.memory import available_bytes

# Left for the rest of the machine: enough to act within a second of a process that takes 2 GB a second.
SPARE_SHARE = 0.1
SPARE_BYTES = 2 << 30


@dataclass(frozen=True)
class MemoryState:
    """Bytes that some processes hold, and that are available beside them."""

    held: int
    available: int

    def is_nearly_out(self) -> bool:
        """Whether these processes hold nearly all that there is for them.

        False where memory is short because of others: stopping these would not help.
        """
        return self.available < min(SPARE_SHARE * (self.held + self.available), SPARE_BYTES)


def memory_state(processes: Iterable[psutil.Process]) -> MemoryState:
    """The memory of `processes`, without the files that they map (the kernel takes those pages back)."""
    held = 0
    for process in processes:
        try:
            memory = process.memory_info()
        except psutil.Error:  # it has ended meanwhile
            continue
        held += memory.rss - getattr(memory, "shared", 0)
    return MemoryState(held, available_bytes())
