"""The fault table: whatever strikes, a job has one truth, reaches its end, and leaves nothing running.

Each line is played on the local engine with a fault (`faults/`), several at a time. The fault must strike;
then `assert_sound` looks at the job. Every write that a handler makes has two lines, a crash right before it
and one right after it: a write that has none fails the test. `docs/faults.md` is the table;
SPACEPORT_WRITE_DOCS=1 writes it.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import urllib3
from aftermath import RESULTS_DAYS, deleted, deleted_and_heard_of, deleted_early, tidied, tidied_away, told
from injection import ROOT, Faults, Strike, start_faulty_cloud
from scene import BATCH, KEY, Scene, Stage
from soundness import assert_gone, assert_sound, letters_to, row_of, running_sagemaker_jobs, until
from test_template import FUNCTIONS, aws_calls
from websockets.sync.client import connect

from spaceport.job import job_id_for
from spaceport.stages import Status

pytestmark = pytest.mark.engine

HERE = Path(__file__).parent
TABLE = ROOT / "docs" / "faults.md"
SENDER = "spaceport@example.org"
AT_ONCE = 6  # lines that are played at the same time, on two cores
FAILURES = json.loads((ROOT / "tests" / "unit" / "contract" / "failures.json").read_text())
# Two of one owner run at once, as ever.
PARAMETERS = {"MaxRunningJobs": "50", "SenderAddress": SENDER, "ResultsDays": str(RESULTS_DAYS)}
GROUPS = {"compression": "/aws/sagemaker/ProcessingJobs", "3dgs": "/aws/sagemaker/TrainingJobs"}

# ---- lives ----------------------------------------


def whole(scene: Scene, order: str = "") -> None:
    scene.drop(order=order)
    scene.until_ended()


def from_the_first_step(scene: Scene) -> None:
    scene.drop("sfm")
    scene.until_ended()


def with_events(scene: Scene, events: Sequence[float]) -> None:
    """The event of its upload comes after so many seconds, for each time."""
    scene.drop(events=events)
    scene.until_ended()
    until(lambda: len(scene.events()) == len(events), "not all events came")
    scene.evidence += scene.events()


def by_hand(scene: Scene) -> None:
    """An execution that nobody made a row for."""
    scene.put()
    scene.expect(f"hand-{scene.name}"[:40])
    source = f"s3://{scene.stack.output('UploadsBucket')}/{scene.key}"
    scene.stack.cloud.client("stepfunctions").start_execution(
        stateMachineArn=scene.stack.output("StateMachineArn"),
        name=f"{scene.job_id}-1",
        input=json.dumps({"jobId": scene.job_id, "s3Url": source, "pipelineStep": "compression"}),
    )
    scene.until_ended()


def started(scene: Scene) -> None:
    """Started by the API; the event of its upload comes when all is over."""
    version = scene.put()
    bucket = scene.stack.output("UploadsBucket")
    scene.expect(job_id_for(bucket, scene.key, version))
    scene.ask("/start-job", {"s3Url": f"s3://{bucket}/{scene.key}"})
    scene.until_ended()
    scene.faults.release(scene.key, {version: [0.0]})


def uploaded(scene: Scene) -> None:
    """Uploaded in parts, by the API."""
    bucket, name = scene.stack.output("UploadsBucket"), f"faults-{scene.name}"
    upload = scene.ask("/uploads", {"fileName": f"{name}.zip", "bytes": len(scene.stage.photos)})
    where, scene.key = f"/uploads/{upload['uploadId']}", upload["key"]
    address = scene.ask(f"{where}/parts", {"key": scene.key, "numbers": [1]})["parts"][0]["url"]
    sent = urllib3.request("PUT", address, body=scene.stage.photos)
    scene.arm(scene.key)
    parts = [{"number": 1, "etag": sent.headers["ETag"]}]
    told = scene.ask(f"{where}/complete", {"key": scene.key, "parts": parts})
    version = scene.stack.cloud.client("s3").head_object(Bucket=bucket, Key=scene.key)["VersionId"]
    assert told["jobId"] == job_id_for(bucket, scene.key, version)
    scene.expect(told["jobId"], "sfm")
    scene.faults.release(scene.key, {version: [0.0]})
    scene.until_ended()


def retried(scene: Scene) -> None:
    whole(scene, order="refuse")
    scene.retry()
    scene.until_ended(run=2)


def name_taken(scene: Scene, step: str = "compression") -> None:
    """The answer to the creation of the stage's SageMaker job got lost: the name is taken, whoever has it."""
    version = scene.put(step)
    scene.expect(job_id_for(scene.stack.output("UploadsBucket"), scene.key, version), step)
    state = {"compression": "RunCompression", "3dgs": "RunTraining"}[step]
    scene.fail_tasks(aws_fails(state, "name-taken"))
    scene.faults.release(scene.key, {version: [0.0]})
    scene.until_ended()


