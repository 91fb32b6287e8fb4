"""The Jobs table's stream, as moto writes it, through publish_changes: a history, and events on the bus."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from spaceport.changes import JobChanged
from spaceport.errors import ErrorText
from spaceport.job import JobRecord, StageRecord, empty_stages, now_iso
from spaceport.progress import ProgressLine
from spaceport.stages import SFM, Status

ROOT = Path(__file__).resolve().parents[3]
EVENT: dict[str, Any] = json.loads((ROOT / "events" / "job_changed.json").read_text())
ZIP = "s3://uploads/uploads/ann/beach.zip"
ARN = "arn:aws:states:eu-west-1:123456789012:execution:pipeline:job-1-1"


@dataclass(frozen=True)
class Publishing:
    """The function, with a queue that gets what its events' rule lets through."""

    run: Callable[[list[dict[str, Any]]], dict[str, Any]]
    queue_url: str

    def told(self) -> list[JobChanged]:
        """The events since the last time."""
        sqs, found = boto3.client("sqs"), []
        while messages := sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for message in messages:
                sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
                found.append(JobChanged.model_validate(json.loads(message["Body"])["detail"]))
        return sorted(found, key=lambda change: change.version)


@pytest.fixture
def publishing(aws, load, context) -> Publishing:
    sqs, events = boto3.client("sqs"), boto3.client("events")
    url = sqs.create_queue(QueueName="heard")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="all", EventPattern='{"source": ["spaceport.one"], "detail-type": ["Job Changed"]}')
    events.put_targets(Rule="all", Targets=[{"Id": "queue", "Arn": arn}])
    module = load("publish_changes")
    return Publishing(lambda records: module.handler({"Records": records}, context), url)


def row(**fields: Any) -> JobRecord:
    now = now_iso()
    return JobRecord(
        **{
            "job_id": "job-1",
            "owner": "ann",
            "source": ZIP,
            "created_at": now,
            "updated_at": now,
            "stages": empty_stages(),
        }
        | fields
    )


def life_of_a_job(aws: Any) -> None:
    """A job that is queued, begins, tells of its progress twice, and fails."""
    running = row(execution_arn=ARN, task="job-1-sfm-1", stages={**empty_stages(), SFM.name: StageRecord()})
    aws.jobs.create(running)
    aws.jobs.begin(running, ARN, now_iso())
    for progress in (0.2, 0.4):
        line = ProgressLine(stage=SFM.name, progress=progress, message="", metrics={})
        assert aws.jobs.progress("job-1", "job-1-sfm-1", line, now_iso())
    why = ErrorText("killed", "The program was killed.")
    assert aws.jobs.fail(running, ARN, why, now_iso(), costs={}, outputs=None)


def test_changes_of_status_are_kept_and_told_of_and_progress_is_not(aws, publishing):
    # Given a job's whole life
    life_of_a_job(aws)
    # When its stream is read
    assert publishing.run(aws.stream()) == {"batchItemFailures": []}
    # Then each change is an event, in the contract's words
    told = publishing.told()
    assert [(change.before, change.status) for change in told] == [
        (None, Status.QUEUED),
        (Status.QUEUED, Status.RUNNING),
        (Status.RUNNING, Status.FAILED),
    ]
    assert told[0].model_dump(by_alias=True) | {"time": ""} == {
        "jobId": "job-1", "kind": "job", "run": 1, "version": 1, "status": "QUEUED", "before": None,
        "stage": "setup", "owner": "ann", "batchId": None, "deleted": False, "discards": False,
        "time": "",
    }  # fmt: skip
    # And a line of the job's history
    kept = boto3.resource("dynamodb").Table("history").scan()["Items"]
    assert [(item["at"], item["status"]) for item in kept] == [
        ("000000000001", "QUEUED"),
        ("000000000002", "RUNNING"),
        ("000000000005", "FAILED"),
    ]
    assert kept[-1]["error"]["code"] == "killed"


def test_a_stream_that_comes_twice_leaves_one_history(aws, publishing):
    life_of_a_job(aws)
    for _ in range(2):
        assert publishing.run(aws.stream()) == {"batchItemFailures": []}
    assert boto3.resource("dynamodb").Table("history").scan()["Count"] == 3


def test_a_record_that_can_not_be_read_comes_again_alone(aws, publishing):
    # Given a row among others that some other version of us wrote
    life_of_a_job(aws)
    records = copy.deepcopy(aws.stream())
    records[1]["dynamodb"]["NewImage"]["run"] = {"S": "first"}
    # When the batch is done
    answer = publishing.run(records)
    # Then that record is the one to try again, and what comes after it was done
    failed = records[1]["dynamodb"]["SequenceNumber"]
    assert answer == {"batchItemFailures": [{"itemIdentifier": failed}]}
    assert [change.status for change in publishing.told()] == [Status.QUEUED, Status.FAILED]
    # And alone it fails as a whole: the stream gives it up at last, to the queue of lost events
    with pytest.raises(Exception, match="All records failed"):
        publishing.run(records[1:2])


def test_a_deleted_jobs_history_gets_no_more(aws, publishing):
    # Given a row that is deleted before its stream was read
    gone = row(status=Status.STOPPED, deleted_at=now_iso())
    aws.jobs.create(gone)
    # Then that is told, and kept nowhere
    publishing.run(aws.stream())
    assert [change.deleted for change in publishing.told()] == [True]
    assert boto3.resource("dynamodb").Table("history").scan()["Count"] == 0


# ---- what hears of it ----------------------------------------


@pytest.mark.parametrize("status", list(Status))
def test_dispatch_starts_what_is_queued_when_the_event_arrives(aws, load, context, status):
    # Given an event that told of a queued job, which is something else by now
    aws.jobs.create(row(status=status))
    told = {**EVENT, "detail": {**EVENT["detail"], "jobId": "job-1", "status": "QUEUED"}}
    dispatch = load("dispatch_jobs").handler
    # When it comes, twice
    for _ in range(2):
        dispatch(told, context)
    # Then it has one execution where it still waits
    listed = boto3.client("stepfunctions").list_executions(stateMachineArn=aws.state_machine_arn)
    names = [execution["name"] for execution in listed["executions"]]
    assert names == (["job-1-1"] if status is Status.QUEUED else [])


def test_dispatch_lets_a_job_be_that_is_not_there(aws, load, context):
    assert load("dispatch_jobs").handler(EVENT, context)["started"] == []
