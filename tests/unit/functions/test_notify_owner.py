"""Who is written to when a job ends, and what becomes of it: on moto's Cognito and S3, with SES's answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from email import message_from_bytes, policy
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError
from botocore.stub import ANY, Stubber
from pydantic import ValidationError

from spaceport.job import JobRecord, JobRequest, Kind, NotificationState, Outputs, empty_stages, now_iso
from spaceport.letters import LARGEST_PICTURE
from spaceport.stages import LIVE, TERMINAL, Status

ROOT = Path(__file__).resolve().parents[3]
EVENT: dict[str, Any] = json.loads((ROOT / "events" / "job_changed.json").read_text())
ANN = "ann@example.org"
ONCE = Config(retries={"total_max_attempts": 1})


@pytest.fixture
def put(aws) -> Callable[..., JobRecord]:
    """`put(status=...)`: a row of Ann's that asks for a letter to her."""

    def put(**fields: Any) -> JobRecord:
        now = now_iso()
        told = {"job_id": "job-1", "owner": "ann", "email": ANN, "created_at": now, "updated_at": now}
        row = JobRecord.model_validate({**told, "stages": empty_stages(), **fields})
        assert aws.jobs.create(row)
        return row

    return put


@pytest.fixture
def function(aws, load) -> ModuleType:
    """The function, with Ann in the user pool, whose address is verified, and Ben, whose is not."""
    cognito = boto3.client("cognito-idp")
    pool = cognito.create_user_pool(PoolName="users")["UserPool"]["Id"]
    for name, verified in (("ann", "true"), ("ben", "false")):
        told = {"email": f"{name}@example.org", "email_verified": verified}
        attributes = [{"Name": key, "Value": value} for key, value in told.items()]
        cognito.admin_create_user(UserPoolId=pool, Username=name, UserAttributes=attributes)
    return load("notify_owner", USER_POOL_ID=pool, SENDER_ADDRESS="spaceport@example.org")


@pytest.fixture
def tell(function, context) -> Callable[[], NotificationState | None]:
    """`tell()`: the event that job-1 has ended; what became of the letter."""
    event = {**EVENT, "detail": {**EVENT["detail"], "jobId": "job-1"}}
    return lambda: function.handler(event, context)["state"]


def notification_of(aws: Any) -> tuple[str, str] | None:
    row = aws.jobs.get("job-1")
    assert row is not None
    return (row.notification.state, row.notification.reason) if row.notification else None


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_an_owner_gets_one_letter_however_often_the_event_comes(aws, put, function, tell, status):
    # Given a job that has ended, with a picture
    picture = f"s3://{aws.data_bucket}/jobs/job-1/compressed/thumbnail.jpg"
    boto3.client("s3").put_object(
        Bucket=aws.data_bucket, Key="jobs/job-1/compressed/thumbnail.jpg", Body=b"jpeg"
    )
    put(status=status, outputs=Outputs(thumbnail=picture))
    sent: list[dict[str, Any]] = []
    function.ses.meta.events.register(
        "before-parameter-build.sesv2.SendEmail", lambda params, **_: sent.append(params)
    )
    with Stubber(function.ses) as ses:
        ses.add_response("send_email", {"MessageId": "1"})
        # When the event comes twice
        assert [tell(), tell()] == [NotificationState.SENT, None]
    # Then one letter went to her, with the picture, and the row says so and nothing else
    (letter,) = sent
    assert letter["Destination"] == {"ToAddresses": [ANN]}
    message = message_from_bytes(letter["Content"]["Raw"]["Data"], policy=policy.SMTP)
    assert (message["To"], message["From"]) == (ANN, "spaceport@example.org")
    assert [part.get_content() for part in message.walk() if part.get_content_type() == "image/jpeg"] == [
        b"jpeg"
    ]
    assert notification_of(aws) == ("sent", "")
    assert aws.jobs.get("job-1").status is status


def test_a_letter_that_ses_refuses_is_noted_and_the_job_is_what_it_was(aws, put, function, tell):
    put(status=Status.COMPLETED)
    with Stubber(function.ses) as ses:
        ses.add_client_error("send_email", "MessageRejected", "Email address is not verified.")
        assert tell() is NotificationState.FAILED
    assert notification_of(aws) == ("failed", "Email address is not verified.")
    assert aws.jobs.get("job-1").status is Status.COMPLETED


def test_a_letter_that_ses_has_no_time_for_is_sent_when_the_event_comes_again(aws, put, function, tell):
    put(status=Status.COMPLETED)
    with Stubber(function.ses) as ses:
        ses.add_client_error("send_email", "TooManyRequestsException", "Slow down.")
        ses.add_response("send_email", {"MessageId": "1"})
        with pytest.raises(Exception, match="Slow down"):
            tell()
        assert notification_of(aws) == ("failed", "Slow down.")
        assert tell() is NotificationState.SENT


def test_a_letter_for_which_there_was_no_connection_is_sent_when_the_event_comes_again(
    aws, put, function, tell, monkeypatch
):
    put(status=Status.COMPLETED)
    with monkeypatch.context() as patch:
        patch.setattr(function, "ses", boto3.client("sesv2", endpoint_url="http://127.0.0.1:1", config=ONCE))
        with pytest.raises(EndpointConnectionError):
            tell()
    assert notification_of(aws)[0] == "failed"
    with Stubber(function.ses) as ses:
        ses.add_response("send_email", {"MessageId": "1"})
        assert tell() is NotificationState.SENT


