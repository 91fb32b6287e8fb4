"""The handlers, loaded as Lambda loads them, on moto's S3, DynamoDB and Step Functions."""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import os
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from moto import mock_aws

from spaceport.connections import Connections
from spaceport.jobs import Jobs
from spaceport.links import Links
from spaceport.slots import SlotsItem
from spaceport.tickets import Tickets

ROOT = Path(__file__).resolve().parents[3]
REGION = "eu-west-1"


@dataclass(frozen=True)
class LambdaContext:
    """What Powertools' logger reads of a context."""

    function_name: str = "test"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:eu-west-1:123456789012:function:test"
    aws_request_id: str = "request-1"


@dataclass(frozen=True)
class Aws:
    """moto's account with the stores that the template declares."""

    jobs: Jobs
    connections: Connections
    tickets: Tickets
    links: Links
    slots: SlotsItem
    state_machine_arn: str
    uploads_bucket: str = "uploads-bucket"
    data_bucket: str = "data-bucket"

    def drop(self, key: str, body: bytes, metadata: dict[str, str] | None = None) -> dict[str, Any]:
        """Upload `body`; the EventBridge event that follows."""
        put = boto3.client("s3").put_object(
            Bucket=self.uploads_bucket, Key=key, Body=body, Metadata=metadata or {}
        )
        event: dict[str, Any] = json.loads((ROOT / "events" / "object_created.json").read_text())
        event["detail"]["bucket"]["name"] = self.uploads_bucket
        event["detail"]["object"] |= {"key": key, "size": len(body), "version-id": put["VersionId"]}
        return event

    def stream(self) -> list[dict[str, Any]]:
        """The records of the Jobs table's stream so far, oldest first."""
        arn = boto3.client("dynamodb").describe_table(TableName="jobs")["Table"]["LatestStreamArn"]
        streams = boto3.client("dynamodbstreams")
        (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        iterator = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )
        return list(streams.get_records(ShardIterator=iterator["ShardIterator"])["Records"])


def jobs_index(name: str, key: str, **projection: Any) -> dict[str, Any]:
    """An index of the Jobs table by `key` and time, as the template has it."""
    keys = [(key, "HASH"), ("createdAt", "RANGE")]
    schema = [{"AttributeName": attribute, "KeyType": kind} for attribute, kind in keys]
    return {"IndexName": name, "KeySchema": schema, "Projection": projection}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    for name, value in {
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "POWERTOOLS_SERVICE_NAME": "spaceport",
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        s3, dynamodb = boto3.client("s3"), boto3.resource("dynamodb")
        for bucket in (Aws.uploads_bucket, Aws.data_bucket):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_bucket_versioning(Bucket=Aws.uploads_bucket, VersioningConfiguration={"Status": "Enabled"})
        jobs = dynamodb.create_table(
            TableName="jobs",
            KeySchema=[{"AttributeName": "jobId", "KeyType": "HASH"}],
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"}
                for name in ("jobId", "owner", "collection", "status", "createdAt")
            ],
            GlobalSecondaryIndexes=[
                jobs_index("byOwner", "owner", ProjectionType="KEYS_ONLY"),
                jobs_index("byTime", "collection", ProjectionType="KEYS_ONLY"),
                jobs_index(
                    "byState",
                    "status",
                    ProjectionType="INCLUDE",
                    NonKeyAttributes=[
                        *("kind", "owner", "run", "queuedAt", "queuePosition"),
                        *("discardArtifacts", "artifactsDiscarded"),
                    ],
                ),
            ],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        connections = dynamodb.create_table(
            TableName="connections",
            KeySchema=[
                {"AttributeName": "jobId", "KeyType": "HASH"},
                {"AttributeName": "connectionId", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": "jobId", "AttributeType": "S"},
                {"AttributeName": "connectionId", "AttributeType": "S"},
            ],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "byConnection",
                    "KeySchema": [{"AttributeName": "connectionId", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        tickets = dynamodb.create_table(
            TableName="tickets",
            KeySchema=[{"AttributeName": "digest", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "digest", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        links = dynamodb.create_table(
            TableName="links",
            KeySchema=[
                {"AttributeName": "jobId", "KeyType": "HASH"},
                {"AttributeName": "digest", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": "jobId", "AttributeType": "S"},
                {"AttributeName": "digest", "AttributeType": "S"},
            ],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "byDigest",
                    "KeySchema": [{"AttributeName": "digest", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        dynamodb.create_table(
            TableName="history",
            KeySchema=[
                {"AttributeName": "jobId", "KeyType": "HASH"},
                {"AttributeName": "at", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("jobId", "at")],
            BillingMode="PAY_PER_REQUEST",
        )
        queue = dynamodb.create_table(
            TableName="queue",
            KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "name", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        machine = boto3.client("stepfunctions").create_state_machine(
            name="pipeline",
            definition='{"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}',
            roleArn="arn:aws:iam::123456789012:role/pipeline",
        )
        yield Aws(
            Jobs(jobs),
            Connections(connections),
            Tickets(tickets),
            Links(links),
            SlotsItem(queue),
            machine["stateMachineArn"],
        )


@pytest.fixture
def load(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModuleType]:
    """`load("ingest_upload", EXTRA="...")`: the function's module, imported afresh in its environment."""

    def load_function(name: str, **environment: str) -> ModuleType:
        for variable, value in {
            "JOBS_TABLE": "jobs",
            "CONNECTIONS_TABLE": "connections",
            "TICKETS_TABLE": "tickets",
            "LINKS_TABLE": "links",
            "HISTORY_TABLE": "history",
            "EVENT_SOURCE": "spaceport.one",
            "QUEUE_TABLE": "queue",
            "MAX_RUNNING_JOBS": "4",
            "MAX_RUNNING_JOBS_PER_OWNER": "2",
            "UPLOADS_BUCKET": aws.uploads_bucket,
            "DATA_BUCKET": aws.data_bucket,
            "STATE_MACHINE_ARN": aws.state_machine_arn,
            **environment,
        }.items():
            monkeypatch.setenv(variable, value)
        # As in a cold start: else it would write to what was stdout in an earlier test.
        logging.root.manager.loggerDict.pop(os.environ["POWERTOOLS_SERVICE_NAME"], None)
        spec = importlib.util.spec_from_file_location(
            f"function_{name}", ROOT / "functions" / name / "app.py"
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    return load_function


@pytest.fixture
def context() -> LambdaContext:
    return LambdaContext()


@pytest.fixture
def photo_zip() -> bytes:
    """A zip that the policy accepts."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for i in range(3):
            archive.writestr(f"DJI_{i:04}.JPG", bytes([i]) * 1000)
    return out.getvalue()
