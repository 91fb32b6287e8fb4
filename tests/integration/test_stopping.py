"""A job stopped through the API in each stage: STOPPED at once, no process left, nothing published."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from spaceport.errors import UserError
from spaceport_cli.api import ApiClient
from spaceport_local.cloud import LocalCloud

pytestmark = pytest.mark.engine

WITHIN_S = 10.0  # from the call to STOPPED, and to the last process's end
SUFFIXES = {"sfm": "sfm", "3dgs": "3dgs", "compression": "sog"}


@dataclass(frozen=True)
class Stopping:
    """A stack whose programs wait, or resist, as the test orders (`ordered_program.py`)."""

    stack: Any
    api: ApiClient
    orders: Path

    def order(self, word: str, stage: str = "sfm") -> None:
        """What the next jobs' programs of `stage` do."""
        (self.orders / SUFFIXES[stage]).write_text(word)

    def stop(self, job_id: str, **wish: bool) -> None:
        self.api.post("/stop-job", {"jobId": job_id, **wish})

    def keys(self, job_id: str) -> list[str]:
        listed = self.stack.cloud.client("s3").list_objects_v2(
            Bucket=self.stack.output("DataBucket"), Prefix=f"jobs/{job_id}/"
        )
        return [found["Key"].removeprefix(f"jobs/{job_id}/") for found in listed.get("Contents", [])]

    def sagemaker_statuses(self, job_id: str, stage: str) -> set[str]:
        """How the SageMaker jobs of the job's stage stand."""
        sagemaker = self.stack.cloud.client("sagemaker")
        name = f"{job_id}-{SUFFIXES[stage]}-"
        if stage == "3dgs":
            jobs = sagemaker.list_training_jobs(NameContains=name)["TrainingJobSummaries"]
            return {job["TrainingJobStatus"] for job in jobs}
        jobs = sagemaker.list_processing_jobs(NameContains=name)["ProcessingJobSummaries"]
        return {job["ProcessingJobStatus"] for job in jobs}

    def run_function(self, logical_id: str) -> None:
        """Run one of the stack's functions, as its schedule does; fails where it fails."""
        resources = self.stack.cloud.client("cloudformation").describe_stack_resources(StackName="spaceport")
        names = {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in resources["StackResources"]}
        answer = self.stack.cloud.client("lambda").invoke(FunctionName=names[logical_id], Payload=b"{}")
        assert "FunctionError" not in answer, answer["Payload"].read()


@pytest.fixture(scope="module")
def stopping(tmp_path_factory: pytest.TempPathFactory, stack_of, stubs) -> Iterator[Stopping]:
    program = stubs.folder / "ordered.py"
    options = [word.replace(str(stubs.folder / "program.py"), str(program)) for word in stubs.options]
    program.write_text(Path(__file__).with_name("ordered_program.py").read_text())
    (stubs.folder / "orders").mkdir()
    cloud = LocalCloud(data_dir=tmp_path_factory.mktemp("stopping"), options=options)
    cloud.up()
    yield Stopping(stack_of(cloud), ApiClient(cloud), stubs.folder / "orders")
    cloud.down()


@pytest.fixture(autouse=True)
def no_orders(stopping) -> Iterator[None]:
    yield
    for order in stopping.orders.iterdir():
        order.unlink()


