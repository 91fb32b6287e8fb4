"""What a job's changes set off, on the local cloud with stub programs: history, letter, deletion."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from soundness import letters_to, traces

from spaceport.erasure import LOG_GROUPS
from spaceport.job import now_iso
from spaceport.jobs import record_from_image
from spaceport.reconciliation import ARTIFACTS_COMPLETE_AFTER
from spaceport.retention import INTERMEDIATES_KEPT
from spaceport_local.cloud import LocalCloud

pytestmark = pytest.mark.engine
T = TypeVar("T")
SENDER, ALICE = "spaceport@example.org", "alice@example.org"


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Path:
    """The data folder of the local cloud."""
    folder: Path = tmp_path_factory.mktemp("changes")
    return folder


@pytest.fixture(scope="module")
def stack(machine, stubs, stack_of) -> Iterator[Any]:
    cloud = LocalCloud(
        data_dir=machine,
        options=stubs.options,
        parameters={"SenderAddress": SENDER},
    )
    cloud.up()
    # An account in SES's sandbox, as every new one is: both ends of a letter must be verified
    ses = cloud.client("sesv2")
    ses.put_account_details(
        MailType="TRANSACTIONAL", WebsiteURL="https://e.org", ProductionAccessEnabled=False
    )
    for address in (SENDER, ALICE):
        ses.create_email_identity(EmailIdentity=address)
    stack = stack_of(cloud)
    # A day is longer than this: from now on the stack is tidied each minute
    cloud.client("events").put_rule(
        Name=stack.resource("TidyJobsEveryDay"), ScheduleExpression="rate(1 minute)"
    )
    yield stack
    cloud.down()


def until(test: Callable[[], T], seconds: float = 30) -> T:
    """What `test` gives as soon as that is true."""
    deadline = time.monotonic() + seconds
    while not (answer := test()):
        assert time.monotonic() < deadline, f"did not come true within {seconds:.0f} s"
        time.sleep(0.05)
    return answer


def left_on(machine: Path, job_id: str) -> list[Path]:
    """What the machine itself keeps of the job's tasks, beside the cloud's stores."""
    return list((machine / "jobs").glob(f"*/{job_id}-*"))


def test_a_job_has_a_history_and_once_deleted_leaves_nothing(stack, machine, alice, bob, photos_zip):
    # Given two jobs of Alice's that have ended, and a client that follows one of them
    pier, lighthouse = "uploads/alice/pier.zip", "uploads/alice/lighthouse.zip"
    kept, gone = (stack.drop(photos_zip, key) for key in (pier, lighthouse))
    for job_id in (kept, gone):
        assert alice.until_ended(job_id)["status"] == "COMPLETED"
    # Then each has its history, gapless in stages, for her and for nobody else
    until(lambda: events_of(alice, gone)[-1]["status"] == "COMPLETED")
    events = events_of(alice, gone)
    assert [event["status"] for event in events] == ["QUEUED", *["RUNNING"] * 4, "COMPLETED"]
    assert [event["stage"] for event in events] == ["setup", "setup", "sfm", "3dgs", "compression", "done"]
    assert [event["before"] for event in events[1:]] == [event["status"] for event in events[:-1]]
    assert bob.ask("GET", f"/jobs/{gone}/events")[1]["code"] == "no_such_job"
    # When she deletes one, long after its end, while it is followed
    age(stack, gone, "updatedAt")
    assert bob.ask("DELETE", f"/jobs/{gone}")[1]["code"] == "no_such_job"
    with stack.follow(gone) as follower:
        follower.until(lambda told: told["status"] == "COMPLETED", seconds=10)
        status, told = alice.ask("DELETE", f"/jobs/{gone}")
        assert (status, told) == (202, {"jobId": gone})
        # Then it is gone for her at once, and from every store but for its tombstone a moment later
        assert alice.ask("GET", f"/jobs/{gone}")[1]["code"] == "no_such_job"
        tombstone = until(lambda: sole_tombstone(stack, gone, lighthouse))
    assert tombstone.keys() == {"jobId", "expiresAt"}
    assert (left_on(machine, gone), len(left_on(machine, kept))) == ([], 3)
    # And the other has all it had
    assert [job["jobId"] for job in alice.ask("GET", "/jobs")[1]["jobs"]] == [kept]
    assert len(events_of(alice, kept)) == len(events)
    stores = {line.split()[0] for line in traces(stack, kept, pier)}
    assert {"UploadsBucket", "DataBucket", *LOG_GROUPS} <= stores


def test_a_job_that_runs_is_not_deleted(stack, alice, stubs, photos_zip):
    stubs.hold("sfm")
    key = "uploads/alice/running.zip"
    job_id = stack.drop(photos_zip, key)
    alice.until(job_id, lambda told: told["stage"] == "sfm", seconds=30)
    assert alice.ask("DELETE", f"/jobs/{job_id}")[1]["code"] == "job_active"
    # But once it is stopped, it is, with what it had made
    alice.ask("POST", "/stop-job", {"jobId": job_id})
    alice.until_ended(job_id)
    stubs.let_go()
    assert alice.ask("DELETE", f"/jobs/{job_id}")[0] == 202
    assert alice.ask("GET", f"/jobs/{job_id}")[1]["code"] == "no_such_job"
    # For good when its tasks can upload no more: as if that were now, and the reconciler asked
    age(stack, job_id, "updatedAt", "deletedAt")
    until(lambda: sole_tombstone(stack, job_id, key))


def age(stack: Any, job_id: str, *times: str, by: timedelta = ARTIFACTS_COMPLETE_AFTER) -> None:
    """Set these times of the row back, twice as far as `by`: how long a stopped task may still upload."""
    then = now_iso(datetime.now(UTC) - 2 * by)
    stack.cloud.client("dynamodb").update_item(
        TableName=stack.output("JobsTable"),
        Key={"jobId": {"S": job_id}},
        UpdateExpression="SET " + ", ".join(f"{name} = :then" for name in times),
        ExpressionAttributeValues={":then": {"S": then}},
    )


def events_of(user: Any, job_id: str) -> list[dict[str, Any]]:
    status, told = user.ask("GET", f"/jobs/{job_id}/events")
    assert status == 200, told
    found: list[dict[str, Any]] = told["events"]
    return found


def sole_tombstone(stack: Any, job_id: str, key: str) -> dict[str, Any] | None:
    """The job's item in the Jobs table, once that is all that names it, or its zip, anywhere."""
    lines = traces(stack, job_id, key)
    if len(lines) != 1 or not lines[0].startswith(stack.output("JobsTable")):
        return None
    item: dict[str, Any] = json.loads(lines[0].partition(" ")[2])
    return item if "status" not in item else None


