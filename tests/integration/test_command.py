"""The command on a local cloud of its own that is down at first: what it leaves behind, however it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spaceport_local.cloud import LocalCloud

pytestmark = pytest.mark.engine

SPACEPORT = [sys.executable, "-m", "spaceport_cli"]


class Home:
    """A user's machine: a local cloud's data, a cache, and a folder to work in."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.data = folder / "data"
        self.work = folder / "work"
        self.work.mkdir()
        self.environment = {
            **os.environ,
            "SPACEPORT_HOME": str(self.data),
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


def cloud_with(stubs, home: Home) -> LocalCloud:
    """The home's cloud, with job programs that do little and can be held in a stage."""
    port = int(home.environment["SPACEPORT_PORT"])
    return LocalCloud(data_dir=home.data, port=port, options=stubs.options)


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


def test_a_reader_that_leaves_does_not_take_the_job_s_cloud_down(home: Home):
    # Given a run that has started the cloud, and a reader that has enough at the first line of its job
    running = home.start("run", "noise.zip", "--json")
    assert json.loads(running.stdout.readline())["jobName"] == "noise"
    running.stdout.close()
    # When the command writes the next one, then only the watching ends
    assert "the job goes on. The local cloud stays up for it" in running.stderr.read()
    running.wait(timeout=30)
    assert home.run("watch", "latest")[0] == 3


def test_a_job_is_stopped_looked_at_and_gone_on_with(home: Home, stubs):
    # Given a job that stays in its first stage
    cloud_with(stubs, home).up()
    stubs.hold("sfm")
    running = home.start("run", "noise.zip")
    for line in running.stdout:
        if "Extracting" in line:
            break
    code, out, _ = home.run("status")
    assert (code, "RUNNING  camera poses" in out) == (0, True)

    # When it is stopped, and once more
    assert home.run("stop", "latest")[0] == 0
    code, out, _ = home.run("stop", "latest")

    # Then it is stopped, whoever follows it learns so, and its state tells the way on
    assert code == 0
    assert "stopped before its first stage was done" in out
    running.communicate(timeout=30)
    assert running.returncode == 4
    code, out, _ = home.run("status", "latest")
    assert code == 0
    assert "STOPPED in camera poses" in out
    assert "spaceport retry job-" in out

    # When the same photos are sent again
    stubs.let_go()
    code, out, err = home.run("run", "noise.zip")

    # Then the same job goes on, as its log tells, and ends
    assert code == 0, err
    assert "was stopped in camera poses: going on from there" in out
    log = home.run("logs", "latest", "--follow")[1]
    assert " sfm  " in log
    assert " sfm#2  " in log
    assert " 3dgs#2  " in log
    assert home.run("stop", "latest")[0] == 1  # it is over
    assert home.run("doctor")[0] == 0


def test_an_example_input_starts_a_job_that_goes_on_after_the_cloud_went_down_under_it(home: Home, stubs):
    # Given a cloud whose job programs do little and wait in training, and a zip in its bucket
    cloud = cloud_with(stubs, home)
    cloud.up()
    stubs.hold("3dgs")
    bucket = cloud.outputs["UploadsBucket"]
    cloud.client("s3").upload_file(str(home.work / "noise.zip"), bucket, "by-hand.zip")

    # When an execution is started as the command says
    code, example, _ = home.run("example-input", "--s3-url", f"s3://{bucket}/by-hand.zip")
    cloud.client("stepfunctions").start_execution(
        stateMachineArn=cloud.outputs["StateMachineArn"], input=example
    )

    # Then it is a job that can be watched
    assert code == 0
    job_id = json.loads(example)["jobId"]
    watching = home.start("watch", job_id)
    for line in watching.stdout:
        if "Training" in line:
            break

    # When the cloud goes down, then the job is named
    code, out, _ = home.run("down")
    watching.kill()
    watching.communicate()
    assert code == 0
    assert f"`spaceport retry {job_id}` goes on with it" in out

    # And when it is up again, the job goes on where it was
    stubs.let_go()
    cloud.up()
    assert home.run("watch", job_id)[0] == 3  # it was interrupted
    code, out, err = home.run("retry", job_id, "--out", "result")
    assert code == 0, err
    assert "from training, run 2" in out
    assert (home.work / "result" / "model.sog").exists()
    jobs = [json.loads(line) for line in home.run("status", "--json")[1].splitlines()]
    assert "COMPLETED" in [job["status"] for job in jobs if job["jobId"] == job_id]
