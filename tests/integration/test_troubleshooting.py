"""RUNBOOK.md's "Setting up, and first jobs" on the local engine: each situation, what is seen, and the mend.

Quotes are looked for in the page and in what the user is told; commands are the page's own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from aws_words import AwsCall, calls_in
from botocore.exceptions import ClientError
from injection import Faults, start_faulty_cloud

from spaceport.errors import UserError

pytestmark = pytest.mark.engine

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ENDED = {"COMPLETED", "FAILED", "STOPPED", "REJECTED"}
ENDS_WITHIN_S = 60.0
PAGE = " ".join((ROOT / "RUNBOOK.md").read_text().split())
FAILURES = {
    one["name"]: one
    for one in json.loads((ROOT / "tests" / "unit" / "contract" / "failures.json").read_text())
}


def the_pages(operation: str) -> AwsCall:
    """The page's command of this name."""
    return next(call for call in calls_in((ROOT / "RUNBOOK.md").read_text()) if call.operation == operation)


@dataclass(frozen=True)
class Place:
    """A stack on which things go wrong: its programs take orders, its engine faults."""

    stack: Any
    faults: Faults
    programs: Path
    data: Path

    def order(self, suffix: str, word: str | None) -> None:
        """What the next jobs' programs of a stage (`sfm`, `3dgs`, `sog`) do; None: nothing special."""
        file = self.programs / "orders" / suffix
        file.unlink(missing_ok=True) if word is None else file.write_text(word)

    def starts_by_hand(
        self, job_id: str, zip_s3_uri: str, faults: Mapping[str, Sequence[object]] | None = None
    ) -> str:
        """Start an execution; the job's id."""
        self.faults.fail_tasks(f"{job_id}-1", faults or {})
        self.stack.cloud.client("stepfunctions").start_execution(
            stateMachineArn=self.stack.output("StateMachineArn"),
            name=f"{job_id}-1",
            input=json.dumps({"jobId": job_id, "s3Url": zip_s3_uri}),
        )
        return job_id

    def command(self, *words: str) -> tuple[int, str]:
        """`spaceport`'s exit code, and what it prints, on one line."""
        told = subprocess.run(
            [sys.executable, "-m", "spaceport_cli", *words],
            env={**os.environ, "SPACEPORT_HOME": str(self.data)},
            cwd=self.programs,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return told.returncode, " ".join((told.stdout + told.stderr).split())

    def execution(self, job_id: str, run: int = 1) -> tuple[list[str | None], list[list[str | None]]]:
        """What the page's two commands tell: [status, error, cause], and the newest events."""
        machine = self.stack.output("StateMachineArn")
        arn = f"{machine.replace(':stateMachine:', ':execution:')}:{job_id}-{run}"
        client = self.stack.cloud.client("stepfunctions")
        calls = (the_pages("describe-execution"), the_pages("get-execution-history"))
        told, events = (
            replace(one, options=one.options | {"execution-arn": arn}).do(client) for one in calls
        )
        return told, events

    def until_ended(self, job_id: str) -> dict[str, Any]:
        """The job's status once it has ended."""
        deadline = time.monotonic() + ENDS_WITHIN_S
        while True:
            with suppress(UserError):  # an execution that was started by hand has no row at first
                if (told := self.stack.api.get(f"/jobs/{job_id}"))["status"] in ENDED:
                    return dict(told)
            assert time.monotonic() < deadline, job_id
            time.sleep(0.2)

    def sees(self, job_id: str, quote: str, code: str) -> None:
        """The job fails so: the command, the row and its execution agree, and the page has their words."""
        ended = self.until_ended(job_id)
        assert (ended["status"], ended["error"]["code"]) == ("FAILED", code)
        said = self.command("status", job_id)[1]
        for part in quote.split(" … "):
            assert part in PAGE
            assert part in said
        (status, error, cause), events = self.execution(job_id)
        assert (status, error, cause) == ("FAILED", code, ended["error"]["message"])
        assert events[0][0] == "ExecutionFailed"
        assert f"`{code}`" in PAGE

    def goes_on(self, job_id: str, begins: str) -> None:
        """`spaceport retry` brings it to its end, beginning there."""
        code, said = self.command("retry", job_id, "--out", job_id)
        assert code == 0, said
        assert f"from {begins}, run 2" in said
        assert self.until_ended(job_id)["status"] == "COMPLETED"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, stubs, stack_of) -> Iterator[Place]:
    program = stubs.folder / "ordered.py"
    options = [word.replace(str(stubs.folder / "program.py"), str(program)) for word in stubs.options]
    program.write_text((HERE / "ordered_program.py").read_text())
    (stubs.folder / "orders").mkdir()
    faults = Faults(tmp_path_factory.mktemp("faults"))
    data = tmp_path_factory.mktemp("engine")
    cloud = start_faulty_cloud(data, faults, [*options, "--enforce-iam"])
    yield Place(stack_of(cloud), faults, stubs.folder, data)
    cloud.down()


