"""What must hold of a job whatever has happened to it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

import urllib3
from injection import Faults
from watching import Watcher

from spaceport.erasure import LOG_GROUPS
from spaceport.job import JobRecord, execution_name
from spaceport.jobs import record_from_image
from spaceport.stages import TERMINAL, Status

# How an execution may have ended whose job's row says this. A job that is stopped before its execution has
# begun leaves one that ends quietly.
ENDS = {
    Status.COMPLETED: {"SUCCEEDED"},
    Status.FAILED: {"FAILED", "TIMED_OUT", "ABORTED"},
    Status.STOPPED: {"ABORTED", "SUCCEEDED", "FAILED"},
}
QUIET_WITHIN_S = 30.0  # a stopped program has 8 s to end, and two cores are busy
RUNNING_STATES = {"InProgress", "Stopping"}


def row_of(stack: Any, job_id: str) -> JobRecord | None:
    found = stack.cloud.client("dynamodb").get_item(
        TableName=stack.output("JobsTable"), Key={"jobId": {"S": job_id}}, ConsistentRead=True
    )
    return record_from_image(found["Item"]) if "status" in found.get("Item", {}) else None


def assert_sound(
    stack: Any, job_id: str, faults: Faults | None = None, watcher: Watcher | None = None
) -> JobRecord:
    """The job has one truth, it is told, and nothing of it is left running; returns its row.

    Args:
        faults: of the engine, where it keeps what has changed.
        watcher: follows the job since before it was there.
    """
    row = row_of(stack, job_id)
    assert row is not None
    assert row.status in TERMINAL, f"{row.status} in {row.stage}: {row.message}"
    assert_executions_agree(stack, row)
    until(
        lambda: not running_sagemaker_jobs(stack, job_id),
        lambda: f"they still run: {running_sagemaker_jobs(stack, job_id)}",
    )
    if row.status is Status.COMPLETED:
        assert row.outputs is not None
        assert row.outputs.sog is not None
        bucket, key = row.outputs.sog.removeprefix("s3://").split("/", 1)
        stack.cloud.client("s3").head_object(Bucket=bucket, Key=key)
    until(lambda: job_id not in slots_held(stack), f"{job_id} still holds a slot")
    if faults is not None:
        assert_history_is_legal(faults, row)
        until(
            lambda: versions_told(stack, job_id) == versions_to_tell(faults, job_id),
            lambda: f"told {versions_told(stack, job_id)} of {versions_to_tell(faults, job_id)}",
        )
    if watcher is not None and faults is not None:
        until(
            lambda: watcher.version == row.version,
            lambda: f"the client has version {watcher.version} of {row.version}",
        )
        if watcher.subscriptions == 1:
            assert steps(watcher.seen) == steps(rows_after(faults, job_id)), "a change of stage was lost"
    last = row_of(stack, job_id)
    assert last is not None
    assert last.version == row.version, "the job went on after its end"
    return row


def assert_gone(stack: Any, job_id: str, key: str, faults: Faults) -> None:
    """Of a deleted job, whose zip was `key`, only the tombstone is left, in any store; it began once."""
    tombstone = stack.output("JobsTable")
    until(
        lambda: [trace.split()[0] for trace in traces(stack, job_id, key)] == [tombstone],
        lambda: f"they are left: {traces(stack, job_id, key)}",
    )
    assert row_of(stack, job_id) is None
    changes = faults.changes(job_id)
    assert [before is None for before, _ in changes].count(True) == 1, "the job was made anew"
    assert [after is None for _, after in changes].count(True) == 1


def traces(stack: Any, job_id: str, key: str) -> list[str]:
    """What the stack's stores hold of a job: an item, an object or a log stream a line, its store first.

    Not what nobody can erase: SageMaker's and Step Functions' own records.
    """
    dynamodb, s3, logs = (stack.cloud.client(name) for name in ("dynamodb", "s3", "logs"))
    held = []
    for table in dynamodb.list_tables()["TableNames"]:
        for page in dynamodb.get_paginator("scan").paginate(TableName=table):
            texts = (json.dumps(item) for item in page["Items"])
            held += [f"{table} {text}" for text in texts if job_id in text or key in text]
    for bucket, prefix in (("UploadsBucket", key), ("DataBucket", f"jobs/{job_id}/")):
        found = s3.list_object_versions(Bucket=stack.output(bucket), Prefix=prefix)
        versions = [*found.get("Versions", []), *found.get("DeleteMarkers", [])]
        held += [f"{bucket} {version['Key']} {version['VersionId']}" for version in versions]
    for group in LOG_GROUPS:
        found = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=job_id)
        held += [f"{group} {stream['logStreamName']}" for stream in found["logStreams"]]
    return held


def letters_to(stack: Any, address: str) -> list[dict[str, Any]]:
    """What SES has sent there."""
    engine = stack.cloud.client("sesv2").meta.endpoint_url
    told = urllib3.request("GET", f"{engine}/_ministack/ses/messages").json()
    sent = [letter for of_account in told["messages"].values() for letter in of_account]
    return [letter for letter in sent if letter["To"] == [address]]


def assert_executions_agree(stack: Any, row: JobRecord) -> None:
    """One execution a run, all over, the last one as the row says."""
    if row.status is Status.REJECTED:
        assert executions_of(stack, row.job_id) == []
        return
    until(
        lambda: all(found["status"] != "RUNNING" for found in executions_of(stack, row.job_id)),
        f"an execution of {row.job_id} still runs",
    )
    found = {execution["name"]: execution["status"] for execution in executions_of(stack, row.job_id)}
    runs = {execution_name(row.job_id, run) for run in range(1, row.run + 1)}
    last = execution_name(row.job_id, row.run)
    if row.status is Status.STOPPED and last not in found:  # it was stopped in the queue
        runs.remove(last)
    assert set(found) == runs
    if last in found:
        assert found[last] in ENDS[row.status], f"{row.status}, but its execution {found[last]}"


def executions_of(stack: Any, job_id: str) -> list[dict[str, Any]]:
    pages = stack.cloud.client("stepfunctions").get_paginator("list_executions")
    listed = pages.paginate(stateMachineArn=stack.output("StateMachineArn"))
    return [dict(e) for page in listed for e in page["executions"] if e["name"].startswith(f"{job_id}-")]


def running_sagemaker_jobs(stack: Any, job_id: str) -> list[str]:
    sagemaker = stack.cloud.client("sagemaker")
    processing = sagemaker.list_processing_jobs(NameContains=f"{job_id}-")["ProcessingJobSummaries"]
    training = sagemaker.list_training_jobs(NameContains=f"{job_id}-")["TrainingJobSummaries"]
    states = {job["ProcessingJobName"]: job["ProcessingJobStatus"] for job in processing}
    states |= {job["TrainingJobName"]: job["TrainingJobStatus"] for job in training}
    return [name for name, state in states.items() if state in RUNNING_STATES]


def slots_held(stack: Any) -> set[str]:
    """The jobs that hold a slot of the queue."""
    found = stack.cloud.client("dynamodb").get_item(
        TableName=stack.resource("QueueTable"), Key={"name": {"S": "slots"}}, ConsistentRead=True
    )
    return set(found["Item"]["held"]["M"]) if "Item" in found else set()


def assert_history_is_legal(faults: Faults, row: JobRecord) -> None:
    """Each write made one more version; what had ended went on as a new run only; no stage went back."""
    changes = faults.changes(row.job_id)
    assert [after.version for _, after in changes if after] == list(range(1, row.version + 1))
    for before, after in changes:
        assert after is not None, "the row was deleted"
        if before is None:
            continue
        assert after.version == before.version + 1
        if after.run == before.run:
            # Artifacts may be asked to be deleted, and be deleted, after the end.
            assert before.status not in TERMINAL or after.status is before.status
            assert after.stage_index >= before.stage_index
        else:
            assert before.status in TERMINAL
            assert after.run == before.run + 1


def versions_told(stack: Any, job_id: str) -> list[int]:
    """The versions of which the job's history tells."""
    found = stack.cloud.client("dynamodb").query(
        TableName=stack.resource("HistoryTable"),
        KeyConditionExpression="jobId = :job",
        ExpressionAttributeValues={":job": {"S": job_id}},
        ConsistentRead=True,
    )
    return [int(item["version"]["N"]) for item in found["Items"]]


def versions_to_tell(faults: Faults, job_id: str) -> list[int]:
    """The versions at which status, stage or run changed."""
    return [
        after.version
        for before, after in faults.changes(job_id)
        if after and (before is None or what_counts(before) != what_counts(after))
    ]


def what_counts(row: JobRecord) -> tuple[object, ...]:
    return row.status, row.stage, row.run


def rows_after(faults: Faults, job_id: str) -> list[dict[str, Any]]:
    return [after.status_view() for _, after in faults.changes(job_id) if after]


def steps(views: Iterable[dict[str, Any]]) -> list[tuple[str, str]]:
    """The stages and statuses that a series of views goes through, each once."""
    return [step for step, _ in groupby((view["status"], view["stage"]) for view in views)]


def until(
    holds: Callable[[], object], otherwise: str | Callable[[], str], seconds: float = QUIET_WITHIN_S
) -> None:
    """Wait until `holds`; `otherwise` is what the test fails with."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(otherwise if isinstance(otherwise, str) else otherwise())
        time.sleep(0.1)