def stopped(scene: Scene, step: str = "compression") -> None:
    scene.drop(step, order="wait")
    scene.until_working(step)
    scene.stop()
    scene.until_ended()


def reconciled(scene: Scene, step: str = "compression") -> None:
    """Stopped, but whoever should settle the row dies each time: the reconciler does it."""
    settling = Strike("SettleExecution", "any", "crash before", times=3)
    scene.drop(step, order="wait")
    scene.faults.arm(f"{scene.name}-settling", settling, scene.job_id)
    scene.until_working(step)
    scene.stop()
    until(lambda: len(scene.faults.fired(f"{scene.name}-settling")) == 3, "it was settled", 60)
    scene.reconcile()


def halted(scene: Scene) -> None:
    """A stop that was noted and went no further: the reconciler stops the execution."""
    scene.drop(order="wait")
    scene.until_working()
    scene.change_row(status="STOPPING", updatedAt="2026-01-01T00:00:00.000Z", discardArtifacts=False)
    scene.reconcile()


def started_late(scene: Scene) -> None:
    """Whoever should start it dies each time it hears of it: the next round does it."""
    scene.drop()

    def started() -> bool:
        scene.run_function("DispatchJobs")
        return not scene.faults.still_armed(scene.name)

    until(started, "nobody died")
    scene.until_ended()


def queued(scene: Scene) -> None:
    """Two others of its owner's run, so that it waits, and is told its place."""
    others = [Scene(scene.stage, f"{scene.name}-{which}", (), scene.owner) for which in ("first", "second")]
    for other in others:
        other.drop(order="wait")
        other.until_working()
    scene.drop()
    scene.until_row(lambda row: row.queue_position == 1, "it is told no place")
    for other in others:
        other.order().unlink()
        other.until_ended()
        assert_sound(scene.stack, other.job_id, scene.faults, other.watcher)
        other.close()
    scene.until_ended()


def in_a_batch(scene: Scene) -> None:
    """A manifest makes its job."""
    version = scene.put("sfm")
    manifest = scene.put_manifest()
    scene.expect(job_id_for(scene.stack.output("UploadsBucket"), scene.key, version), "sfm")
    scene.faults.release(*manifest)
    scene.until_ended()
    scene.until_batch_ended()
    scene.faults.release(scene.key, {version: [0.0]})


def joined_by_a_batch(scene: Scene) -> None:
    """A manifest comes when its job has ended."""
    version = scene.put()
    manifest = scene.put_manifest()
    scene.expect(job_id_for(scene.stack.output("UploadsBucket"), scene.key, version))
    scene.faults.release(scene.key, {version: [0.0]})
    scene.until_ended()
    scene.faults.release(*manifest)
    scene.until_batch_ended()


def followed_by_a_ghost(scene: Scene) -> None:
    """A connection that is gone follows the job, too."""
    version = scene.put()
    scene.expect(job_id_for(scene.stack.output("UploadsBucket"), scene.key, version))
    table, ghost = scene.stack.resource("ConnectionsTable"), f"ghost-{scene.name}"
    item = {"jobId": scene.job_id, "connectionId": ghost, "owner": "operator"}
    dynamodb = scene.stack.cloud.client("dynamodb")
    dynamodb.put_item(
        TableName=table, Item={k: {"S": v} for k, v in item.items()} | {"admin": {"BOOL": True}}
    )
    scene.faults.release(scene.key, {version: [0.0]})
    scene.until_ended()
    until(lambda: ghost not in followers(scene), "the ghost is not forgotten")


def unsubscribed(scene: Scene) -> None:
    """A client that follows, and no longer, and leaves."""
    with connect(scene.api.socket_address()) as client:
        version = scene.put()
        scene.expect(job_id_for(scene.stack.output("UploadsBucket"), scene.key, version))
        for action in ("subscribe", "unsubscribe"):
            client.send(json.dumps({"action": action, "jobId": scene.job_id}))
        until(lambda: not scene.faults.still_armed(scene.name), "it has not struck")
    until(lambda: len(followers(scene)) == 1, f"followed by {followers(scene)}")
    scene.faults.release(scene.key, {version: [0.0]})
    scene.until_ended()