@pytest.fixture(scope="module")
def zip_s3_uri(place) -> str:
    """A zip that no event makes a job of; the stub doesn't look at it."""
    bucket = place.stack.output("UploadsBucket")
    place.stack.cloud.client("s3").put_object(Bucket=bucket, Key="photos", Body=b"photos")
    return f"s3://{bucket}/photos"


@pytest.fixture
def drop(place, photos_zip) -> Callable[[str], str]:
    return lambda name: place.stack.drop(photos_zip, f"uploads/operator/{name}.zip", pipelineStep="sfm")


def of_aws(name: str) -> list[object]:
    """One of AWS's failures, of the first attempt, as it was caught."""
    found = FAILURES[name]
    cause = found["cause"] if isinstance(found["cause"], str) else json.dumps(found["cause"])
    return [found["error"], 1, cause]


def test_an_image_that_is_not_there(place, zip_s3_uri):
    job_id = place.starts_by_hand("no-image", zip_s3_uri, {"RunTraining": of_aws("no-image")})
    place.sees(
        job_id,
        "could not begin: SageMaker can't take its image. … Cannot pull algorithm container",
        "no_image",
    )
    place.goes_on(job_id, "training")


def test_a_quota_of_none_and_machines_that_are_all_in_use(place, zip_s3_uri):
    # Given an account without GPUs
    job_id = place.starts_by_hand("no-quota", zip_s3_uri, {"RunTraining": of_aws("no-quota")})
    place.sees(
        job_id,
        "needs a machine of a kind that this account may not have here: its quota is none",
        "no_capacity",
    )
    place.goes_on(job_id, "training")
    # And one whose GPUs are busy: that job waits, and its execution with it
    job_id = place.starts_by_hand("busy", zip_s3_uri, {"RunTraining": of_aws("no-capacity")})
    with place.stack.follow(job_id) as follower:
        follower.until(lambda told: told["status"] == "WAITING_CAPACITY", seconds=60)
    said = place.command("status", job_id)[1]
    assert re.search(r"next try at [\d:]+ \(No free ml\.g4dn\.xlarge\)", said)
    (status, _, _), events = place.execution(job_id)
    assert (status, events[0][1]) == ("RUNNING", "WaitForMachine")
    assert place.command("stop", job_id)[0] == 0


def test_an_execution_whose_input_is_wrong(place, zip_s3_uri):
    job_id = place.starts_by_hand("elsewhere", "s3://elsewhere/photos.zip")
    place.sees(
        job_id,
        "s3Url names s3://elsewhere/photos.zip, which is not in this stack's uploads bucket.",
        "foreign_s3_uri",
    )


def test_a_zip_without_photos(place, tmp_path, repository):
    with zipfile.ZipFile(tmp_path / "text.zip", "w") as file:
        file.writestr("a.txt", "no photo")
    code, said = place.command("run", str(tmp_path / "text.zip"))
    quote = "holds no photos; a model needs at least 3"
    assert (code, quote in said, quote in PAGE) == (2, True, True)


@pytest.mark.parametrize(
    ("word", "quote", "code"),
    [
        (
            "break",
            "failed: AlgorithmError: … exit code: 70",
            "fault",
        ),
        (
            "die",
            "was killed before it could finish, most likely because the machine ran out of memory",
            "killed",
        ),
    ],
)
def test_training_that_fails_goes_on_with_the_camera_poses_it_has(place, stubs, drop, word, quote, code):
    place.order("3dgs", word)
    job_id = drop(word)
    place.sees(job_id, quote, code)
    place.order("3dgs", None)
    place.goes_on(job_id, "training")
    assert [name for name, _ in stubs.begun(job_id) if name.startswith("sfm")] == ["sfm-1-0"]