def processes_of(job_id: str) -> list[psutil.Process]:
    """The job's programs, and what they started: all have the job's folder in their environment."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if job_id in process.environ().get("SPACEPORT_ML_ROOT", ""):
                found.append(process)
    return found


def until(holds: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"did not come true within {seconds:.1f} s"
        time.sleep(0.05)


# What resists is killed after 8 s: what it leaves is uploaded when the row has long been STOPPED.
@pytest.mark.parametrize(("word", "discard"), [("hang", False), ("resist", True)])
@pytest.mark.parametrize("stage", SUFFIXES)
def test_a_job_stops_in_any_stage(stopping, photos_zip, stage, word, discard):
    # Given a follower of a job that is in the middle of a stage
    stopping.order(word, stage)
    job_id = stopping.stack.drop(photos_zip, f"uploads/operator/{stage}-{word}.zip")
    with stopping.stack.follow(job_id) as follower:
        follower.until(lambda status: status["stage"] == stage, seconds=60)
        until(lambda: len(processes_of(job_id)) == 2, seconds=20)  # the program, and its child
        # When it is stopped
        asked = time.monotonic()
        stopping.stop(job_id, discardArtifacts=discard)
        last = follower.until_ended(seconds=WITHIN_S)
    # Then the client saw it stopping and stopped, with no result but what training had finished
    assert [s["status"] for s in follower.seen if s["status"] != "RUNNING"][-2:] == ["STOPPING", "STOPPED"]
    assert (last["error"]["code"], last["stage"]) == ("stopped", stage)
    left = {name for name, uri in (last["outputs"] or {}).items() if uri}
    assert left == ({"ply"} if stage == "compression" and not discard else set())
    # And no process of it lives, its execution is aborted, and nothing is published
    until(lambda: not processes_of(job_id), seconds=asked + WITHIN_S - time.monotonic())
    until(lambda: stopping.sagemaker_statuses(job_id, stage) == {"Stopped"}, seconds=10)
    assert [e["status"] for e in stopping.stack.executions_of(job_id)] == ["ABORTED"]
    assert not [key for key in stopping.keys(job_id) if key.startswith("compressed/")]
    if discard:
        if stage == "3dgs":
            assert stopping.keys(job_id) != []
        stopping.run_function("ReconcileJobs")  # what SageMaker uploaded after its stop
        assert stopping.keys(job_id) == []
    elif stage != "sfm":
        assert {"colmap/sfm.json", "checkpoints/iteration.txt"} <= set(stopping.keys(job_id))


def test_a_job_stopped_before_its_first_stage_runs_nothing(stopping, photos_zip):
    # Given a job that was dropped an instant ago
    job_id = stopping.stack.drop(photos_zip, "uploads/operator/early.zip")
    stopping.order("hang")
    with stopping.stack.follow(job_id) as follower:
        follower.until(lambda status: True, seconds=20)
        # When it is stopped at once, wherever it is by now
        asked = time.monotonic()
        stopping.stop(job_id)
        assert follower.until_ended(seconds=WITHIN_S)["status"] == "STOPPED"
    # Then no process lives, and no execution goes on
    until(lambda: not processes_of(job_id), seconds=asked + WITHIN_S - time.monotonic())
    until(lambda: all(e["status"] != "RUNNING" for e in stopping.stack.executions_of(job_id)), seconds=10)


def test_a_second_stop_changes_nothing_and_an_ended_job_can_not_be_stopped(stopping, photos_zip):
    # Given a stopped job
    stopping.order("hang")
    job_id = stopping.stack.drop(photos_zip, "uploads/operator/twice.zip")
    with stopping.stack.follow(job_id) as follower:
        follower.until(lambda status: status["stage"] == "sfm", seconds=60)
        stopping.stop(job_id)
        last = follower.until_ended(seconds=WITHIN_S)
    # When it is stopped again, then it stays as it is
    stopping.stop(job_id)
    assert stopping.stack.last_status(job_id, seconds=10)["version"] == last["version"]
    # And what has finished is refused
    (stopping.orders / "sfm").unlink()
    finished = stopping.stack.drop(photos_zip, "uploads/operator/finished.zip")
    assert stopping.stack.last_status(finished, seconds=60)["status"] == "COMPLETED"
    with pytest.raises(UserError) as refused:
        stopping.stop(finished)
    assert refused.value.code == "job_over"


def test_a_job_that_nothing_runs_any_more_is_ended_by_the_reconciler(stopping, photos_zip):
    # Given a finished job whose row says that it has long been running, in an execution that there is not
    job_id = stopping.stack.drop(photos_zip, "uploads/operator/lost.zip")
    stopping.stack.last_status(job_id, seconds=60)
    machine = stopping.stack.output("StateMachineArn")
    stopping.stack.cloud.client("dynamodb").update_item(
        TableName=stopping.stack.output("JobsTable"),
        Key={"jobId": {"S": job_id}},
        UpdateExpression="SET #status = :running, executionArn = :arn, updatedAt = :then ADD version :one",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={
            ":running": {"S": "RUNNING"},
            ":arn": {"S": f"{machine.replace(':stateMachine:', ':execution:')}:gone"},
            ":then": {"S": "2026-01-01T00:00:00.000Z"},
            ":one": {"N": "1"},
        },
    )
    # When the reconciler's time comes, then the job says that it is lost
    stopping.run_function("ReconcileJobs")
    last = stopping.stack.last_status(job_id, seconds=10)
    assert (last["status"], last["error"]["code"]) == ("FAILED", "lost")


# ---- clients of one job ----------------------------------------


def test_clients_that_come_late_are_cut_off_or_never_left_end_with_the_same_view(stopping, photos_zip):
    # Given a client that stays, and one that is cut off in the middle
    for stage in SUFFIXES:
        stopping.order("wait", stage)
    job_id = stopping.stack.drop(photos_zip, "uploads/operator/followed.zip")
    with stopping.stack.follow(job_id) as stays:
        with stopping.stack.follow(job_id) as cut_off:
            cut_off.until(lambda status: status["stage"] == "sfm", seconds=60)
        (stopping.orders / "sfm").unlink()
        stays.until(lambda status: status["stage"] == "3dgs", seconds=60)
        # When it comes back with what it has seen, and another one comes late
        with stopping.stack.connect() as back, stopping.stack.follow(job_id) as late:
            back.send(json.dumps({"action": "subscribe", "jobId": job_id, "sinceVersion": cut_off.version}))
            cut_off.socket = back
            cut_off.until(lambda status: status["stage"] == "3dgs", seconds=10)
            for stage in ("3dgs", "compression"):
                (stopping.orders / SUFFIXES[stage]).unlink()
            ends = [client.until_ended(seconds=60) for client in (stays, cut_off, late)]
    # Then all end with the same view, and versions rose in each
    assert ends[0]["status"] == "COMPLETED"
    assert ends[0] == ends[1] == ends[2]
    for client in (stays, cut_off, late):
        versions = [status["version"] for status in client.seen]
        assert versions == sorted(set(versions))
    # And a client that has seen the end is told so, and nothing more
    with stopping.stack.connect() as again:
        again.send(json.dumps({"action": "subscribe", "jobId": job_id, "sinceVersion": ends[0]["version"]}))
        again.send('{"action": "ping"}')
        answers = [json.loads(again.recv(timeout=10)) for _ in range(2)]
    assert sorted(answer["type"] for answer in answers) == ["pong", "subscribed"]
    assert {a.get("version") for a in answers if a["type"] == "subscribed"} == {ends[0]["version"]}