def reset_by_its_client(scene: Scene) -> None:
    """A client that vanishes while it is sent to."""
    version = scene.put()
    scene.expect(job_id_for(scene.stack.output("UploadsBucket"), scene.key, version), order="wait")
    with connect(scene.api.socket_address()) as client:
        client.send(json.dumps({"action": "subscribe", "jobId": scene.job_id}))
        until(lambda: len(followers(scene)) == 2, "it has not subscribed")
        scene.faults.release(scene.key, {version: [0.0]})
        scene.until_working()
        # Not closed: reset, with what was sent unread.
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.socket.close()
    scene.evidence.append("connection reset")
    scene.order().unlink()
    scene.until_ended()
    until(lambda: len(followers(scene)) == 1, "it is not forgotten")


def read_no_more(scene: Scene) -> None:
    """A client that stays and reads nothing: the kernel's small buffers fill, and stay full."""
    address = scene.api.socket_address()
    host, port = address.removeprefix("ws://").split("/")[0].split(":")
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    raw.connect((host, int(port)))
    path = "/" + address.removeprefix("ws://").split("/", 1)[1]
    raw.sendall(
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    with raw:
        version = scene.put()
        scene.expect(job_id_for(scene.stack.output("UploadsBucket"), scene.key, version))
        assert b"101" in raw.recv(12)
        body = json.dumps({"action": "subscribe", "jobId": scene.job_id}).encode()
        raw.sendall(bytes([0x81, 0x80 | len(body), 0, 0, 0, 0]) + body)  # one masked frame, masked by zeros
        until(lambda: len(followers(scene)) == 2, "it has not subscribed")
        scene.faults.release(scene.key, {version: [0.0]})
        scene.until_ended()
        assert len(followers(scene)) == 2
        scene.evidence.append("a follower that read nothing")


def told_garbage(scene: Scene) -> None:
    """Between its lines stand others: half ones, wrong ones, another stage's, old ones, later ones twice."""
    scene.drop(order="wait")
    scene.until_working()
    right = {"spaceport": 1, "stage": "compression", "progress": 0.7, "message": "so far", "metrics": {}}
    lines = [
        '{"spaceport": 1, "stage": "compression", "progress": 0.9',
        *(json.dumps(right | wrong) for wrong in GARBAGE),
        json.dumps(right),
        json.dumps(right | {"progress": 0.2, "message": "late"}),
        json.dumps(right),
        "\x00\ufffd\u202e{}" * 50,
    ]
    scene.log(GROUPS["compression"], f"{scene.job_id}-sog-1-0/algo-1-9", lines)
    scene.until_row(lambda row: row.stages["compression"].progress == 0.7, "the right line is not noted")
    scene.evidence.append(f"{len(lines)} lines")
    row = scene.row()
    assert row is not None
    assert (row.detail, row.metrics) == ("so far", {})
    scene.order().unlink()
    scene.until_ended()


GARBAGE: tuple[dict[str, Any], ...] = (
    {"progress": 7},
    {"progress": -1},
    {"progress": "0.9"},
    {"progress": None},
    {"stage": "3dgs", "progress": 0.99},
    {"stage": "../../etc"},
    {"spaceport": 2, "progress": 0.95},
    {"metrics": [1], "progress": 0.96},
    {"message": 5, "progress": 0.97},
)


def among_others(scene: Scene) -> None:
    """Other people's jobs tell their progress in the same log group, in our own form."""
    scene.drop(order="wait")
    scene.until_working()
    before = scene.row()
    line = {
        "spaceport": 1,
        "stage": "compression",
        "progress": 0.9,
        "message": "theirs",
        "metrics": {"psnr": 1},
    }
    streams = (
        "their-model-2026-11-23/algo-1-5",
        "theirs-sog-1-0/algo-1-5",  # named as ours are, of a job that we don't have
        f"{scene.job_id}-sog-2-0/algo-1-5",  # of our job, but of a run that there was not
        f"{scene.job_id}-sfm-1-0/algo-1-5",
        f"x{scene.job_id}-sog-1-0/algo-1-5",
        "no name at all",
    )
    for stream in streams:
        scene.log(GROUPS["compression"], stream, [json.dumps(line)] * 3)
    scene.evidence.append(f"{len(streams)} streams")
    # Ours comes after them, and is heard.
    scene.log(GROUPS["compression"], f"{scene.job_id}-sog-1-0/algo-1-9", [json.dumps(line | OURS)])
    scene.until_row(lambda row: row.detail == "ours", "our own line is not noted")
    row = scene.row()
    assert row is not None
    assert before is not None
    assert row.metrics == {}
    assert row.version == before.version + 1
    scene.order().unlink()
    scene.until_ended()


OURS = {"progress": 0.6, "message": "ours", "metrics": {}}


def out_of_order(scene: Scene) -> None:
    """Two versions of one zip: the event of the first comes after the second's job has ended."""
    bucket = scene.stack.output("UploadsBucket")
    first, second = scene.put(), scene.put()
    other = Scene(scene.stage, f"{scene.name}-later", (), scene.owner)
    other.expect(job_id_for(bucket, scene.key, second))
    scene.expect(job_id_for(bucket, scene.key, first))
    scene.faults.release(scene.key, {first: [4.0, 4.1], second: [0.0, 5.0]})
    other.until_ended()
    scene.until_ended()
    until(lambda: len(scene.events()) == 4, "not all events came")
    scene.evidence += scene.events()
    assert_sound(scene.stack, other.job_id, scene.faults, other.watcher)
    other.close()


def doubled(scene: Scene) -> None:
    version = scene.put()
    scene.expect(job_id_for(scene.stack.output("UploadsBucket"), scene.key, version))
    scene.faults.double(scene.job_id)
    scene.faults.release(scene.key, {version: [0.0]})
    scene.until_ended()


def stopped_outside(scene: Scene) -> None:
    """Somebody stops the SageMaker job in its console."""
    scene.drop(order="wait")
    scene.until_working()
    (name,) = running_sagemaker_jobs(scene.stack, scene.job_id)
    scene.stack.cloud.client("sagemaker").stop_processing_job(ProcessingJobName=name)
    scene.evidence.append(f"{name} stopped")
    scene.until_ended()


def ordered(scene: Scene, word: str, step: str = "compression") -> None:
    """Its program does something else than its work."""
    scene.drop(step, order=word)
    scene.until_ended()
    scene.evidence.append(word)


def with_faults_of_aws(scene: Scene, faults: dict[str, Sequence[object]]) -> None:
    version = scene.put()
    scene.expect(job_id_for(scene.stack.output("UploadsBucket"), scene.key, version))
    scene.fail_tasks(faults)
    scene.faults.release(scene.key, {version: [0.0]})
    scene.until_ended()
    assert len(scene.task_faults()) == sum(int(str(fault[1])) for fault in faults.values())


def out_of_time(scene: Scene) -> None:
    """Its program hangs, deaf to SIGTERM, for longer than the state waits."""
    step_functions, machine = scene.stack.cloud.client("stepfunctions"), scene.stack.output("StateMachineArn")
    definition = step_functions.describe_state_machine(stateMachineArn=machine)["definition"]
    short = json.loads(definition)
    short["States"]["RunCompression"]["TimeoutSeconds"] = 4
    step_functions.update_state_machine(stateMachineArn=machine, definition=json.dumps(short))
    try:
        ordered(scene, "resist")
    finally:
        step_functions.update_state_machine(stateMachineArn=machine, definition=definition)


def aws_fails(state: str, failure: str, times: int = 1) -> dict[str, Sequence[object]]:
    """One of AWS's failures, by its name in `failures.json`, of the first attempts in this state."""
    (found,) = [known for known in FAILURES if known["name"] == failure]
    cause = found["cause"] if isinstance(found["cause"], str) else json.dumps(found["cause"])
    return {state: (found["error"], times, cause)}


def followers(scene: Scene) -> set[str]:
    """The connections that follow the job."""
    found = scene.stack.cloud.client("dynamodb").query(
        TableName=scene.stack.resource("ConnectionsTable"),
        KeyConditionExpression="jobId = :job",
        ExpressionAttributeValues={":job": {"S": scene.job_id}},
        ConsistentRead=True,
    )
    return {item["connectionId"]["S"] for item in found["Items"]}


# ---- the table ----------------------------------------


@dataclass(frozen=True)
class Line:
    """One fault, the job that it strikes, and how that job ends all the same.

    Attributes:
        name: of the test; the job's zip is called so.
        about: what happens, for the table.
        strikes: what strikes in functions. All of them must.
        alone: no other line is played meanwhile: the fault can't be told from another job's.
        letters: how many its owner gets.
        is_gone: it ended, and is deleted.
    """

    name: str
    about: str
    life: Callable[[Scene], None] = whole
    strikes: tuple[Strike, ...] = ()
    status: Status = Status.COMPLETED
    code: str | None = None
    alone: bool = False
    letters: int = 0
    is_gone: bool = False

    @property
    def end(self) -> str:
        """What the job is then, for the table."""
        end = f"{self.status.value}{f' `{self.code}`' if self.code else ''}"
        letters = {0: "", 1: ", one letter"}.get(self.letters, f", {self.letters} letters")
        return "gone" if self.is_gone else end + letters


@dataclass(frozen=True)
class Write:
    """How a job comes to a write that a handler makes.

    Attributes:
        function, call: the function's folder, and the boto3 method.
        marker: what occurs in the call's parameters, where that is not the job's id.
        also: what occurs in them besides.
        before: strikes that it takes to come there.
        letters: how many its owner gets after a crash before the call, and after one after it.
        is_gone: the job is deleted.
    """

    function: str
    call: str
    life: Callable[[Scene], None]
    status: Status = Status.COMPLETED
    code: str | None = None
    marker: str | None = None
    also: str = ""
    before: tuple[Strike, ...] = ()
    alone: bool = False
    what: str = ""
    letters: tuple[int, int] = (0, 0)
    is_gone: bool = False

    def lines(self) -> Iterator[Line]:
        function = "".join(word.capitalize() for word in self.function.split("_"))
        words = OPERATION_OF.get(self.call, self.call).split("_")
        operation = "".join(word.capitalize() for word in words)
        for when, letters in zip(("before", "after"), self.letters, strict=True):
            strike = Strike(function, operation, f"crash {when}", marker=self.marker, also=self.also)
            what = f", {self.what}" if self.what else ""
            short = "".join(word[0] for word in self.what.split())
            yield Line(
                f"{self.function}-{self.call}{'-' if short else ''}{short}-{when}".replace("_", "-"),
                f"`{function}` dies {when} `{operation}`{what}",
                self.life,
                (*self.before, strike),
                self.status,
                self.code,
                self.alone,
                letters,
                self.is_gone,
            )


OPERATION_OF = {"batch_writer": "batch_write_item"}
STOPPED = {"status": Status.STOPPED, "code": "stopped"}
REFUSED = {"status": Status.FAILED, "code": "bad_light"}
FAULT = {"status": Status.FAILED, "code": "fault"}
NO_ZIP = {"status": Status.REJECTED, "code": "not_a_zip"}
ERASED = {**NO_ZIP, "is_gone": True}
TRAINING_STOPPED, TRAINING_RECONCILED = partial(stopped, step="3dgs"), partial(reconciled, step="3dgs")
refused = partial(whole, order="refuse")
WRITES = (
    Write("ingest_upload", "put_item", whole),
    Write("publish_changes", "put_item", whole),
    Write("publish_changes", "put_events", whole),
    Write("dispatch_jobs", "put_item", whole),
    Write("dispatch_jobs", "start_execution", whole),
    Write("dispatch_jobs", "update_item", queued),
    Write("ingest_batch", "put_item", in_a_batch),
    Write("ingest_batch", "update_item", joined_by_a_batch),
    Write("sum_up_batch", "update_item", in_a_batch, marker=BATCH),
    Write("prepare_job", "put_item", by_hand),
    Write("prepare_job", "update_item", whole),
    Write("check_scene", "update_item", from_the_first_step),
    Write("record_progress", "update_item", whole),
    Write("classify_failure", "stop_processing_job", name_taken, **FAULT),
    Write("classify_failure", "stop_training_job", partial(name_taken, step="3dgs"), **FAULT),
    Write("record_failure", "put_item", refused, **REFUSED),
    Write("record_failure", "update_item", refused, **REFUSED),
    Write("publish_result", "put_object", whole),
    Write("publish_result", "copy_object", whole),
    Write("publish_result", "delete_objects", whole),
    Write("publish_result", "update_item", whole),
    Write("serve_api", "put_item", started, what="of a new job"),
    Write("serve_api", "put_item", retried, what="of a retry"),
    Write("serve_api", "put_item", whole, marker="TicketsTable", alone=True, what="of a ticket"),
    Write("serve_api", "complete_multipart_upload", uploaded),
    Write("serve_api", "update_item", stopped, **STOPPED),
    Write("serve_api", "stop_execution", stopped, **STOPPED),
    Write("serve_api", "stop_processing_job", stopped, **STOPPED),
    Write("serve_api", "stop_training_job", TRAINING_STOPPED, **STOPPED),
    Write("settle_execution", "stop_processing_job", stopped, **STOPPED),
    Write("settle_execution", "stop_training_job", TRAINING_STOPPED, **STOPPED),
    Write("settle_execution", "update_item", stopped, **STOPPED),
    Write("settle_execution", "delete_objects", stopped, **STOPPED),
    Write("reconcile_jobs", "stop_processing_job", reconciled, **STOPPED),
    Write("reconcile_jobs", "stop_training_job", TRAINING_RECONCILED, **STOPPED),
    Write("reconcile_jobs", "update_item", reconciled, **STOPPED),
    Write("reconcile_jobs", "delete_objects", reconciled, **STOPPED),
    Write("reconcile_jobs", "stop_execution", halted, **STOPPED),
    Write("authorize_socket", "delete_item", whole, marker="", alone=True),
    Write("serve_socket", "put_item", whole),
    Write("serve_socket", "post_to_connection", whole),
    Write("serve_socket", "delete_item", unsubscribed),
    Write(
        "serve_socket", "delete_connection", whole, marker="", alone=True,
        before=(Strike("ServeSocket", "PostToConnection", "no answer"),), what="of one that is deaf",
    ),
    Write("broadcast_status", "post_to_connection", whole),
    Write("broadcast_status", "delete_item", followed_by_a_ghost),
    Write(
        "broadcast_status", "delete_connection", whole, marker="", alone=True,
        before=(Strike("BroadcastStatus", "PostToConnection", "no answer"),), what="of one that is deaf",
    ),
    # SES knows no letter again: whoever dies between its yes and the row has it sent twice.
    Write("notify_owner", "update_item", told, also="'sending'", what="of a claim", letters=(1, 1), **NO_ZIP),
    Write("notify_owner", "send_email", told, letters=(1, 2), **NO_ZIP),
    Write("notify_owner", "update_item", told, also="'sent'", what="of a letter", letters=(2, 1), **NO_ZIP),
    Write("serve_api", "update_item", deleted, also="deletedAt", what="of a deletion", **ERASED),
    Write("publish_changes", "put_events", deleted, also='"deleted":true', what="of a deletion", **ERASED),
    Write("forget_job", "delete_objects", deleted, **ERASED),
    Write("forget_job", "delete_object", deleted, marker=KEY, **ERASED),
    Write("forget_job", "delete_log_stream", deleted, **ERASED),
    Write("forget_job", "delete_item", deleted, **ERASED),
    Write("forget_job", "batch_writer", deleted, **ERASED),
    Write("forget_job", "put_item", deleted, **ERASED),
    Write("reconcile_jobs", "update_item", deleted_early, also="deletedAt", what="of an erasure", **ERASED),
    Write("tidy_jobs", "update_item", tidied, also="discardIntermediates", what="of a beginning"),
    Write("tidy_jobs", "delete_objects", tidied),
    Write("tidy_jobs", "update_item", tidied, also="intermediatesDiscarded", what="of an end"),
    Write("tidy_jobs", "update_item", tidied_away, also="deletedAt", what="of a deletion", **ERASED),
)  # fmt: skip
# Writes of which no line tells, and why.
WITHOUT_A_LINE = {
    # They concern no job.
    ("ensure_log_groups", "create_log_group"): "a deployment's, which fails and is made again",
    ("serve_api", "create_multipart_upload"): "an upload begun twice: the first one's parts go after a day",
    ("share_results", "put_item"): "a link that nobody was told: it shows nothing, and ends",
    ("share_results", "copy_object"): "copies behind such a link: erased with the job, or after a month",
    ("share_results", "delete_item"): "links that are taken back again",
    (
        "share_results",
        "delete_objects",
    ): "copies of links that are gone: erased with the job, or after a month",
    ("serve_api", "abort_multipart_upload"): "aborted again, or by the bucket's lifecycle after a day",
}
READS = {
    *("get_item", "query", "head_object", "get_object", "get_paginator", "list_objects_v2", "S3Object"),
    *("describe_execution", "batch_get_item", "upload_part", "list_parts"),
    *("describe_log_streams", "admin_get_user"),
}


def throttled(function: str, life: Callable[[Scene], None], **ends: Any) -> Line:
    """DynamoDB refuses the function's call three times; botocore tries again by itself."""
    strike = Strike(function, "any", "throttle", answers=3)
    about = f"DynamoDB throttles a call of `{function}` three times"
    return Line(f"throttled-{function}", about, life, (strike,), **ends)


def throttled_for_long(function: str, life: Callable[[Scene], None], **ends: Any) -> Line:
    strike = Strike(function, "any", "refuse", times=2)
    about = f"DynamoDB throttles `{function}` for longer than botocore tries, twice"
    return Line(f"throttled-long-{function}", about, life, (strike,), **ends)


LINES = (
    # Events of uploads.
    Line("events-twice", "the upload's event comes twice at once", partial(with_events, events=(0.0, 0.0))),
    Line("events-late", "it comes again, and once more, late", partial(with_events, events=(0.0, 1.0, 4.0))),
    Line("events-delayed", "it comes four seconds late", partial(with_events, events=(4.0,))),
    Line("events-reordered", "that of an older version comes after a newer one's", out_of_order),
    Line("streams-twice", "each record of the row's stream comes twice", doubled),
    # Crashes.
    *(line for write in WRITES for line in write.lines()),
    Line(
        "dispatch-jobs-dies-on", "`DispatchJobs` dies before `StartExecution` whenever it hears of the job",
        started_late, (Strike("DispatchJobs", "StartExecution", "crash before", times=3),),
    ),
    # Throttling.
    throttled("IngestUpload", whole),
    throttled("PrepareJob", whole),
    throttled("PublishResult", whole),
    throttled("RecordProgress", whole),
    throttled("RecordFailure", refused, **REFUSED),
    throttled("SettleExecution", stopped, **STOPPED),
    throttled("ReconcileJobs", reconciled, **STOPPED),
    throttled("ServeApi", stopped, **STOPPED),
    throttled("ServeSocket", whole),
    throttled_for_long("IngestUpload", whole),
    throttled_for_long("PrepareJob", whole),
    throttled_for_long("PublishResult", whole),
    throttled_for_long("RecordFailure", refused, **REFUSED),
    throttled_for_long("SettleExecution", stopped, **STOPPED),
    throttled_for_long("ServeApi", stopped, **STOPPED),
    Line(
        "throttled-states", "each of the state machine's own calls is throttled three times",
        partial(with_faults_of_aws, faults={
            "PrepareJob": ("Lambda.TooManyRequestsException", 3),
            "EnterCompression": ("DynamoDB.ProvisionedThroughputExceededException", 3),
            "RunCompression": ("SageMaker.ThrottlingException", 3),
            "PublishResult": ("Lambda.TooManyRequestsException", 3),
        }),
    ),
    # SageMaker.
    Line("job-failed", "the program fails, and says why", partial(ordered, word="refuse"), **REFUSED),
    Line(
        "job-broken", "the program ends without a word", partial(ordered, word="break"), **FAULT,
    ),
    Line(
        "job-killed", "the kernel kills the program", partial(ordered, word="die"),
        status=Status.FAILED, code="killed",
    ),
    Line(
        "training-killed", "the kernel kills training's program", partial(ordered, word="die", step="3dgs"),
        status=Status.FAILED, code="killed",
    ),
    Line(
        "job-capacity", "there is no capacity for the job, twice",
        partial(with_faults_of_aws, faults=aws_fails("RunCompression", "no-capacity-processing", 2)),
    ),
    Line(
        "job-over-time", "the program hangs until its state times out", out_of_time,
        status=Status.FAILED, code="timeout", alone=True,
    ),
    Line(
        "job-stopped-outside", "somebody stops the SageMaker job", stopped_outside,
        status=Status.FAILED, code="stopped_outside",
    ),
    # After the end.
    Line(
        "letter-unanswered", "SES does not answer; nobody knows whether it has the letter", told,
        (Strike("NotifyOwner", "SendEmail", "no answer"),), letters=1, **NO_ZIP,
    ),
    Line("deleted-events", "events of a deleted job come again", deleted_and_heard_of, is_gone=True),
    throttled_for_long("ForgetJob", deleted, **ERASED),
    # Clients.
    Line("client-gone", "a client vanishes while it is sent to", reset_by_its_client),
    Line("client-deaf", "a client stays, and reads nothing", read_no_more),
    # Logs.
    Line("log-garbled", "the job's log holds garbage, and lines late, twice and out of order", told_garbage),
    Line("log-foreign", "other people's jobs tell their progress in the same log group", among_others),
)  # fmt: skip


# ---- playing them ----------------------------------------


@dataclass
class Outcome:
    """What a line came to."""

    error: BaseException | None = None
    fired: list[str] = field(default_factory=list)
    still_armed: list[str] = field(default_factory=list)
    seconds: float = 0.0
    job_id: str = ""
    address: str = ""


def play(stage: Stage, line: Line) -> Outcome:
    began, outcome = time.monotonic(), Outcome()
    scene = Scene(stage, line.name, line.strikes)
    try:
        line.life(scene)
        if line.is_gone:
            assert_gone(stage.stack, scene.job_id, scene.key, stage.faults)
        else:
            row = assert_sound(stage.stack, scene.job_id, stage.faults, scene.watcher)
            assert (row.status, row.error.code if row.error else None) == (line.status, line.code), row.error
    except BaseException as error:  # told by the line's own test
        outcome.error = error
    finally:
        scene.close()
    outcome.fired, outcome.still_armed = scene.struck(), stage.faults.still_armed(line.name)
    outcome.seconds = time.monotonic() - began
    outcome.job_id, outcome.address = scene.job_id, scene.address
    return outcome


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, stack_of, stubs, photos_zip) -> Iterator[Stage]:
    program = stubs.folder / "ordered.py"
    options = [word.replace(str(stubs.folder / "program.py"), str(program)) for word in stubs.options]
    program.write_text((HERE / "ordered_program.py").read_text())
    (stubs.folder / "orders").mkdir()
    faults = Faults(tmp_path_factory.mktemp("faults"))
    cloud = start_faulty_cloud(tmp_path_factory.mktemp("engine"), faults, options, PARAMETERS)
    cloud.client("sesv2").create_email_identity(EmailIdentity=SENDER)
    yield Stage(stack_of(cloud), faults, stubs.folder, photos_zip)
    cloud.down()


