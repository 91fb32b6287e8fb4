"""What `docker run` does, by `unshare` and `chroot`: processes and mounts of their own, no network."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

# Root needs no user namespace; anybody else is root in one of their own.
AS_ROOT = () if os.geteuid() == 0 else ("--user", "--map-root-user")
# Killed with the test that started it; its first process has the number 1, and no network has it but itself.
UNSHARE = ("unshare", *AS_ROOT, "--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child=KILL")
DEVICES = ("null", "zero", "full", "random", "urandom")

# $1: the root; then pairs SOURCE TARGET up to `--`, then the command. All by exec: it stays process 1.
# A bind mount takes `ro` in a second step only.
_ENTER = r"""
set -eu
root=$1; shift
while [ "$1" != -- ]; do
    case $1 in
        *:ro) mount --bind "${1%:ro}" "$root$2"; mount -o remount,bind,ro "$root$2" ;;
        *) mount --bind "$1" "$root$2" ;;
    esac
    shift 2
done
shift
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev/shm"
exec chroot "$root" /usr/bin/env -i "$@"
"""


@dataclass(frozen=True)
class Mount:
    """`source` of this machine is `target` in the container, where it can't be written unless `writable`."""

    source: Path
    target: str
    writable: bool = False

    @property
    def words(self) -> tuple[str, str]:
        return f"{self.source}{'' if self.writable else ':ro'}", self.target


def unavailable() -> str | None:
    """Why no container can be made here, or None."""
    if shutil.which("unshare") is None:
        return "there is no unshare (of util-linux)"
    done = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"unshare is not allowed here: {done.stderr.strip()}"


class Container:
    """A running program that is process 1 of namespaces of its own. A context manager: at the end it is gone.

    Args:
        root: the folder that becomes `/`.
        command: an absolute path or a name to be found on `environment`'s PATH, and its arguments.
        log: where standard error goes; standard output is `lines`.
    """

    def __init__(
        self,
        root: Path,
        mounts: Sequence[Mount],
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: str,
        log: Path,
    ) -> None:
        for mount in mounts:
            _make_place(mount.source, root / mount.target.lstrip("/"))
        words = [word for mount in mounts for word in mount.words]
        variables = [f"{name}={value}" for name, value in environment.items()]
        entered = [*UNSHARE, "sh", "-c", _ENTER, "enter", str(root), *words]
        self._log = log
        with log.open("wb") as errors:
            self._unshare = subprocess.Popen(
                [*entered, "--", f"--chdir={folder}", *variables, *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    @property
    def lines(self) -> IO[str]:
        """What it prints."""
        assert self._unshare.stdout is not None
        return self._unshare.stdout

    @property
    def errors(self) -> str:
        return self._log.read_text(errors="replace")

    def terminate(self) -> None:
        """SIGTERM to process 1, as `docker stop` begins."""
        os.kill(_children(self._unshare.pid)[0], signal.SIGTERM)

    def wait_for_program(self, init: str) -> None:
        """Until process 1 is `init`, and has started the program."""
        while not any(_name(first) == init and _children(first) for first in _children(self._unshare.pid)):
            assert self._unshare.poll() is None, self.errors
            time.sleep(0.005)

    def ended(self, within_s: float) -> int:
        """Its exit code, of Docker's kind: 128 + signal. Raises TimeoutExpired."""
        deadline = time.monotonic() + within_s
        self._unshare.communicate(timeout=max(0.0, deadline - time.monotonic()))
        code = self._unshare.returncode
        return code if code >= 0 else 128 - code

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_: object) -> None:
        self._unshare.kill()
        self._unshare.wait()


def _children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def _name(process: int) -> str:
    return Path(f"/proc/{process}/comm").read_text().strip()


def _make_place(source: Path, target: Path) -> None:
    """What a mount goes over must be there."""
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