def test_a_letter_that_broke_off_is_sent_by_its_own_events_next_try_only(aws, put, function, tell, context):
    # Given a try that died, whether or not SES had the letter
    put(status=Status.COMPLETED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(function, "send", Mock(side_effect=SystemExit))
        with pytest.raises(SystemExit):
            tell()
    assert notification_of(aws)[0] == "sending"
    # Then another event about the same end leaves it alone, for the first one's may still be at work
    other = {**EVENT, "id": "another", "detail": {**EVENT["detail"], "jobId": "job-1"}}
    assert function.handler(other, context)["state"] is None
    # And its own sends it, once
    with Stubber(function.ses) as ses:
        ses.add_response("send_email", {"MessageId": "1"})
        assert [tell(), tell()] == [NotificationState.SENT, None]


def test_a_letter_that_can_not_be_written_is_noted(aws, put, function, tell, monkeypatch):
    put(status=Status.COMPLETED)
    odd = function.settings.model_copy(update={"sender_address": "x@["})  # which Python's parser trips over
    monkeypatch.setattr(function, "settings", odd)
    with Stubber(function.ses):
        assert tell() is NotificationState.FAILED
    assert notification_of(aws) == ("failed", "The letter could not be written.")


def test_logs_name_no_addressee(aws, put, function, tell, caplog):
    put(status=Status.COMPLETED)
    with Stubber(function.ses) as ses:
        ses.add_client_error("send_email", "MessageRejected", f"Not verified: {ANN}")
        tell()
    (line,) = [record for record in caplog.records if record.getMessage() == "notified"]
    assert line.code == "MessageRejected"
    assert ANN not in str(vars(line))


@pytest.mark.parametrize(
    "address",
    ["jürgen@x.org", "a,b@x.org", "x@[", '"a@b', "a;@b", "<a@b>", "=?utf-8?q?a=0d=0ab?=@x", "Foo<victim@x>"],
)
def test_only_plain_addresses_are_written_to(aws, put, function, tell, address):
    put(status=Status.COMPLETED, owner="operator", email=address)
    with Stubber(function.ses):
        assert tell() is NotificationState.SKIPPED
    with pytest.raises(ValidationError):
        JobRequest(email=address)


@pytest.mark.parametrize(
    "fields",
    [
        {"owner": "ben", "email": "ben@example.org"},  # nobody has verified it
        {"owner": "ann", "email": "everybody@example.org"},
        {"owner": "nobody", "email": ANN},
        {"owner": "operator", "email": "a@example.org\r\nBcc: b@example.org"},  # an execution by hand
    ],
)
def test_nobody_is_written_to_who_did_not_ask(aws, put, function, tell, fields):
    put(status=Status.COMPLETED, **fields)
    with Stubber(function.ses):  # which answers nothing
        assert tell() is NotificationState.SKIPPED
    assert notification_of(aws)[0] == "skipped"


def test_the_operators_jobs_name_whom_to_write_to(aws, put, function, tell):
    put(status=Status.COMPLETED, owner="operator", email="pilot@example.org")
    asked = {"FromEmailAddress": ANY, "Destination": {"ToAddresses": ["pilot@example.org"]}, "Content": ANY}
    with Stubber(function.ses) as ses:
        ses.add_response("send_email", {"MessageId": "1"}, asked)
        assert tell() is NotificationState.SENT


@pytest.mark.parametrize(
    "fields",
    [
        *({"status": status} for status in LIVE),
        {"status": Status.COMPLETED, "email": None},
        {"status": Status.COMPLETED, "batch_id": "batch-1"},  # its batch tells of it
        {"status": Status.COMPLETED, "deleted_at": "2026-11-23T12:00:00.000Z"},
    ],
)
def test_what_has_not_ended_or_asks_for_no_letter_gets_none(aws, put, function, tell, fields):
    put(**fields)
    with Stubber(function.ses):
        assert tell() is None
    assert notification_of(aws) is None


def test_a_batch_and_a_second_run_get_letters_of_their_own(aws, put, function, tell):
    ended = put(status=Status.FAILED, kind=Kind.BATCH, batch_id=None, source="s3://uploads/a.zip")
    with Stubber(function.ses) as ses:
        for _ in range(2):
            ses.add_response("send_email", {"MessageId": "1"})
        assert tell() is NotificationState.SENT
        # When it is done again, and has ended as before
        again = aws.jobs.get("job-1").model_copy(update={"run": 2, "version": 9})
        assert aws.jobs.reopen(aws.jobs.get("job-1"), again)
        assert tell() is NotificationState.SENT
    assert ended.run == 1


def test_a_picture_too_large_for_a_mailbox_stays_away(aws, put, function, tell):
    uri = f"s3://{aws.data_bucket}/jobs/job-1/compressed/thumbnail.jpg"
    body = bytes(LARGEST_PICTURE + 1)
    boto3.client("s3").put_object(Bucket=aws.data_bucket, Key=uri.split("/", 3)[3], Body=body)
    row = put(status=Status.COMPLETED, outputs=Outputs(thumbnail=uri))
    assert function.picture_of(row) is None
