"""Step Functions' `.sync` tasks of SageMaker jobs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.engine
TASK = "arn:aws:states:::sagemaker:create{}Job.sync"


@pytest.fixture
def execute(bench) -> Callable[..., str]:
    """Start an execution of one task state; returns its ARN."""
    states = bench.endpoint.client("stepfunctions")

    def start(resource: str, request: dict[str, Any], **state: Any) -> str:
        name = request.get("TrainingJobName") or request["ProcessingJobName"]
        task = {"Type": "Task", "Resource": resource, "Parameters": request, "End": True, **state}
        end = {"Type": "Pass", "End": True}
        definition = {"StartAt": "Job", "States": {"Job": task, "Caught": end}}
        machine = states.create_state_machine(
            name=f"machine-{name}", definition=json.dumps(definition), roleArn=bench.role
        )
        return str(states.start_execution(stateMachineArn=machine["stateMachineArn"])["executionArn"])

    return start


@pytest.fixture
def finished(bench) -> Callable[[str], dict[str, Any]]:
    """An execution's description once it has ended."""
    states = bench.endpoint.client("stepfunctions")

    def wait(arn: str) -> dict[str, Any]:
        describe = lambda: states.describe_execution(executionArn=arn)  # noqa: E731
        assert bench.eventually(lambda: describe()["status"] != "RUNNING")
        return dict(describe())

    return wait


def test_task_waits_for_the_job_and_returns_its_description(bench, execute, finished) -> None:
    request = bench.training("model sleep=1")
    ended = finished(execute(TASK.format("Training"), request))
    assert ended["status"] == "SUCCEEDED"
    output = json.loads(ended["output"])
    assert output["TrainingJobStatus"] == "Completed"
    assert output["ModelArtifacts"]["S3ModelArtifacts"].endswith(
        f"/{request['TrainingJobName']}/output/model/"
    )


def test_failed_job_fails_the_task_with_its_description(bench, execute, finished) -> None:
    request = bench.processing("message=too_few_photos exit=3")
    ended = finished(execute(TASK.format("Processing"), request))
    assert (ended["status"], ended["error"]) == ("FAILED", "States.TaskFailed")
    cause = json.loads(ended["cause"])
    assert cause["ProcessingJobStatus"] == "Failed"
    assert cause["FailureReason"] == "AlgorithmError: too_few_photos, exit code: 3"


def test_refused_request_has_the_sdks_error_name(bench, execute, finished) -> None:
    request = bench.processing("", AppSpecification={})
    ended = finished(execute(TASK.format("Processing"), request))
    assert ended["error"] == "SageMaker.AmazonSageMakerException"
    assert "Error Code: ValidationException" in ended["cause"]


def test_used_name_has_an_error_name_of_its_own(bench, execute, finished) -> None:
    request = bench.processing("")
    bench.run(request)
    ended = finished(execute(TASK.format("Processing"), request))
    assert ended["error"] == "SageMaker.ResourceInUseException"


def test_stopped_execution_stops_its_job_and_starts_no_other(bench, execute, finished) -> None:
    # Given an execution whose task would be tried again after any error
    request = bench.processing("sleep=60")
    again = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 3}]
    arn = execute(TASK.format("Processing"), request, Retry=again)
    name = request["ProcessingJobName"]
    assert bench.eventually(lambda: name in str(bench.sagemaker.list_processing_jobs(NameContains=name)))
    # When it is stopped
    bench.endpoint.client("stepfunctions").stop_execution(executionArn=arn, error="UserStop")
    # Then the job stops, and the execution stays aborted
    assert bench.wait(name)["ProcessingJobStatus"] == "Stopped"
    time.sleep(1.5)  # longer than the retry's interval
    described = bench.endpoint.client("stepfunctions").describe_execution(executionArn=arn)
    assert (described["status"], described["error"]) == ("ABORTED", "UserStop")


def test_task_that_times_out_stops_its_job(bench, execute, finished) -> None:
    request = bench.training("sleep=60")
    caught = [{"ErrorEquals": ["States.Timeout"], "Next": "Caught"}]
    ended = finished(execute(TASK.format("Training"), request, TimeoutSeconds=1, Catch=caught))
    assert ended["status"] == "SUCCEEDED"
    assert json.loads(ended["output"])["Error"] == "States.Timeout"
    assert bench.wait(request["TrainingJobName"])["TrainingJobStatus"] == "Stopped"


def test_task_without_sync_returns_at_once(bench, execute, finished) -> None:
    request = bench.processing("sleep=60")
    ended = finished(execute("arn:aws:states:::sagemaker:createProcessingJob", request))
    assert json.loads(ended["output"])["ProcessingJobArn"].endswith(request["ProcessingJobName"])
    assert bench.status(request["ProcessingJobName"]) == "InProgress"
    bench.stop(request["ProcessingJobName"])
