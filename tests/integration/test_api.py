"""The HTTP API on the local cloud: real tokens, real users, real executions, stub programs."""

from __future__ import annotations

import io
import json
import re
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spaceport.job import Outputs
from spaceport.openapi import OPERATIONS
from spaceport.operator_account import password_in
from spaceport_cli.api import ApiClient
from spaceport_cli.results import fetch
from spaceport_local.cloud import LocalCloud

pytestmark = pytest.mark.engine
STOP_S = 10.0  # how soon a stopped job has to be STOPPED


@pytest.fixture(scope="module")
def stack(tmp_path_factory, stubs, stack_of) -> Iterator[Any]:
    cloud = LocalCloud(data_dir=tmp_path_factory.mktemp("cloud"), options=stubs.options)
    cloud.up()
    yield stack_of(cloud)
    cloud.down()


@pytest.fixture(autouse=True)
def let_go(stubs) -> Iterator[None]:
    yield
    stubs.let_go()


def photo_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for i in range(3):
            archive.writestr(f"DJI_{i:04}.JPG", bytes([i]) * 1000)
    return out.getvalue()


def test_nobody_without_a_good_token(stack, alice, operator):
    # Given every route that was deployed
    api = stack.cloud.client("apigatewayv2")
    routes = api.get_routes(ApiId=stack.output("ApiId"))["Items"]
    closed = [route for route in routes if route["AuthorizationType"] == "JWT"]
    assert len(closed) == sum(not operation.is_open for operation in OPERATIONS)
    # Whoever has a link may look at what it shows, and that is all
    opened = {route["RouteKey"] for route in routes if route not in closed}
    assert opened == {"GET /shared/{token}", "GET /shared/{token}/{proxy+}"}
    # When it is asked without a token, with garbage, and with a token whose user was changed afterwards
    header, claims, signature = alice.token.split(".")
    forged = ".".join((header, operator.token.split(".")[1], signature))
    for token in (None, "garbage", f"{header}.{claims}.", forged):
        for route in closed:
            method, path = re.sub(r"{\w+}", "job-1", route["RouteKey"]).split()
            # Then it never comes to the function
            assert replace(alice, token=token).ask(method, path)[0] == 401, (token, path)


def test_the_operator_is_ready_once_the_cloud_is_up(stack):
    # Given a cloud that nobody has used yet
    cognito, secrets = stack.cloud.client("cognito-idp"), stack.cloud.client("secretsmanager")
    secret = secrets.get_secret_value(SecretId=stack.output("AccessTokenSecretArn"))["SecretString"]
    user = cognito.admin_get_user(UserPoolId=stack.output("UserPoolId"), Username="operator")
    assert user["UserStatus"] == "CONFIRMED"
    # Then the stack's secret is the password, for programs and for pages, which send no password (SRP)
    answers = [
        cognito.initiate_auth(
            ClientId=stack.output("UserPoolClientId"),
            AuthFlow=flow,
            AuthParameters={"USERNAME": "operator", **parameters},
        )
        for flow, parameters in (
            ("USER_PASSWORD_AUTH", {"PASSWORD": password_in(secret)}),
            ("USER_SRP_AUTH", {"SRP_A": "7" * 768}),
        )
    ]
    assert "AccessToken" in answers[0]["AuthenticationResult"]
    assert answers[1]["ChallengeName"] == "PASSWORD_VERIFIER"


def test_a_password_that_somebody_chose_outlives_the_next_start(stack):
    cognito = stack.cloud.client("cognito-idp")
    who = {"UserPoolId": stack.output("UserPoolId"), "Username": "operator"}
    secret = stack.cloud.client("secretsmanager").get_secret_value(
        SecretId=stack.output("AccessTokenSecretArn")
    )["SecretString"]
    cognito.admin_set_user_password(**who, Password="Somebody-chose-this-1", Permanent=True)
    try:
        # When the cloud is brought up again
        stack.cloud.up()
        # Then it is still theirs
        answer = cognito.initiate_auth(
            ClientId=stack.output("UserPoolClientId"),
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": "operator", "PASSWORD": "Somebody-chose-this-1"},
        )
        assert "AccessToken" in answer["AuthenticationResult"]
    finally:
        cognito.admin_set_user_password(**who, Password=password_in(secret), Permanent=True)


