"""The command on a local cloud of its own that is down at first: what it leaves behind, however it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.engine

SPACEPORT = [sys.executable, "-m", "spaceport_cli"]


class Home:
    """A user's machine: a local cloud's data, a cache, and a folder to work in."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.work = folder / "work"
        self.work.mkdir()
        self.environment = {
            **os.environ,
            "SPACEPORT_HOME": str(folder / "data"),
            "SPACEPORT_PORT": str(port),
            "XDG_CACHE_HOME": str(folder / "cache"),
        }

    def start(self, *words: str) -> subprocess.Popen[str]:
        """The command, in a process group of its own as a shell would have it."""
        return subprocess.Popen(
            [*SPACEPORT, *words],
            cwd=self.work,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def run(self, *words: str) -> tuple[int, str, str]:
        """(exit code, output, errors) of the command."""
        started = self.start(*words)
        out, err = started.communicate(timeout=180)
        return started.returncode, out, err


@pytest.fixture
def home(tmp_path: Path, noise_zip: bytes) -> Iterator[Home]:
    made = Home(tmp_path)
    (made.work / "noise.zip").write_bytes(noise_zip)
    yield made
    made.run("down")


def test_a_failed_job_is_told_and_the_cloud_left_down_as_it_was(home: Home):
    code, out, err = home.run("run", "noise.zip")

    assert code == 3, err
    assert "starting it for this job" in out
    assert "Extracting features from uploaded images" in out
    assert "photos could be placed" in err
    assert "was not running" in home.run("down")[1]
    # And the job's end, told a moment before the cloud went down, is still known
    home.run("up")
    code, out, _ = home.run("watch", "latest", "--json")
    assert (code, out.count("\n")) == (3, 1)


def test_an_interrupted_watch_leaves_the_cloud_up_for_the_job(home: Home):
    # Given a run that has started the cloud and is watching its job
    running = home.start("run", "noise.zip")
    for line in running.stdout:
        if "Setting up" in line or "Extracting" in line:
            break
    # When the user presses Ctrl-C, which the terminal sends to every process of the command
    os.killpg(running.pid, signal.SIGINT)
    _, err = running.communicate(timeout=30)
    # Then only the watching ends, and the way back works
    assert running.returncode == 130
    assert "the job goes on. The local cloud stays up for it" in err
    code, _, err = home.run("watch", "latest")
    assert (code, "photos could be placed" in err) == (3, True)
    assert "is down" in home.run("down")[1]