# ---- letters ----------------------------------------


@pytest.fixture(scope="module")
def verified(stack, alice) -> None:
    """Alice's address is verified in the user pool."""
    told = {"email": ALICE, "email_verified": "true"}
    stack.cloud.client("cognito-idp").admin_update_user_attributes(
        UserPoolId=stack.output("UserPoolId"),
        Username="alice",
        UserAttributes=[{"Name": name, "Value": value} for name, value in told.items()],
    )


def notified(stack: Any, job_id: str) -> dict[str, Any]:
    """What the job's row says of its letter, once that is decided."""

    def decided() -> dict[str, Any] | None:
        item = stack.cloud.client("dynamodb").get_item(
            TableName=stack.output("JobsTable"), Key={"jobId": {"S": job_id}}
        )["Item"]
        told = record_from_image(item).notification
        return told.model_dump() if told and told.state != "sending" else None

    return until(decided)


def test_the_owner_is_told_of_the_end_and_a_stranger_is_not(stack, alice, verified, photos_zip):
    # Given jobs of Alice's: one asks for a letter to her, under a hostile name; one, to a stranger
    name = "<b>Pier</b> & co"
    mine = stack.drop(photos_zip, "uploads/alice/mine.zip", email=ALICE, jobName=name)
    strangers = stack.drop(photos_zip, "uploads/alice/strangers.zip", email="stranger@example.org")
    refused = stack.drop(b"no zip", "uploads/alice/refused.zip", email=ALICE)
    # And one of the operator's, to somebody whom SES in its sandbox does not know
    unknown = stack.drop(photos_zip, "unknown.zip", email="unknown@example.org")
    # When they have ended
    assert alice.until_ended(mine)["status"] == "COMPLETED"
    states = {job_id: notified(stack, job_id)["state"] for job_id in (mine, refused, strangers, unknown)}
    # Then she has her letter, and the others are told in the rows why there is none
    assert states == {mine: "sent", refused: "sent", strangers: "skipped", unknown: "failed"}
    assert "not verified" in notified(stack, unknown)["reason"]
    (letter,) = [sent for sent in letters_to(stack, ALICE) if "Pier" in sent["Subject"]]
    assert letter["Subject"] == f"Your 3D model is ready: {name}"
    assert letter["Source"] == SENDER
    assert "&lt;b&gt;Pier&lt;/b&gt; &amp; co" in letter["BodyHtml"]
    assert '<img src="cid:model"' in letter["BodyHtml"]  # MiniStack keeps a letter's pages, not its pictures
    assert f"Look at it: {alice.status_of(mine)['outputs']['viewerUrl']}" in letter["BodyText"]
    assert alice.status_of(strangers)["status"] == "COMPLETED"
    (letter,) = [sent for sent in letters_to(stack, ALICE) if "can't be used: refused" in sent["Subject"]]
    assert alice.status_of(refused)["error"]["message"] in letter["BodyText"]