def test_a_job_from_start_to_end_and_only_its_owner_and_admins_see_it(stack, alice, bob, operator):
    # Given a zip that Alice has uploaded, whose drop may or may not have been noticed
    job_id = stack.drop(photo_zip(), "uploads/alice/beach.zip")
    body = {"s3Url": f"s3://{stack.output('UploadsBucket')}/uploads/alice/beach.zip", "jobName": "Beach"}
    # When she starts it, twice
    first, second = alice.ask("POST", "/start-job", body), alice.ask("POST", "/start-job", body)
    # Then it is one job, which runs to its end
    assert (first[0], second[0]) == (202, 202)
    assert first[1]["jobId"] == second[1]["jobId"] == job_id
    assert second[1]["created"] is False
    assert alice.until_ended(job_id)["status"] == "COMPLETED"
    # And Bob finds no such job, just as if it were none, while the operator sees it
    for method, path, sent in (
        ("GET", f"/jobs/{job_id}", None),
        ("POST", "/stop-job", {"jobId": job_id}),
        ("POST", f"/jobs/{job_id}/retry", {}),
    ):
        assert bob.ask(method, path, sent)[0] == 404
    status, refused = bob.ask("POST", "/start-job", body)
    assert (status, refused["code"]) == (400, "foreign_s3_uri")
    listed = {
        who: [job["jobId"] for job in who.ask("GET", "/jobs")[1]["jobs"]] for who in (alice, bob, operator)
    }
    assert listed[bob] == []
    assert job_id in listed[alice]
    assert job_id in listed[operator]
    assert operator.status_of(job_id) == alice.status_of(job_id)
    # And there is nothing to stop or to try again any more
    assert alice.ask("POST", "/stop-job", {"jobId": job_id})[1]["code"] == "job_over"
    assert alice.ask("POST", f"/jobs/{job_id}/retry", {})[1]["code"] == "already_done"


def test_a_stopped_job_goes_on_where_it_was(stack, stubs, alice):
    # Given a job that is in training
    stubs.hold("3dgs")
    job_id = stack.drop(photo_zip(), "uploads/alice/stopped.zip")
    alice.until(job_id, lambda told: told["stages"]["3dgs"]["progress"] > 0, seconds=30)
    # When Alice stops it, twice
    asked = time.monotonic()
    first = alice.ask("POST", "/stop-job", {"jobId": job_id})
    ended = alice.until_ended(job_id, STOP_S)
    second = alice.ask("POST", "/stop-job", {"jobId": job_id})
    # Then it is STOPPED in time, and the second changes nothing
    assert (first[0], second[0]) == (202, 200)
    assert (ended["status"], second[1]["version"]) == ("STOPPED", ended["version"])
    assert time.monotonic() - asked < STOP_S
    # And tried again it goes on with training, from the checkpoint, without SfM
    stubs.let_go()
    assert alice.ask("POST", f"/jobs/{job_id}/retry", {}) == (
        202,
        {"jobId": job_id, "run": 2, "pipelineStep": "3dgs"},
    )
    assert alice.until_ended(job_id)["status"] == "COMPLETED"
    names = [name for name, _ in stubs.begun(job_id)]
    assert names == ["sfm-1-0", "3dgs-1-0", "3dgs-2-0", "sog-2-0"]


def test_a_later_step_is_done_again_with_other_tuning(stack, stubs, alice):
    job_id = stack.drop(photo_zip(), "uploads/alice/again.zip", preset="preview")
    body = {"s3Url": f"s3://{stack.output('UploadsBucket')}/uploads/alice/again.zip"}
    assert alice.ask("POST", "/start-job", body)[1]["jobId"] == job_id
    alice.until_ended(job_id)
    # When the ended job's last step is asked for again
    status, told = alice.ask("POST", "/start-job", {**body, "pipelineStep": "compression"})
    # Then only that one runs
    assert (status, told) == (202, {"jobId": job_id, "status": "QUEUED", "created": True})
    assert alice.until_ended(job_id)["status"] == "COMPLETED"
    assert [name for name, _ in stubs.begun(job_id)] == ["sfm-1-0", "3dgs-1-0", "sog-1-0", "sog-2-0"]


def test_levels_of_detail_are_fetched_and_gone_after_a_run_without_them(stack, alice, tmp_path):
    # Given a job whose 100 Gaussians are called many
    job_id = stack.drop(photo_zip(), "uploads/alice/large.zip", preset="preview", lod_above=99)
    body = {"s3Url": f"s3://{stack.output('UploadsBucket')}/uploads/alice/large.zip"}
    assert alice.ask("POST", "/start-job", body)[1]["jobId"] == job_id
    s3, bucket = stack.cloud.client("s3"), stack.output("DataBucket")
    # When its results are fetched
    first = alice.until_ended(job_id)
    fetch(s3, Outputs.model_validate(first["outputs"]), tmp_path)
    # Then all pieces are there
    assert (tmp_path / "lod/0_0/meta.json").read_text() == "{}"
    assert (tmp_path / "lod/lod-meta.json").is_file()
    # When its last step is done again, and 100 are not many
    time.sleep(1)  # S3 tells whole seconds: what is older by less is not known to be
    again = {**body, "pipelineStep": "compression", "tuning": {"lod_above": 100}}
    assert alice.ask("POST", "/start-job", again)[0] == 202
    second = alice.until_ended(job_id)
    assert (second["status"], second["outputs"]["lod"]) == ("COMPLETED", None)
    # Then they are neither in the bucket nor where the results are fetched to
    assert s3.list_objects_v2(Bucket=bucket, Prefix=f"jobs/{job_id}/compressed/lod/")["KeyCount"] == 0
    fetch(s3, Outputs.model_validate(second["outputs"]), tmp_path)
    assert not (tmp_path / "lod").exists()
    assert (tmp_path / "model.sog").is_file()


