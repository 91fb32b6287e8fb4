"""SageMaker jobs as real child processes of a real engine."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from spaceport.sagemaker_tasks import SageMakerTasks

pytestmark = pytest.mark.engine
CLUSTER = {"InstanceCount": 1, "InstanceType": "ml.c6i.4xlarge", "VolumeSizeInGB": 30}


def s3_input(name: str, uri: str) -> dict[str, Any]:
    local = f"/opt/ml/processing/input/{name}"
    return {
        "InputName": name,
        "S3Input": {"S3Uri": uri, "LocalPath": local, "S3DataType": "S3Prefix", "S3InputMode": "File"},
    }


def s3_output(name: str, uri: str) -> dict[str, Any]:
    local = f"/opt/ml/processing/output/{name}"
    target = {"S3Uri": uri, "LocalPath": local, "S3UploadMode": "EndOfJob"}
    return {"Outputs": [{"OutputName": name, "S3Output": target}]}


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_processing_job_copies_its_inputs_and_outputs(bench) -> None:
    # Given two objects below a prefix, one in a folder of its own
    bench.put("in/one.txt", "one")
    bench.put("in/deep/two.txt", "two")
    # When a job copies its input to its output
    ended = bench.run(
        bench.processing(
            "copy=results",
            ProcessingInputs=[s3_input("texts", f"s3://{bench.bucket}/in")],
            ProcessingOutputConfig=s3_output("results", f"s3://{bench.bucket}/out/"),
        )
    )
    # Then the job is complete and its outputs are in the bucket
    assert ended["ProcessingJobStatus"] == "Completed"
    assert sorted(bench.keys("out/")) == ["one.txt", "two.txt"]
    assert bench.get("out/two.txt") == "TWO"
    assert ended["ProcessingEndTime"] >= ended["ProcessingStartTime"] >= ended["CreationTime"]


def test_training_job_delivers_its_model_uncompressed(bench) -> None:
    ended = bench.run(bench.training("model"))
    prefix = f"models/{ended['TrainingJobName']}/output/model/"
    assert ended["TrainingJobStatus"] == ended["SecondaryStatus"] == "Completed"
    assert ended["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{bench.bucket}/{prefix}"
    assert json.loads(bench.get(f"{prefix}deep/metrics.json")) == {"max_iterations": "7"}
    passed = [transition["Status"] for transition in ended["SecondaryStatusTransitions"]]
    assert passed == ["Starting", "Downloading", "Training", "Uploading", "Completed"]


def test_training_job_delivers_its_model_as_an_archive(bench) -> None:
    request = bench.training("model", OutputDataConfig={"S3OutputPath": f"s3://{bench.bucket}/packed/"})
    ended = bench.run(request)
    key = f"packed/{ended['TrainingJobName']}/output/model.tar.gz"
    assert ended["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{bench.bucket}/{key}"
    body = bench.s3.get_object(Bucket=bench.bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        assert sorted(archive.getnames()) == ["deep", "deep/metrics.json", "model.ply"]


def test_program_sees_no_credentials_and_no_engine(bench, monkeypatch) -> None:
    ended = bench.run(bench.processing("environment"))
    environment = json.loads(bench.lines(ended["ProcessingJobName"])[0])
    assert environment["PROCESSING_JOB_ARN"] == ended["ProcessingJobArn"]
    assert environment["SPACEPORT_ML_ROOT"].endswith("/opt/ml")
    assert not [name for name in environment if name.startswith(("AWS_", "SPACEPORT_ENGINE", "PYTHONPATH"))]


def test_lines_reach_the_log_while_the_job_runs(bench) -> None:
    # Given a job that prints and then works on
    name = bench.start(bench.processing("print=begun sleep=30"))
    # Then its lines, of both streams, are in CloudWatch Logs before it ends
    assert bench.eventually(lambda: len(bench.lines(name)) == 2)
    assert sorted(bench.lines(name)) == ["begun", "begun on stderr"]
    assert bench.status(name) == "InProgress"
    bench.stop(name)
    bench.wait(name)


def test_failure_carries_the_message_file_and_the_exit_code(bench) -> None:
    processing = bench.run(bench.processing("message=too_few_photos exit=3"))
    training = bench.run(bench.training("message=no_memory exit=70"))
    assert processing["FailureReason"] == "AlgorithmError: too_few_photos, exit code: 3"
    assert processing["ExitMessage"] == "too_few_photos"
    assert training["FailureReason"] == "AlgorithmError: no_memory, exit code: 70"
    assert training["SecondaryStatus"] == "Failed"


def test_failure_without_a_message_file(bench) -> None:
    ended = bench.run(bench.processing("exit=1"))
    assert ended["FailureReason"] == "AlgorithmError: See job logs for more information, exit code: 1"


def test_killed_program_has_a_containers_exit_code(bench) -> None:
    ended = bench.run(bench.training("kill"))
    assert ended["FailureReason"] == "AlgorithmError: , exit code: 137"


def test_stop_lets_the_program_finish_its_work(bench) -> None:
    name = bench.start(bench.training("graceful print=ready sleep=30"))
    bench.eventually(lambda: "ready" in bench.lines(name))
    bench.stop(name)
    ended = bench.wait(name)
    assert ended["TrainingJobStatus"] == "Stopped"
    assert bench.keys(f"models/{name}/output/model/") == ["partial.ply"]


def test_stop_ends_a_stubborn_program_and_its_children(bench) -> None:
    # Given a program that ignores SIGTERM and has a child
    name = bench.start(bench.processing("stubborn grandchild=stop sleep=600"))
    assert bench.eventually(lambda: bench.lines(name))
    pids = [int(pid) for pid in bench.lines(name)[0].split()[1:]]
    # When it is stopped
    began = time.monotonic()
    bench.stop(name)
    # Then both are gone, after the grace time (1 s here)
    assert bench.wait(name)["ProcessingJobStatus"] == "Stopped"
    assert 0.9 < time.monotonic() - began < 10
    assert bench.eventually(lambda: not any(is_alive(pid) for pid in pids))


def test_child_left_behind_ends_with_the_job(bench) -> None:
    ended = bench.run(bench.processing("grandchild=left"))
    _, grandchild = (int(pid) for pid in bench.lines(ended["ProcessingJobName"])[0].split()[1:])
    assert ended["ProcessingJobStatus"] == "Completed"
    assert bench.eventually(lambda: not is_alive(grandchild))


@pytest.mark.parametrize("stage", ["sfm", "3dgs"])
def test_stop_of_a_task_stops_whichever_attempt_runs(bench, stage) -> None:
    # Given a task whose third attempt runs, in a job the state machine named
    kind, make = ("training", bench.training) if stage == "3dgs" else ("processing", bench.processing)
    task, tasks = f"{kind}-of-a-job-{stage}-1", SageMakerTasks(bench.sagemaker)
    bench.start(make("sleep=600") | {f"{kind.title()}JobName": f"{task}-2"})
    # When the task is stopped
    stopped = tasks.stop(task, stage, 0)
    # Then that attempt ends; there is nothing left to stop, and never was in an unknown task
    assert stopped
    bench.wait(f"{task}-2")
    assert bench.status(f"{task}-2") == "Stopped"
    assert not tasks.stop(task, stage, 0)
    assert not tasks.stop("nothing-sfm-1", stage, 0)


def test_time_limit_stops_the_job(bench) -> None:
    ended = bench.run(bench.training("sleep=60", StoppingCondition={"MaxRuntimeInSeconds": 1}))
    assert ended["TrainingJobStatus"] == "Stopped"
    assert ended["SecondaryStatus"] == "MaxRuntimeExceeded"


def test_checkpoints_are_copied_while_the_job_runs_and_given_back(bench) -> None:
    # Given a job that writes a checkpoint and works on
    checkpoints = {"S3Uri": f"s3://{bench.bucket}/checkpoints/a", "LocalPath": "/opt/ml/checkpoints"}
    request = bench.training("checkpoint=first sleep=30", CheckpointConfig=checkpoints)
    name = bench.start(request)
    # Then it is in the bucket while the job runs
    assert bench.eventually(lambda: bench.keys("checkpoints/a/") == ["preview.jpg"])
    assert bench.status(name) == "InProgress"
    bench.stop(name)
    bench.wait(name)
    # And a later job of the same checkpoints finds it, and its last state is copied at its end
    second = bench.run(bench.training("resume checkpoint=second", CheckpointConfig=checkpoints))
    assert bench.lines(second["TrainingJobName"]) == ["resumed from first"]
    assert bench.get("checkpoints/a/preview.jpg") == "second"


def test_name_can_be_used_once(bench) -> None:
    request = bench.processing("")
    bench.run(request)
    with pytest.raises(ClientError, match="must be unique") as refused:
        bench.start(request)
    assert refused.value.response["Error"]["Code"] == "ResourceInUse"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ProcessingJobName": "a name with spaces"}, "regular expression"),
        ({"ProcessingJobName": "x" * 64}, "length less than or equal to 63"),
        ({"Environment": {"STEPS": "x" * 257}}, "length less than or equal to 256"),
        (
            {"ProcessingResources": {"ClusterConfig": {**CLUSTER, "InstanceType": "ml.huge"}}},
            "enum value set",
        ),
        ({"ProcessingResources": {"ClusterConfig": {**CLUSTER, "InstanceCount": 101}}}, "value less than"),
    ],
)
def test_malformed_request_is_refused(bench, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ClientError, match=reason) as refused:
        bench.sagemaker.create_processing_job(**bench.processing("", **changes))
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_waiting_time_needs_spot(bench) -> None:
    condition = {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 120}
    with pytest.raises(ClientError, match="EnableManagedSpotTraining"):
        bench.start(bench.training("", StoppingCondition=condition))
    bench.run(bench.training("", StoppingCondition=condition, EnableManagedSpotTraining=True))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"AppSpecification": {"ImageUri": "spaceport/unknown:1"}}, "Cannot find the image"),
        ({"ProcessingInputs": [s3_input("x", "s3://test-bucket/nowhere/")]}, "No S3 objects found"),
        ({"ProcessingOutputConfig": s3_output("../../x", "s3://test-bucket/x")}, "must be below /opt/ml"),
    ],
)
def test_request_for_what_is_not_there_fails_the_job(bench, changes: dict[str, Any], reason: str) -> None:
    ended = bench.run(bench.processing("", **changes))
    assert ended["ProcessingJobStatus"] == "Failed"
    assert ended["FailureReason"].startswith("ClientError: ")
    assert reason in ended["FailureReason"]


def test_key_cannot_leave_the_jobs_folder(bench) -> None:
    bench.put("escape/../../../evil.txt", "evil")
    inputs = [s3_input("texts", f"s3://{bench.bucket}/escape/")]
    ended = bench.run(bench.processing("", ProcessingInputs=inputs))
    assert "leads out of the job's folder" in ended["FailureReason"]


def test_list_and_tags(bench) -> None:
    ended = bench.run(bench.training("exit=1"))
    name, arn = ended["TrainingJobName"], ended["TrainingJobArn"]
    bench.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "job", "Value": "1"}])
    assert bench.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "job", "Value": "1"}]
    listed = bench.sagemaker.list_training_jobs(StatusEquals="Failed", NameContains=name)
    assert [job["TrainingJobName"] for job in listed["TrainingJobSummaries"]] == [name]
    assert not bench.sagemaker.list_training_jobs(StatusEquals="Completed", NameContains=name)[
        "TrainingJobSummaries"
    ]


def test_state_changes_are_events(bench) -> None:
    # Given a queue for the events of training jobs
    sqs, events = bench.endpoint.client("sqs"), bench.endpoint.client("events")
    queue = sqs.create_queue(QueueName="changes")["QueueUrl"]
    pattern = {"source": ["aws.sagemaker"], "detail-type": ["SageMaker Training Job State Change"]}
    events.put_rule(Name="changes", EventPattern=json.dumps(pattern))
    target = {"Id": "queue", "Arn": "arn:aws:sqs:us-east-1:000000000000:changes"}
    events.put_targets(Rule="changes", Targets=[target])
    # When a job runs
    name = bench.run(bench.training(""))["TrainingJobName"]
    # Then its beginning and its end are told
    told: list[str] = []

    def receive() -> bool:
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            detail = json.loads(message["Body"])["detail"]
            if detail["TrainingJobName"] == name:
                told.append(detail["TrainingJobStatus"])
        return len(told) == 2

    assert bench.eventually(receive), told
    assert sorted(told) == ["Completed", "InProgress"]
