"""A stack of an earlier version is updated to this one: no data is lost, and nothing that holds any replaced.

With jobs in it that have ended, run and wait, on the local cloud with stub programs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from earlier_version import unpack

from spaceport_local.cloud import LocalCloud
from spaceport_local.deploy import ARTIFACTS, CAPABILITIES, STACK
from spaceport_local.template import read_template

pytestmark = pytest.mark.engine

LIMITS = {"MaxRunningJobs": "1"}
TABLES = ("JobsTable", "HistoryTable", "ConnectionsTable", "TicketsTable", "QueueTable")
BUCKETS = ("UploadsBucket", "DataBucket")
# Whose replacement would lose data, an account or an address that others have.
KEPT = {
    *TABLES, *BUCKETS, "UserPool", "UserPoolClient", "OperatorUser", "AccessToken", "FunctionsLog",
    "PipelineLog", "ApiLog", "LostEvents", "AlarmTopic", "HttpApi", "WebSocketApi", "Pipeline",
}  # fmt: skip


@dataclass(frozen=True)
class Kept:
    """What a stack holds: physical ids, when tables and buckets were made, rows and objects."""

    ids: dict[str, str]
    made: dict[str, Any]
    rows: dict[str, list[dict[str, Any]]]
    objects: dict[str, set[tuple[str, str, str]]]

    @classmethod
    def of(cls, stack: Any) -> Kept:
        client = stack.cloud.client
        pages = client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=STACK)
        told = [resource for page in pages for resource in page["StackResourceSummaries"]]
        ids = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in told}
        tables = {name: client("dynamodb").describe_table(TableName=ids[name])["Table"] for name in TABLES}
        made = {name: (table["TableId"], table["CreationDateTime"]) for name, table in tables.items()}
        buckets = {one["Name"]: one["CreationDate"] for one in client("s3").list_buckets()["Buckets"]}
        return cls(
            ids={name: ids[name] for name in KEPT},
            made=made | {name: buckets[ids[name]] for name in BUCKETS},
            rows={name: client("dynamodb").scan(TableName=ids[name])["Items"] for name in TABLES},
            objects={name: objects(client("s3"), ids[name]) for name in BUCKETS},
        )


def changes(cloud: Any, template_file: Path) -> dict[str, dict[str, Any]]:
    """What a change set says that this template would change, by logical id. It is not executed."""
    place = {"Bucket": ARTIFACTS, "Key": "change-set.json"}
    document = read_template(template_file).packaged(lambda name, _: {"Bucket": ARTIFACTS, "Key": name})
    cloud.client("s3").put_object(**place, Body=json.dumps(document).encode())
    url = cloud.client("s3").generate_presigned_url("get_object", Params=place)
    cloudformation, which = cloud.client("cloudformation"), {"StackName": STACK, "ChangeSetName": "update"}
    cloudformation.create_change_set(
        **which, ChangeSetType="UPDATE", TemplateURL=url.partition("?")[0], Capabilities=CAPABILITIES
    )
    cloudformation.get_waiter("change_set_create_complete").wait(**which, WaiterConfig={"Delay": 1})
    pages = cloudformation.get_paginator("describe_change_set").paginate(**which)
    told = [change["ResourceChange"] for page in pages for change in page["Changes"]]
    cloudformation.delete_change_set(**which)
    return {change["LogicalResourceId"]: change for change in told}


def objects(s3: Any, bucket: str) -> set[tuple[str, str, str]]:
    """(key, version, digest) of all that is in the bucket."""
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
    return {(v["Key"], v["VersionId"], v["ETag"]) for page in pages for v in page.get("Versions", ())}


@dataclass(frozen=True)
class Updated:
    """The stack after its update, and what there was before it."""

    stack: Any
    announced: dict[str, dict[str, Any]]  # by a change set
    before: Kept
    told: dict[str, Any]  # of the job that had ended, by the API before
    events: list[dict[str, Any]]
    ended: str
    running: str
    waiting: str


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Path:
    """The data folder of the local cloud."""
    folder: Path = tmp_path_factory.mktemp("cloud")
    return folder


@pytest.fixture(scope="module")
def stack(machine, tmp_path_factory, stubs, stack_of, repository: Path) -> Iterator[Any]:
    """A stack of the earlier version."""
    earlier = unpack(tmp_path_factory.mktemp("earlier"), repository / "node_modules")
    cloud = LocalCloud(machine, project=earlier, options=stubs.options, parameters=LIMITS)
    cloud.up()
    yield stack_of(cloud)
    cloud.down()


@pytest.fixture(scope="module")
def updated(machine, stack, stubs, alice, photos_zip, repository: Path) -> Iterator[Updated]:
    """Given a job of Alice's that has ended, one that runs and one that waits, when the stack is updated."""
    ended = stack.drop(photos_zip, "uploads/alice/pier.zip")
    assert alice.until_ended(ended)["status"] == "COMPLETED"
    stubs.hold("3dgs")
    running, waiting = (stack.drop(photos_zip, f"uploads/alice/{name}.zip") for name in ("cape", "harbour"))
    alice.until(running, lambda told: told["stage"] == "3dgs" and told["progress"] > 0, seconds=30)
    alice.until(waiting, lambda told: told["queuePosition"] == 1, seconds=30)
    told, events = alice.status_of(ended), events_of(alice, ended)
    with stack.follow(ended) as follower:
        follower.until(lambda status: status["status"] == "COMPLETED", seconds=10)
        before = Kept.of(stack)
        announced = changes(stack.cloud, repository / "template.yaml")
        LocalCloud(machine, project=repository, options=stubs.options, parameters=LIMITS).up()
        yield Updated(stack, announced, before, told, events, ended, running, waiting)


