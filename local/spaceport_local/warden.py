"""The process that ends an engine's children when the engine ends: see `children.py`.

Run as a script, without site packages. Reads lines `+group` and `-group` until the pipe closes.
"""

import contextlib
import os
import signal
import sys


def main() -> None:
    groups: set[int] = set()
    for line in sys.stdin:
        sign, group = line[0], int(line[1:])
        if sign == "+":
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # already gone
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