@pytest.fixture(scope="module")
def played(stage: Stage, request: pytest.FixtureRequest) -> dict[str, Outcome]:
    """Every line that is tested, played once."""
    # The session may hold other modules' tests, whose parameters have the same name.
    asked = (getattr(item, "callspec", None) for item in request.session.items if item.path == request.path)
    wanted = [call.params["line"] for call in asked if call is not None]
    lines = [line for line in LINES if line in wanted]
    lambdas = stage.stack.cloud.client("lambda")
    name = stage.stack.resource("ClassifyFailure")
    now = lambdas.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    lambdas.update_function_configuration(
        FunctionName=name, Environment={"Variables": now | {"CAPACITY_WAIT_MINUTES": "1"}}
    )
    together = [line for line in lines if not line.alone]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = dict(
            zip((line.name for line in together), pool.map(partial(play, stage), together), strict=True)
        )
    return outcomes | {line.name: play(stage, line) for line in lines if line.alone}


# ---- the tests ----------------------------------------


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.name)
def test_a_job_stays_sound(stage, played, line: Line):
    outcome = played[line.name]
    if outcome.error is not None:
        raise outcome.error
    # And the fault was there
    assert outcome.fired, "nothing has struck"
    assert outcome.still_armed == [], "not all of it has struck"
    # And nothing came after all had been looked at, though the others took their time
    assert len(letters_to(stage.stack, outcome.address)) == line.letters
    assert (row_of(stage.stack, outcome.job_id) is None) == line.is_gone