def events_of(user: Any, job_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = user.ask("GET", f"/jobs/{job_id}/events")[1]["events"]
    return found


def test_the_change_set_announces_no_replacement_and_no_removal_of_what_holds_data(updated):
    assert updated.announced["LinksTable"]["Action"] == "Add"
    for name in KEPT & updated.announced.keys():
        change = updated.announced[name]
        assert change["Action"] == "Modify", change
        # "Conditional", the emulator says of properties that it has no table of: of a bucket's CORS, too.
        # Which of them do replace is in tests/contract/test_earlier_version.py.
        assert change["Replacement"] != "True", change


def test_nothing_that_holds_data_is_replaced(updated):
    now = Kept.of(updated.stack)
    assert now.ids == updated.before.ids
    assert now.made == updated.before.made


def test_rows_and_objects_are_as_they_were(updated):
    now = Kept.of(updated.stack)
    for name, before in updated.before.objects.items():
        assert before <= now.objects[name], name  # the job that runs may have saved a checkpoint meanwhile
    assert now.rows == updated.before.rows
    assert all(
        updated.before.rows[name] for name in ("JobsTable", "HistoryTable", "ConnectionsTable", "QueueTable")
    )


def test_an_old_job_is_read_as_before_by_the_same_token(updated, alice):
    told = alice.status_of(updated.ended)
    assert {name: told[name] for name in updated.told} == updated.told
    assert events_of(alice, updated.ended) == updated.events
    # And what is new can be done with it
    status, link = alice.ask("POST", f"/jobs/{updated.ended}/share", {"days": 1})
    assert status in (200, 201), link


def test_who_ran_and_who_waited_go_on_and_a_new_job_runs(updated, alice, stubs, photos_zip):
    new = updated.stack.drop(photos_zip, "uploads/alice/cliff.zip")
    stubs.let_go()
    for job_id in (updated.running, updated.waiting, new):
        assert alice.until_ended(job_id, seconds=60)["status"] == "COMPLETED"
        assert [stage for stage, _ in stubs.begun(job_id)] == ["sfm-1-0", "3dgs-1-0", "sog-1-0"]
