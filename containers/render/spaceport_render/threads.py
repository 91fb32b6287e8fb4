"""How many threads this process may run."""

from __future__ import annotations

import os


def available_cores() -> int:
    """The cores this process may run on: its affinity where the system has one, else all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
