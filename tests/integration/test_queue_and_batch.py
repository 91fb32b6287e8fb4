"""The queue on the real engine: how many run, in which order, what a restart does to it; and a batch."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from stub_reports import write_reports

from spaceport.job import batch_id_for
from spaceport.jobs import record_from_image
from spaceport_local.cloud import LocalCloud

pytestmark = pytest.mark.engine
HERE = Path(__file__).parent
LIMITS = {"MaxRunningJobs": "3", "MaxRunningJobsPerOwner": "1"}
OWNERS = {"alice": 10, "bob": 6, "carol": 4}
FIELDS = ("jobId", "at", "time", "status", "before")


@dataclass(frozen=True)
class Queueing:
    """A stack of three slots, one an owner, whose jobs wait in their first stage until they are let go."""

    stack: Any
    folder: Path

    def hold(self) -> None:
        (self.folder / "held").touch()

    def let_go(self) -> None:
        (self.folder / "held").unlink()

    def run_whole(self) -> None:
        """From now on jobs do all their stages."""
        (self.folder / "whole").touch()

    def drop(self, body: bytes, owner: str, count: int) -> list[str]:
        return [self.stack.drop(body, f"uploads/{owner}/{i}-{time.time_ns()}.zip") for i in range(count)]

    def scan(self, table: str) -> list[dict[str, Any]]:
        pages = self.stack.cloud.client("dynamodb").get_paginator("scan")
        name = self.stack.resource(table)
        return [
            item for page in pages.paginate(TableName=name, ConsistentRead=True) for item in page["Items"]
        ]

    def rows(self) -> dict[str, Any]:
        return {row.job_id: row for row in map(record_from_image, self.scan("JobsTable"))}

    def turns(self) -> list[tuple[str, str, str]]:
        """(time, job, status) of each job's beginning and end, as its history has them."""
        told = [
            {name: next(iter(item[name].values())) for name in FIELDS} for item in self.scan("HistoryTable")
        ]
        return sorted(
            (item["time"], item["jobId"], item["status"])
            for item in told
            if item["status"] != item["before"] and item["status"] != "QUEUED"
        )

    def limits(self) -> dict[str, Any]:
        queue: dict[str, Any] = self.stack.api.get("/limits")["queue"]
        return queue


def until(test: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < deadline, f"did not come true within {seconds:.0f} s"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def queueing(tmp_path_factory: pytest.TempPathFactory, stack_of) -> Iterator[Queueing]:
    folder = tmp_path_factory.mktemp("programs")
    (folder / "program.py").write_text((HERE / "stub_program.py").read_text())
    write_reports(folder / "reports")
    program = folder / "queued_program.py"
    program.write_text((HERE / "queued_program.py").read_text())
    options = [f"--program={image}={program}" for image in ("sfm", "gaussian", "compressor")]
    cloud = LocalCloud(tmp_path_factory.mktemp("queueing"), options=options, parameters=LIMITS)
    cloud.up()
    yield Queueing(stack_of(cloud), folder)
    cloud.down()


@pytest.fixture(scope="module")
def history(queueing, photos_zip) -> list[tuple[str, str, str, str]]:
    """What became of 20 jobs of three owners: (time, owner, job, status), through a restart of the cloud."""
    # Given three that run and 17 that wait
    queueing.hold()
    jobs = {owner: queueing.drop(photos_zip, owner, count) for owner, count in OWNERS.items()}
    until(lambda: (queueing.limits()["running"], queueing.limits()["waiting"]) == (3, 17))
    until(
        lambda: (
            sorted(row.queue_position or 0 for row in queueing.rows().values()) == [0] * 3 + [*range(1, 18)]
        )
    )
    # When the cloud is stopped and started with them, and the programs are let go
    queueing.stack.cloud.down()
    queueing.stack.cloud.up()
    queueing.let_go()
    # Then all of them end
    until(lambda: all(row.is_terminal for row in queueing.rows().values()), seconds=120)
    owner_of = {job_id: owner for owner, ids in jobs.items() for job_id in ids}
    assert queueing.limits() == {"maxRunning": 3, "maxRunningPerOwner": 1, "running": 0, "waiting": 0}
    return [(at, owner_of[job_id], job_id, status) for at, job_id, status in queueing.turns()]


def test_never_more_run_than_may_and_each_of_them_ran_once(history):
    running: Counter[str] = Counter()
    most = 0
    for _, owner, _, status in history:
        running[owner] += 1 if status == "RUNNING" else -1
        assert 0 <= running[owner] <= 1
        most = max(most, running.total())
        assert running.total() <= 3
    # And as many as may
    assert most == 3
    begun = Counter(job_id for _, _, job_id, status in history if status == "RUNNING")
    assert (len(begun), set(begun.values())) == (20, {1})


def test_an_owners_jobs_begin_in_the_order_they_were_dropped(history, queueing):
    made = {job_id: row.created_at for job_id, row in queueing.rows().items()}
    for whose in OWNERS:
        begun = [made[job] for _, owner, job, status in history if (owner, status) == (whose, "RUNNING")]
        assert begun == sorted(begun)


def test_who_ran_when_the_cloud_stopped_was_interrupted_and_who_waited_was_not(queueing, history):
    codes = Counter(row.error.code for row in queueing.rows().values())
    assert codes["interrupted"] == 3


def test_a_manifest_becomes_jobs_and_a_row_that_follows_them_to_their_end(queueing, history, photos_zip):
    queueing.run_whole()
    # Given four zips in a batch's folder, one of them bad, and one beside it, which is a job already
    bucket, folder = queueing.stack.output("UploadsBucket"), "uploads/dora/week.batch"
    early = queueing.stack.drop(photos_zip, "uploads/dora/early.zip")
    bodies = {"a": photos_zip, "b": photos_zip, "c": photos_zip, "bad": b"no zip"}
    for name, body in bodies.items():
        queueing.stack.drop(body, f"{folder}/{name}.zip")
    until(lambda: early in queueing.rows())
    # When the manifest is dropped
    zips = [*(f"{folder}/{name}.zip" for name in bodies), "uploads/dora/early.zip"]
    manifest = {"name": "Week 12", "jobs": [{"s3Url": f"s3://{bucket}/{key}"} for key in zips]}
    put = queueing.stack.cloud.client("s3").put_object(
        Bucket=bucket, Key="uploads/dora/week.batch.json", Body=json.dumps(manifest).encode()
    )
    batch_id = batch_id_for(bucket, "uploads/dora/week.batch.json", put["VersionId"])
    until(lambda: batch_id in queueing.rows())
    # Then a client that follows the batch sees its end
    last = queueing.stack.last_status(batch_id, seconds=90)
    assert (last["status"], last["kind"], last["jobName"], last["progress"]) == (
        "COMPLETED",
        "batch",
        "Week 12",
        1,
    )
    assert last["message"] == "5 of 5 jobs have ended: 4 completed, 1 rejected"
    rows = queueing.rows()
    assert {rows[job_id].batch_id for job_id in last["members"]} == {batch_id}
    assert last["members"][-1] == early
    # And it is in the lists, as no job
    assert queueing.stack.api.get("/jobs")["jobs"][0]["kind"] in {"job", "batch"}
    assert queueing.stack.api.get(f"/jobs/{batch_id}")["metrics"]["completed"] == 4
