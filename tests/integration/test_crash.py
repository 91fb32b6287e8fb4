"""kill -9 of the local cloud: nothing that anybody was told is lost, and what was interrupted can go on."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
from botocore.exceptions import BotoCoreError, ClientError
from injection import Faults, start_faulty_cloud
from soundness import assert_sound

from spaceport.errors import UserError
from spaceport.job import JobRecord
from spaceport.jobs import record_from_image
from spaceport.stages import Status
from spaceport_cli.api import ApiClient
from spaceport_local.cloud import LocalCloud

pytestmark = pytest.mark.engine
T = TypeVar("T")


@dataclass(frozen=True)
class Crashing:
    """A stack of stub programs whose engine can be killed."""

    stack: Any
    stubs: Any
    folder: Path
    faults: Faults  # there are none: what keeps the changes of rows

    def kill(self) -> None:
        """End the engine as nothing can prepare for; its job programs and Lambda workers end with it."""
        kill(self.folder)

    def up(self) -> None:
        start_faulty_cloud(self.folder, self.faults, self.stubs.options)

    def assert_sound(self, job_id: str) -> None:
        assert_sound(self.stack, job_id, self.faults)

    def row(self, job_id: str) -> JobRecord | None:
        found = self.stack.cloud.client("dynamodb").get_item(
            TableName=self.stack.output("JobsTable"), Key={"jobId": {"S": job_id}}, ConsistentRead=True
        )
        return record_from_image(found["Item"]) if "Item" in found else None

    def ended(self, job_id: str, run: int = 1) -> JobRecord:
        """The row, once this run of the job has ended."""

        def row_of_run() -> JobRecord | None:
            row = self.row(job_id)
            return row if row is not None and row.run == run and row.is_terminal else None

        return until(row_of_run, seconds=60)

    def retry(self, job_id: str) -> JobRecord:
        """The row after the job's second run."""
        ApiClient(self.stack.cloud).post(f"/jobs/{job_id}/retry", {})
        return self.ended(job_id, run=2)

    def keys(self, job_id: str) -> set[str]:
        listed = self.stack.cloud.client("s3").list_objects_v2(
            Bucket=self.stack.output("DataBucket"), Prefix=f"jobs/{job_id}/"
        )
        return {found["Key"].removeprefix(f"jobs/{job_id}/") for found in listed.get("Contents", [])}

    def sog(self, row: JobRecord) -> str:
        """What the job delivered: the stub writes the name of the compression job."""
        assert row.outputs is not None
        bucket, key = row.outputs.sog.removeprefix("s3://").split("/", 1)
        body: bytes = self.stack.cloud.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return body.decode()