def test_a_completed_job_is_packed_anew_and_keeps_its_results_until_then(stack, stubs, alice):
    # Given a completed job
    job_id = stack.drop(photo_zip(), "uploads/alice/again.zip", preset="preview")
    first = alice.until_ended(job_id)
    assert first["status"] == "COMPLETED"
    # When Alice asks for its compression once more, otherwise
    time.sleep(1)  # S3 tells whole seconds: what is older by less is not known to be
    stubs.hold("compression")
    asked = alice.ask("POST", f"/jobs/{job_id}/retry", {"tuning": {"lod_above": 10}})
    assert asked == (202, {"jobId": job_id, "run": 2, "pipelineStep": "compression"})
    # Then it has the first run's results while it runs
    running = alice.until(job_id, lambda told: told["stage"] == "compression", seconds=30)
    assert running["outputs"] == first["outputs"]
    # And when that is stopped
    assert alice.ask("POST", "/stop-job", {"jobId": job_id})[0] == 202
    assert alice.until_ended(job_id, STOP_S)["outputs"] == first["outputs"]
    # And its own once it has ended, with the tuning that was given last
    stubs.let_go()
    assert alice.ask("POST", f"/jobs/{job_id}/retry", {})[0] == 202
    last = alice.until(job_id, lambda told: told["status"] == "COMPLETED", seconds=30)
    assert (first["outputs"]["lod"], last["outputs"]["lod"] is None) == (None, False)
    begun = [name for name, _ in stubs.begun(job_id)]
    assert (begun[0], begun[1], begun[-1]) == ("sfm-1-0", "3dgs-1-0", "sog-3-0")
    assert len([name for name in begun if "sog" not in name]) == 2
    # And what was done three times has cost what it has: on one's own machine, nothing
    assert last["earlierCosts"] == {"compression": 0.0}


def test_a_finished_job_whose_zip_has_expired_has_its_later_steps_done_again(stack, stubs, alice):
    # Given a completed job, whose zip is gone
    job_id = stack.drop(photo_zip(), "uploads/alice/expired.zip", preset="preview")
    first = alice.until_ended(job_id)
    stack.cloud.client("s3").delete_object(
        Bucket=stack.output("UploadsBucket"), Key="uploads/alice/expired.zip"
    )
    # When all of it is to be done anew, Then that fails, says what is left to do, and has changed nothing
    assert alice.ask("POST", f"/jobs/{job_id}/retry", {"pipelineStep": "sfm"})[0] == 202
    second = alice.until(job_id, lambda told: told["status"] == "FAILED", seconds=30)
    assert second["error"]["code"] == "no_such_zip"
    assert "pipelineStep compression" in second["error"]["hint"]
    for field in ("stages", "metrics", "outputs"):
        assert second[field] == first[field]
    # And its later steps can be done all the same
    asked = {"pipelineStep": "compression", "tuning": {"lod_above": 10}}
    assert alice.ask("POST", f"/jobs/{job_id}/retry", asked)[0] == 202
    third = alice.until(job_id, lambda told: told["status"] == "COMPLETED", seconds=30)
    assert third["stages"]["3dgs"] == first["stages"]["3dgs"]
    assert third["outputs"]["lod"] is not None
    assert [name for name, _ in stubs.begun(job_id)] == ["sfm-1-0", "3dgs-1-0", "sog-1-0", "sog-3-0"]


def test_the_sample_execution_input_starts_a_job_of_the_operators(stack, operator, repository: Path):
    # Given the sample, its buckets and account replaced by this stack's, and the zip that it names
    sample = (repository / "events" / "start_execution.json").read_text()
    for kind, name in (("uploads", stack.output("UploadsBucket")), ("data", stack.output("DataBucket"))):
        sample = sample.replace(f"spaceport-{kind}-000000000000-us-east-1", name)
    given = json.loads(sample)
    bucket, key = given["s3Url"].removeprefix("s3://").split("/", 1)
    stack.cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=photo_zip())
    # When an execution is started with it
    started = stack.cloud.client("stepfunctions").start_execution(
        stateMachineArn=stack.output("StateMachineArn"), input=json.dumps(given)
    )
    # Then the job has its row, the operator's, and goes its way
    job_id = given["jobId"]
    ended = operator.until_ended(job_id)
    assert (ended["status"], ended["jobName"]) == ("COMPLETED", "Brighton beach")
    table = stack.cloud.client("dynamodb")
    row = table.get_item(TableName=stack.output("JobsTable"), Key={"jobId": {"S": job_id}})["Item"]
    assert row["owner"]["S"] == "operator"
    assert row["executionArn"]["S"] == started["executionArn"]


def test_the_command_signs_in_again_when_its_token_is_worth_nothing(stack):
    client = ApiClient(stack.cloud)
    assert "jobs" in client.get("/jobs?limit=1")
    client._token = "expired"
    assert "jobs" in client.get("/jobs?limit=1")