def test_a_job_that_hangs_is_stopped_and_goes_on(place, stubs, drop):
    # Given training that says nothing for ever
    stubs.hold("3dgs")
    job_id = drop("hangs")
    with place.stack.follow(job_id) as follower:
        follower.until(lambda told: told["stage"] == "3dgs", seconds=60)
        until_it_has_begun = time.monotonic() + 30
        while ("3dgs-1-0", "0") not in stubs.begun(job_id):
            assert time.monotonic() < until_it_has_begun
            time.sleep(0.1)
        # Its machine is told of, and its execution waits for it
        call = the_pages("list-training-jobs")
        running = call.do(place.stack.cloud.client("sagemaker"))["TrainingJobSummaries"]
        assert [one["TrainingJobName"] for one in running] == [f"{job_id}-3dgs-1-0"]
        assert "RunTraining" in {event[1] for event in place.execution(job_id)[1]}
        # When it is stopped
        assert place.command("stop", job_id)[0] == 0
        assert follower.until_ended(seconds=20)["status"] == "STOPPED"
    # Then all of it has ended, and it goes on with what training had left, as after a spot machine was taken
    assert place.execution(job_id)[0][0] == "ABORTED"
    stubs.let_go()
    place.goes_on(job_id, "training")
    assert ("3dgs-2-0", "700") in stubs.begun(job_id)
    # And Step Functions' own way is none here
    with pytest.raises(ClientError, match="Unknown action: RedriveExecution"):
        place.stack.cloud.client("stepfunctions").redrive_execution(
            executionArn=place.stack.executions_of(job_id)[0]["executionArn"]
        )


def test_a_right_that_is_missing(place, drop):
    # Given a role whose policy somebody deleted
    iam, functions = place.stack.cloud.client("iam"), place.stack.cloud.client("lambda")
    name = place.stack.resource("PublishResult")
    role = functions.get_function_configuration(FunctionName=name)["Role"].rpartition("/")[2]
    (policy,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    iam.delete_role_policy(RoleName=role, PolicyName=policy)
    # When a job needs it
    job_id = drop("denied")
    place.sees(job_id, "is not authorized to perform: dynamodb:GetItem", "fault")
    # And the policy is as the template has it
    iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(document))
    place.goes_on(job_id, "compression")


def test_a_results_bucket_that_is_gone(place, zip_s3_uri):
    s3, bucket = place.stack.cloud.client("s3"), place.stack.output("DataBucket")
    while found := s3.list_objects_v2(Bucket=bucket).get("Contents"):
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": one["Key"]} for one in found]})
    s3.delete_bucket(Bucket=bucket)
    job_id = place.starts_by_hand("no-bucket", zip_s3_uri)
    place.sees(job_id, "NoSuchBuc", "aws_fault")  # its sentence is cut
    s3.create_bucket(Bucket=bucket)
    place.goes_on(job_id, "camera poses")


def test_an_uploads_bucket_that_is_gone(place, photos_zip, tmp_path):
    # Given a stack without it
    s3, bucket = place.stack.cloud.client("s3"), place.stack.output("UploadsBucket")
    listed = s3.list_object_versions(Bucket=bucket)
    for one in [*listed.get("Versions", []), *listed.get("DeleteMarkers", [])]:
        s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
    s3.delete_bucket(Bucket=bucket)
    (tmp_path / "photos.zip").write_bytes(photos_zip)
    code, said = place.command("run", str(tmp_path / "photos.zip"))
    assert code == 1
    for part in ("The photos could not be uploaded:", "NoSuchBucket"):
        assert part in said
        assert part in PAGE
    # When it is made again, as the page says
    s3.create_bucket(Bucket=bucket)
    assert the_pages("put-bucket-versioning").options["versioning-configuration"] == "Status=Enabled"
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    told = the_pages("put-bucket-notification-configuration").options["notification-configuration"]
    assert told == "EventBridgeConfiguration={}"
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    # Then a zip becomes a job
    code, said = place.command("run", str(tmp_path / "photos.zip"), "--out", "again")
    assert code == 0, said