def kill(folder: Path) -> None:
    pid = json.loads((folder / "engine.json").read_text())["pid"]
    with psutil.Process(pid).oneshot():
        children = psutil.Process(pid).children(recursive=True)
    os.kill(pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def until(test: Callable[[], T], seconds: float = 30) -> T:
    """What `test` gives as soon as that is true."""
    deadline = time.monotonic() + seconds
    while not (answer := test()):
        assert time.monotonic() < deadline, f"did not come true within {seconds:.0f} s"
        time.sleep(0.02)
    return answer


@pytest.fixture(scope="module")
def crashing(tmp_path_factory: pytest.TempPathFactory, stack_of, stubs) -> Iterator[Crashing]:
    folder, faults = tmp_path_factory.mktemp("crashing"), Faults(tmp_path_factory.mktemp("faults"))
    cloud = start_faulty_cloud(folder, faults, stubs.options)
    yield Crashing(stack_of(cloud), stubs, folder, faults)
    cloud.down()


@pytest.mark.parametrize(
    ("stage", "again"),
    [
        ("sfm", [("sfm-2-0", "nothing"), ("3dgs-2-0", "nothing"), ("sog-2-0", "nothing")]),
        # Training gets back what its interrupted run had saved.
        ("3dgs", [("3dgs-2-0", "700"), ("sog-2-0", "nothing")]),
        ("compression", [("sog-2-0", "nothing")]),
    ],
)
def test_a_job_that_a_kill_interrupts_says_so_and_goes_on_from_there(crashing, photos_zip, stage, again):
    # Given a job in the middle of a stage
    crashing.stubs.hold(stage)
    job_id = crashing.stack.drop(photos_zip, f"uploads/operator/{stage}.zip")
    until(lambda: (row := crashing.row(job_id)) and row.stages[stage].progress == 0.5)
    if stage == "3dgs":
        until(lambda: "checkpoints/iteration.txt" in crashing.keys(job_id))
    before = crashing.stubs.begun(job_id)
    # When the cloud is killed and started again
    crashing.kill()
    crashing.up()
    # Then the job has failed, in words, and so has its execution
    row = crashing.ended(job_id)
    assert (row.status, row.error.code) == (Status.FAILED, "interrupted")
    assert "retry" in row.error.hint
    assert [execution["status"] for execution in crashing.stack.executions_of(job_id)] == ["FAILED"]
    # And when it is retried, it goes on from its last finished stage
    crashing.stubs.let_go()
    row = crashing.retry(job_id)
    assert (row.status, row.error) == (Status.COMPLETED, None)
    assert crashing.stubs.begun(job_id)[len(before) :] == again
    assert crashing.sog(row) == f"{job_id}-sog-2-0"
    crashing.assert_sound(job_id)


def test_a_kill_right_after_a_client_saw_the_end_loses_nothing(crashing, photos_zip):
    # Given a client that has just seen its job's end
    job_id = crashing.stack.drop(photos_zip, "uploads/operator/finished.zip")
    last = crashing.stack.last_status(job_id, seconds=60)
    # When the cloud is killed at once
    crashing.kill()
    crashing.up()
    # Then the job is what the client saw, and its result is there
    row = crashing.row(job_id)
    assert row is not None
    assert (row.status, row.version) == (Status.COMPLETED, last["version"])
    assert crashing.sog(row) == f"{job_id}-sog-1-0"
    # And it stays so when the news of the interrupted engine have been heard
    until(lambda: all(e["status"] != "RUNNING" for e in crashing.stack.executions_of(job_id)))
    assert crashing.stack.last_status(job_id, seconds=10) == last
    crashing.assert_sound(job_id)


def test_a_kill_right_after_a_refusal_was_seen_keeps_it(crashing):
    job_id = crashing.stack.drop(b"no zip at all", "uploads/operator/refused.zip")
    last = crashing.stack.last_status(job_id, seconds=30)
    crashing.kill()
    crashing.up()
    assert crashing.stack.last_status(job_id, seconds=10) == last
    assert last["status"] == "REJECTED"
    crashing.assert_sound(job_id)


def test_an_upload_that_was_accepted_becomes_a_job_whatever_happens(crashing, photos_zip):
    # Given an upload that was acknowledged an instant ago
    job_id = crashing.stack.drop(photos_zip, "uploads/operator/accepted.zip")
    # When the cloud is killed before anybody has looked at it
    crashing.kill()
    crashing.up()
    # Then its job runs after all
    assert crashing.ended(job_id).status is Status.COMPLETED
    crashing.assert_sound(job_id)


def test_a_job_that_is_killed_while_it_is_set_up_is_not_stuck(crashing, photos_zip):
    # Given a job that nothing has begun to work on
    job_id = crashing.stack.drop(photos_zip, "uploads/operator/setup.zip")
    until(lambda: crashing.row(job_id))
    # When the cloud is killed and started again
    crashing.kill()
    crashing.up()
    # Then it runs, or it says that it was interrupted and can be retried
    row = crashing.ended(job_id)
    if row.status is Status.FAILED:
        assert row.error is not None
        assert row.error.code == "interrupted"
        row = crashing.retry(job_id)
    assert row.status is Status.COMPLETED
    crashing.assert_sound(job_id)


def test_a_kill_in_the_middle_of_the_first_deployment_leaves_nothing_in_the_way(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]  # another one, the next time, would be a change of the stack
    cloud = LocalCloud(data_dir=tmp_path, port=port)
    try:
        # Given a first `up` that has made a bucket of the stack, but not all of it
        first = threading.Thread(target=up_in_vain, args=(cloud,))
        first.start()
        until(lambda: any("uploads" in name for name in buckets(cloud)))
        # When the engine is killed
        kill(tmp_path)
        first.join(timeout=60)
        # Then the next `up` deploys all of it
        cloud.up()
        # And what it told to be deployed is there after another kill, at once
        outputs = dict(cloud.outputs)
        kill(tmp_path)
        lines: list[str] = []
        cloud.up(lines.append)
        assert dict(cloud.outputs) == outputs
        assert not any("the stack" in line for line in lines), lines
    finally:
        cloud.down()


def up_in_vain(cloud: LocalCloud) -> None:
    with pytest.raises((UserError, BotoCoreError, ClientError)):
        cloud.up()


def buckets(cloud: LocalCloud) -> list[str]:
    try:
        return [bucket["Name"] for bucket in cloud.client("s3").list_buckets()["Buckets"]]
    except (UserError, BotoCoreError, ClientError):
        return []  # the engine is not there yet
