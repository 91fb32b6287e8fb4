"""How much memory is left to this program: in its container or on its machine, whichever has less."""

from __future__ import annotations

from pathlib import Path

import psutil

CGROUPS = Path("/sys/fs/cgroup")
# A cgroup's limit, what it uses, and the line of its memory.stat with the page cache that the kernel gives up
# before it kills anybody; of cgroup v2, then v1.
_CGROUP_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
)


def available_bytes(cgroups: Path = CGROUPS) -> int:
    """What this machine can still give without swapping, or this container, whichever is less."""
    machine = int(psutil.virtual_memory().available)
    container = _container_bytes(cgroups)
    return machine if container is None else min(machine, container)


def _container_bytes(cgroups: Path) -> int | None:
    """What the container that we are in can still give; None where it has no limit of its own.

    A container sees its own cgroup as the root of `cgroups`.
    """
    for limit_file, used_file, cache_line in _CGROUP_FILES:
        try:
            limit = (cgroups / limit_file).read_text().strip()
            used = int((cgroups / used_file).read_text())
            statistics = (cgroups / used_file).with_name("memory.stat").read_text()
        except (OSError, ValueError):
            continue
        if limit == "max":
            return None
        cache = dict(line.split() for line in statistics.splitlines()).get(cache_line, "0")
        return max(0, int(limit) - used + int(cache))
    return None