def test_every_write_has_a_line():
    made = {(function, call) for function in FUNCTIONS for call in aws_calls(function) - READS}
    lines = {(write.function, write.call) for write in WRITES}
    assert made - lines <= set(WITHOUT_A_LINE)
    assert lines <= made


def test_no_two_lines_have_one_name():
    names = [line.name for line in LINES]
    assert sorted(names) == sorted(set(names))


def test_the_table_in_the_docs_is_this():
    if os.environ.get("SPACEPORT_WRITE_DOCS") == "1":
        TABLE.write_text(table())
    assert TABLE.read_text() == table()


def table() -> str:
    head = """\
# Faults, one by one

Written by `SPACEPORT_WRITE_DOCS=1 pytest tests/integration/test_faults.py`, which plays every line on the
local engine and compares the table with this one: don't edit it by hand. A line's fault must have struck.
After each, `tests/integration/faults/soundness.py` looks at the job:

- its row has ended, as the line says, and nothing changes it any more;
- every version of the row is one write of the one before it; what had ended began again as a new run only,
  and no stage went back;
- a client that followed saw every change of status and stage, in order, and has the last version;
- each run had one execution; it is over, and ended as the row says;
- its history has one entry for each change of status, stage or run, and it holds no slot of the queue;
- no SageMaker job of it runs, and a finished one's result is there;
- its owner got as many letters as the line says, and the row says that one is sent. A letter is sent at least
  once: SES knows none again, so a crash between its yes and the row has it sent twice.

"Gone" is a job that was deleted, by its owner or because its days were over: no store holds anything of it
but the tombstone in the Jobs table, and nothing that comes late makes it anew.

`kill -9` of the engine in every stage: `tests/integration/test_crash.py`, with the same look at the job.
Every failure of a state, and every transition: [state-machine.md](state-machine.md).

| fault | the job is then |
| --- | --- |
"""
    rows = (f"| {line.about} | {line.end} |\n" for line in LINES)
    return head + "".join(rows)
