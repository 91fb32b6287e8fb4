"""One job on an engine with faults: how it is brought to life, and what its owner does about it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boto3.dynamodb.types import TypeSerializer
from injection import ROOT, Faults, Strike
from soundness import row_of, running_sagemaker_jobs, until
from watching import Watcher

from spaceport.errors import UserError
from spaceport.job import JobRecord, batch_id_for, execution_name, job_id_for
from spaceport.stages import TERMINAL, Status, stage_named
from spaceport_cli.api import ApiClient

OBJECT_CREATED = ROOT / "events" / "object_created.json"
ENDS_WITHIN_S = 120.0
ASKED_TIMES = 8
# What a job that begins late needs of the earlier steps; the last one is older than its run.
LEFT_BEHIND = {
    "compression": ("gaussian/model.ply", "colmap/sfm.json", "colmap/dense/scene.txt"),
    "3dgs": ("colmap/sfm.json", "colmap/dense/scene.txt"),
    "sfm": (),
}
BATCH, KEY = "the batch's id", "the zip's key"  # a strike's markers
OF_AN_EARLIER_RUN = "compressed/tiles/old.json"


@dataclass(frozen=True)
class Stage:
    """The engine that the lines share: its stack, its faults, and the folder of its job programs."""

    stack: Any
    faults: Faults
    programs: Path
    photos: bytes

    @property
    def api(self) -> ApiClient:
        api: ApiClient = self.stack.api
        return api


class Scene:
    """One job of a line of the table."""

    def __init__(self, stage: Stage, name: str, strikes: Sequence[Strike], owner: str = "") -> None:
        self.stage, self.stack, self.faults, self.api = stage, stage.stack, stage.faults, stage.api
        self.name, self._unarmed = name, list(enumerate(strikes))
        self.owner = owner or f"owner-of-{name}"  # the queue is fair: one's jobs must not wait for another's
        self.key = f"uploads/{self.owner}/faults/{name}.zip"
        self.address = f"{self.owner}@example.org"
        self.body = stage.photos
        self.asked: dict[str, str] = {}  # in the zip's metadata
        self.job_id, self.batch_id = "", ""
        self.watcher: Watcher | None = None
        self.evidence: list[str] = []  # of faults that the test itself makes

    # ---- to life ------------------------------------------------------------------------------------------

    def put(self, step: str = "compression") -> str:
        """Upload the zip, whose event waits; returns its version. `step`: where its job begins."""
        put = self.stack.cloud.client("s3").put_object(
            Bucket=self.stack.output("UploadsBucket"),
            Key=self.key,
            Body=self.body,
            Metadata={"spaceport": json.dumps({"pipelineStep": step, **self.asked})},
        )
        version: str = put["VersionId"]
        return version

    def expect(self, job_id: str, step: str = "compression", order: str = "") -> None:
        """Have all ready for the job: what it finds, what its program is told, who watches, what strikes."""
        self.job_id = job_id
        for left in (*LEFT_BEHIND[step], *([OF_AN_EARLIER_RUN] if step == "compression" else [])):
            self.stack.cloud.client("s3").put_object(
                Bucket=self.stack.output("DataBucket"), Key=f"jobs/{job_id}/{left}", Body=b"left"
            )
        if order:
            self.order(step).write_text(order)
        self.arm(job_id)
        self.watcher = Watcher(job_id, self.api.socket_address)
        self.watcher.wait_subscribed()

    def arm(self, marker: str) -> None:
        """Arm what has still to strike, at calls with `marker` in them."""
        while self._unarmed:
            number, strike = self._unarmed.pop()
            own = {None: marker, BATCH: self.batch_id, KEY: self.key}.get(strike.marker, strike.marker)
            self.faults.arm(f"{self.name}.{number}", strike, own or "")

    def drop(self, step: str = "compression", order: str = "", events: Sequence[float] = (0.0,)) -> None:
        """A dropped zip becomes a job, its event coming after so many seconds, for each time."""
        version = self.put(step)
        self.expect(job_id_for(self.stack.output("UploadsBucket"), self.key, version), step, order)
        self.faults.release(self.key, {version: events})

    def put_manifest(self) -> tuple[str, dict[str, list[float]]]:
        """Upload the manifest of a batch of this job only, whose event waits; what releases it."""
        bucket, key = (
            self.stack.output("UploadsBucket"),
            f"uploads/{self.owner}/faults/{self.name}.batch.json",
        )
        manifest = {"jobs": [{"s3Url": f"s3://{bucket}/{self.key}"}]}
        put = self.stack.cloud.client("s3").put_object(
            Bucket=bucket, Key=key, Body=json.dumps(manifest).encode()
        )
        self.batch_id = batch_id_for(bucket, key, put["VersionId"])
        return key, {put["VersionId"]: [0.0]}

    def close(self) -> None:
        if self.watcher is not None:
            self.watcher.stop()

    def order(self, step: str = "compression") -> Path:
        """The file that tells the step's program what to do."""
        return self.stage.programs / "orders" / f"{self.job_id}.{stage_named(step).job_suffix}"

    def fail_tasks(self, faults: Mapping[str, Sequence[object]]) -> None:
        """As `Faults.fail_tasks`, in the job's first run."""
        self.faults.fail_tasks(execution_name(self.job_id, 1), faults)

    # ---- looking at it ------------------------------------------------------------------------------------

    def row(self) -> JobRecord | None:
        return row_of(self.stack, self.job_id)

    def until_row(self, holds: Callable[[JobRecord], object], what: str) -> None:
        until(lambda: (row := self.row()) and holds(row), lambda: f"{what}: {self.row()}", ENDS_WITHIN_S)

    def until_ended(self, run: int = 1) -> None:
        self.until_row(lambda row: row.run == run and row.status in TERMINAL, f"run {run} has not ended")

    def until_working(self, step: str = "compression") -> None:
        """Until the step's program runs."""
        self.until_row(lambda row: row.stage == step, f"not in {step}")
        until(lambda: running_sagemaker_jobs(self.stack, self.job_id), "no SageMaker job", ENDS_WITHIN_S)

    def until_batch_ended(self) -> None:
        """Until the batch's row says of its one job what that job's says."""

        def agrees() -> bool:
            batch, job = row_of(self.stack, self.batch_id), self.row()
            if batch is None or job is None or job.batch_id != self.batch_id:
                return False
            return (batch.status, batch.metrics.get("ended")) == (job.status, 1)

        until(agrees, lambda: f"the batch is {row_of(self.stack, self.batch_id)}", ENDS_WITHIN_S)

    def struck(self) -> list[str]:
        """What has gone wrong."""
        fired = self.faults.fired(self.name)
        in_functions = [name for name in fired if name.removeprefix(f"{self.name}.")[0].isdigit()]
        return [*in_functions, *self.faults.fired(self.job_id), *self.task_faults(), *self.evidence]

    def events(self) -> list[str]:
        """The events of its upload that came."""
        return self.faults.fired(f"{self.name}.zip")

    def task_faults(self) -> list[str]:
        return self.faults.fired(execution_name(self.job_id, 1))

    def artifacts(self, *folders: str) -> list[str]:
        """What lies in these folders of the job, or in all."""
        s3, bucket = self.stack.cloud.client("s3"), self.stack.output("DataBucket")
        prefixes = [f"jobs/{self.job_id}/{folder}" for folder in folders or [""]]
        pages = [s3.list_objects_v2(Bucket=bucket, Prefix=prefix) for prefix in prefixes]
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def upload_event(self) -> dict[str, Any]:
        """The event of its upload, as a queue that it was lost in would hold it."""
        event: dict[str, Any] = json.loads(OBJECT_CREATED.read_text())
        row = self.row()
        assert row is not None
        event["detail"]["bucket"]["name"] = self.stack.output("UploadsBucket")
        event["detail"]["object"] |= {"key": self.key, "version-id": row.source_version}
        return event

    # ---- what its owner, or an operator, does -------------------------------------------------------------

    def verify_owner(self) -> None:
        """Have a user of the owner's name, whose address an admin has verified."""
        told = {"email": self.address, "email_verified": "true"}
        self.stack.cloud.client("cognito-idp").admin_create_user(
            UserPoolId=self.stack.output("UserPoolId"),
            Username=self.owner,
            MessageAction="SUPPRESS",
            UserAttributes=[{"Name": name, "Value": value} for name, value in told.items()],
        )

    def ask(
        self, path: str, body: dict[str, Any], is_done: Callable[[], object] = lambda: False
    ) -> dict[str, Any]:
        """Ask the API until it answers, or what was asked for is done: an answer may be lost."""
        for _ in range(ASKED_TIMES):
            try:
                return self.api.post(path, body)
            except UserError:
                if is_done():
                    return {}
                time.sleep(0.3)
        raise AssertionError(f"{path} is never answered")

    def stop(self) -> None:
        """Stop it, and have all that it made deleted."""
        body = {"jobId": self.job_id, "discardArtifacts": True}
        # Repeated until an answer says so: the first call may have got half-way.
        self.ask("/stop-job", body)

    def retry(self) -> None:
        self.order().unlink()
        row = self.row()
        assert row is not None
        self.ask(f"/jobs/{self.job_id}/retry", {}, lambda: (now := self.row()) and now.run > row.run)

    def run_function(self, logical_id: str, event: dict[str, Any] | None = None) -> bool:
        """Run one of the stack's functions, as its schedule does; whether it came to its end."""
        answer = self.stack.cloud.client("lambda").invoke(
            FunctionName=self.stack.resource(logical_id), Payload=json.dumps(event or {}).encode()
        )
        return "FunctionError" not in answer

    def reconcile(self) -> None:
        """Let the reconciler's time come round until the job has ended."""

        def reconciled() -> bool:
            self.run_function("ReconcileJobs")
            row = self.row()
            return row is not None and row.status in TERMINAL and not self.faults.still_armed(self.name)

        until(reconciled, lambda: f"not reconciled: {self.row()}", ENDS_WITHIN_S)

    def log(self, group: str, stream: str, lines: Sequence[str]) -> None:
        """Write to a log stream, as SageMaker's agent does."""
        logs = self.stack.cloud.client("logs")
        with suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_stream(logGroupName=group, logStreamName=stream)
        now = int(time.time() * 1000)
        logs.put_log_events(
            logGroupName=group,
            logStreamName=stream,
            logEvents=[{"timestamp": now, "message": line} for line in lines],
        )

    def change_row(self, **fields: Any) -> None:
        serialize = TypeSerializer().serialize
        self.stack.cloud.client("dynamodb").update_item(
            TableName=self.stack.output("JobsTable"),
            Key={"jobId": {"S": self.job_id}},
            UpdateExpression="SET "
            + ", ".join(f"#{name} = :{name}" for name in fields)
            + " ADD version :one",
            ExpressionAttributeNames={f"#{name}": name for name in fields},
            ExpressionAttributeValues={
                ":one": {"N": "1"},
                **{f":{name}": serialize(value) for name, value in fields.items()},
            },
        )

    def has_status(self, *statuses: Status) -> bool:
        row = self.row()
        return row is not None and row.status in statuses
