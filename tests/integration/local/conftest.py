"""Engines for tests: on free ports, with data folders of their own, stopped at the end."""

from __future__ import annotations

import itertools
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spaceport_local.endpoint import Endpoint
from spaceport_local.folders import DataFolder
from spaceport_local.launcher import Launcher

PROBE = Path(__file__).with_name("probe_program.py")
OPTIONS = ("--program", f"probe={PROBE}", "--stop-grace-seconds", "1", "--checkpoint-seconds", "0.5")
IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/spaceport/probe:latest"
BUCKET = "test-bucket"
ROLE = "arn:aws:iam::000000000000:role/jobs"
TERMINAL = ("Completed", "Failed", "Stopped")


class Bench:
    """An engine with a bucket and a role, and jobs of the probe program that do given steps."""

    bucket = BUCKET
    role = ROLE
    image = IMAGE
    _numbers = itertools.count(1)

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.s3, self.logs = endpoint.client("s3"), endpoint.client("logs")
        self.sagemaker = endpoint.client("sagemaker")

    def furnish(self) -> None:
        """Make the bucket, and the role of all jobs and machines: one that may do everything."""
        self.s3.create_bucket(Bucket=BUCKET)
        services = ["sagemaker.amazonaws.com", "states.amazonaws.com"]
        trust = {"Effect": "Allow", "Principal": {"Service": services}, "Action": "sts:AssumeRole"}
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        iam, name = self.endpoint.client("iam"), ROLE.rpartition("/")[2]
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))
        iam.put_role_policy(
            RoleName=name, PolicyName="all", PolicyDocument=json.dumps({"Statement": [everything]})
        )

    def processing(self, steps: str, **changes: Any) -> dict[str, Any]:
        """A processing job's request."""
        return {
            "ProcessingJobName": f"processing-{next(self._numbers)}",
            "RoleArn": ROLE,
            "AppSpecification": {"ImageUri": IMAGE},
            "Environment": {"STEPS": steps},
            "ProcessingResources": {
                "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.c6i.4xlarge", "VolumeSizeInGB": 30}
            },
            **changes,
        }

    def training(self, steps: str, **changes: Any) -> dict[str, Any]:
        """A training job's request."""
        return {
            "TrainingJobName": f"training-{next(self._numbers)}",
            "RoleArn": ROLE,
            "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            "HyperParameters": {"max_iterations": "7"},
            "Environment": {"STEPS": steps},
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/models", "CompressionType": "NONE"},
            "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.g4dn.xlarge", "VolumeSizeInGB": 30},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            **changes,
        }

    def start(self, request: dict[str, Any]) -> str:
        if "TrainingJobName" in request:
            self.sagemaker.create_training_job(**request)
            return str(request["TrainingJobName"])
        self.sagemaker.create_processing_job(**request)
        return str(request["ProcessingJobName"])

    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        """The job's description once it has ended."""
        return self.wait(self.start(request))

    def describe(self, name: str) -> dict[str, Any]:
        if name.startswith("training"):
            return dict(self.sagemaker.describe_training_job(TrainingJobName=name))
        return dict(self.sagemaker.describe_processing_job(ProcessingJobName=name))

    def status(self, name: str) -> str:
        described = self.describe(name)
        return str(described.get("TrainingJobStatus") or described.get("ProcessingJobStatus"))

    def wait(self, name: str) -> dict[str, Any]:
        assert self.eventually(lambda: self.status(name) in TERMINAL), self.describe(name)
        return self.describe(name)

    def stop(self, name: str) -> None:
        if name.startswith("training"):
            self.sagemaker.stop_training_job(TrainingJobName=name)
        else:
            self.sagemaker.stop_processing_job(ProcessingJobName=name)

    def lines(self, name: str) -> list[str]:
        """The job's log lines so far."""
        kind = "Training" if name.startswith("training") else "Processing"
        where = {"logGroupName": f"/aws/sagemaker/{kind}Jobs"}
        try:
            streams = self.logs.describe_log_streams(**where, logStreamNamePrefix=f"{name}/")["logStreams"]
        except self.logs.exceptions.ResourceNotFoundException:
            return []
        return [
            event["message"]
            for stream in streams
            for event in self.logs.get_log_events(
                **where, logStreamName=stream["logStreamName"], startFromHead=True
            )["events"]
        ]

    def put(self, key: str, body: str) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body.encode())

    def get(self, key: str) -> str:
        return str(self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode())

    def keys(self, prefix: str) -> list[str]:
        found = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return [entry["Key"].removeprefix(prefix) for entry in found]

    @staticmethod
    def eventually(test: Callable[[], Any], seconds: float = 30.0) -> Any:
        """What `test` returns as soon as that is true; its last answer when it never is."""
        deadline = time.monotonic() + seconds
        while not (answer := test()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return answer


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def new_launcher(repository: Path) -> Iterator[Callable[..., Launcher]]:
    """Launchers of engines that end with the test."""
    launchers: list[Launcher] = []

    def make(folder: Path, port: int | None = None) -> Launcher:
        launcher = Launcher(DataFolder(folder), repository, port or free_port(), OPTIONS)
        launchers.append(launcher)
        return launcher

    yield make
    for launcher in launchers:
        launcher.stop()


@pytest.fixture
def bench_of() -> Callable[[Endpoint], Bench]:
    """A bench on an engine that the test started; it is furnished when it is bare."""

    def make(endpoint: Endpoint) -> Bench:
        bench = Bench(endpoint)
        if BUCKET not in {bucket["Name"] for bucket in bench.s3.list_buckets()["Buckets"]}:
            bench.furnish()
        return bench

    return make


@pytest.fixture(scope="module")
def bench(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One engine for a module's tests."""
    folder = DataFolder(tmp_path_factory.mktemp("engine"))
    launcher = Launcher(folder, repository, free_port(), OPTIONS)
    bench = Bench(launcher.start())
    bench.furnish()
    yield bench
    launcher.stop()