def test_a_batchs_owner_has_one_letter_for_all_its_jobs(stack, alice, verified, photos_zip):
    # Given a batch of Alice's, of a flight and of a zip that is refused
    folder = f"s3://{stack.output('UploadsBucket')}/uploads/alice/week.batch"
    for name, body in (("good", photos_zip), ("bad", b"no zip")):
        stack.drop(body, f"uploads/alice/week.batch/{name}.zip")
    jobs = [{"s3Url": f"{folder}/{name}.zip"} for name in ("good", "bad")]
    manifest = {"name": "The week", "defaults": {"email": ALICE}, "jobs": jobs}
    # When its jobs have ended
    stack.drop(json.dumps(manifest).encode(), "uploads/alice/week.batch.json")
    letter = until(
        lambda: next(
            (sent for sent in letters_to(stack, ALICE) if sent["Subject"].endswith(": The week")), None
        )
    )
    # Then one letter tells of both
    assert letter["Subject"] == "Your batch has ended: The week"
    assert letter["To"] == [ALICE]
    for page in (letter["BodyText"], letter["BodyHtml"]):
        assert "2 of 2 jobs have ended: 1 completed, 1 rejected." in page
    assert not [sent for sent in letters_to(stack, ALICE) if sent["Subject"].endswith((": good", ": bad"))]


# ---- the daily round: last, for its minute began with the stack ----------------------------------------


def test_the_schedule_takes_a_jobs_intermediates_after_two_weeks(stack, alice, photos_zip):
    # Given an ended job
    job_id = stack.drop(photos_zip, "uploads/alice/old.zip")
    assert alice.until_ended(job_id)["status"] == "COMPLETED"
    assert {"extracted/", "training/"} <= folders_of(stack, job_id)
    # When it is two weeks old
    age(stack, job_id, "updatedAt", by=INTERMEDIATES_KEPT)
    # Then by the schedule's next minute there are its results, and nothing that its stages left each other
    until(lambda: folders_of(stack, job_id) == {"colmap/", "compressed/", "gaussian/"}, seconds=90)


def folders_of(stack: Any, job_id: str) -> set[str]:
    """The job's folders in the data bucket."""
    home = f"jobs/{job_id}/"
    listed = stack.cloud.client("s3").list_objects_v2(
        Bucket=stack.output("DataBucket"), Prefix=home, Delimiter="/"
    )
    return {found["Prefix"].removeprefix(home) for found in listed.get("CommonPrefixes", [])}
