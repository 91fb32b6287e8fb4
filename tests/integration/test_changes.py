"""What a job's changes set off, on the local cloud with stub programs: its history, and its deletion."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from spaceport.erasure import LOG_GROUPS
from spaceport_local.cloud import LocalCloud

pytestmark = pytest.mark.engine
T = TypeVar("T")


@pytest.fixture(scope="module")
def stack(tmp_path_factory, stubs, stack_of) -> Iterator[Any]:
    cloud = LocalCloud(data_dir=tmp_path_factory.mktemp("changes"), options=stubs.options)
    cloud.up()
    yield stack_of(cloud)
    cloud.down()


def until(test: Callable[[], T], seconds: float = 30) -> T:
    """What `test` gives as soon as that is true."""
    deadline = time.monotonic() + seconds
    while not (answer := test()):
        assert time.monotonic() < deadline, f"did not come true within {seconds:.0f} s"
        time.sleep(0.05)
    return answer


def everything(stack: Any) -> list[str]:
    """All that the stack's stores hold, as text: an item, an object's name or a log stream's name a line."""
    dynamodb, s3, logs = (stack.cloud.client(name) for name in ("dynamodb", "s3", "logs"))
    held = []
    for table in dynamodb.list_tables()["TableNames"]:
        held += [f"{table} {json.dumps(item)}" for item in dynamodb.scan(TableName=table)["Items"]]
    for bucket in ("UploadsBucket", "DataBucket"):
        versions = s3.list_object_versions(Bucket=stack.output(bucket))
        found = [*versions.get("Versions", []), *versions.get("DeleteMarkers", [])]
        held += [f"{bucket} {version['Key']} {version['VersionId']}" for version in found]
    for group in LOG_GROUPS:
        streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
        held += [f"{group} {stream['logStreamName']}" for stream in streams]
    return held


def test_a_job_has_a_history_and_once_deleted_leaves_nothing(stack, alice, bob, photos_zip):
    # Given two jobs of Alice's that have ended, and a client that follows one of them
    kept, gone = (stack.drop(photos_zip, f"uploads/alice/{name}.zip") for name in ("pier", "lighthouse"))
    for job_id in (kept, gone):
        assert alice.until_ended(job_id)["status"] == "COMPLETED"
    # Then each has its history, gapless in stages, for her and for nobody else
    until(lambda: events_of(alice, gone)[-1]["status"] == "COMPLETED")
    events = events_of(alice, gone)
    assert [event["status"] for event in events] == ["QUEUED", *["RUNNING"] * 4, "COMPLETED"]
    assert [event["stage"] for event in events] == ["setup", "setup", "sfm", "3dgs", "compression", "done"]
    assert [event["before"] for event in events[1:]] == [event["status"] for event in events[:-1]]
    assert bob.ask("GET", f"/jobs/{gone}/events")[1]["code"] == "no_such_job"
    # When she deletes one, while it is followed
    assert bob.ask("DELETE", f"/jobs/{gone}")[1]["code"] == "no_such_job"
    with stack.follow(gone) as follower:
        follower.until(lambda told: told["status"] == "COMPLETED", seconds=10)
        status, told = alice.ask("DELETE", f"/jobs/{gone}")
        assert (status, told) == (202, {"jobId": gone})
        # Then it is gone for her at once, and from every store but for its tombstone a moment later
        assert alice.ask("GET", f"/jobs/{gone}")[1]["code"] == "no_such_job"
        tombstone = until(lambda: sole_tombstone(stack, gone))
    assert tombstone.keys() == {"jobId", "expiresAt"}
    assert not [line for line in everything(stack) if "lighthouse" in line]
    # And the other has all it had
    assert [job["jobId"] for job in alice.ask("GET", "/jobs")[1]["jobs"]] == [kept]
    assert len(events_of(alice, kept)) == len(events)
    stores = {line.split()[0] for line in everything(stack) if kept in line or "pier" in line}
    assert {"UploadsBucket", "DataBucket", *LOG_GROUPS} <= stores


def test_a_job_that_runs_is_not_deleted(stack, alice, stubs, photos_zip):
    stubs.hold("sfm")
    job_id = stack.drop(photos_zip, "uploads/alice/running.zip")
    alice.until(job_id, lambda told: told["stage"] == "sfm", seconds=30)
    assert alice.ask("DELETE", f"/jobs/{job_id}")[1]["code"] == "job_active"
    # But once it is stopped, it is, with what it had made
    alice.ask("POST", "/stop-job", {"jobId": job_id})
    alice.until_ended(job_id)
    stubs.let_go()
    assert alice.ask("DELETE", f"/jobs/{job_id}")[0] == 202
    until(lambda: sole_tombstone(stack, job_id))


def events_of(user: Any, job_id: str) -> list[dict[str, Any]]:
    status, told = user.ask("GET", f"/jobs/{job_id}/events")
    assert status == 200, told
    found: list[dict[str, Any]] = told["events"]
    return found


def sole_tombstone(stack: Any, job_id: str) -> dict[str, Any] | None:
    """The job's item in the Jobs table, once that is all that names the job anywhere."""
    lines = [line for line in everything(stack) if job_id in line]
    if len(lines) != 1 or not lines[0].startswith(stack.output("JobsTable")):
        return None
    item: dict[str, Any] = json.loads(lines[0].partition(" ")[2])
    return item if "status" not in item else None
