"""The Jobs table: one conditional update for everything that changes a job.

Every writer adds one to `version`, never leaves a terminal state and never takes progress back. A write
whose condition fails changed nothing and returns False: somebody else was there first, which is normal.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.conditions import Attr, Key
from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import ClientError

from spaceport.errors import ErrorText
from spaceport.job import (
    DELETED_COLLECTION,
    JOBS_COLLECTION,
    JobRecord,
    Kind,
    Notification,
    NotificationState,
    Outputs,
)
from spaceport.progress import ProgressLine
from spaceport.queue import Waiting
from spaceport.stages import ACTIVE, COMPRESSION, DONE, LIVE, SETUP, TERMINAL, Status

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

    from spaceport.batches import Sum


# The table's indexes: by owner and by time for lists, by status for the queue and the reconciler. They hold
# keys, and the last one what those two ask of many rows at once.
BY_OWNER, BY_TIME, BY_STATE = "byOwner", "byTime", "byState"
MANY = 100  # rows, the most that one BatchGetItem reads
# Before what BatchGetItem left is asked for again; twice as long each time that it gave nothing at all.
FIRST_PAUSE_S, LAST_PAUSE_S = 0.05, 2.0
# Longer than an upload's event can wait before it is given up, in the queue of lost events too (14 days).
TOMBSTONE_S = 30 * 86_400


class Jobs:
    """The Jobs table behind the operations that a job's life needs. Times are as `job.now_iso`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def create(self, record: JobRecord) -> bool:
        """Put a new row. False where the job already has one: the same event came twice."""
        return self._put(record, ConditionExpression="attribute_not_exists(jobId)")

    def get(self, job_id: str) -> JobRecord | None:
        """The row as it is now (strongly consistent), or None: an erased job's tombstone is none."""
        item = self._table.get_item(Key={"jobId": job_id}, ConsistentRead=True).get("Item")
        return record_from_item(item) if item and _is_row(item) else None

    def knows(self, job_id: str) -> bool:
        """Whether there is such a job (strongly consistent), or its tombstone: it has been, and is erased."""
        return "Item" in self._table.get_item(Key={"jobId": job_id}, ConsistentRead=True)

    def begin(self, row: JobRecord, execution_arn: str, now: str) -> bool:
        """QUEUED → RUNNING under this execution, which `row` belongs to.

        True again for the same one: Lambdas retry. False where the job waits for a later run by now.
        """
        return self._update(
            row.job_id,
            {"status": Status.RUNNING, "executionArn": execution_arn, "startedAt": now, "updatedAt": now},
            condition="(#status = :queued AND #run = :run)"
            " OR (#status = :status AND #executionArn = :executionArn)",
            values={":queued": Status.QUEUED, ":run": row.run},
            names={"#run": "run"},
        )

    def progress(self, job_id: str, task: str, line: ProgressLine, now: str) -> bool:
        """Note a progress line of `task`. False where the row names another task, or the line is old news."""
        fields: dict[str, Any] = {
            f"stages.{line.stage}.progress": line.progress,
            "detail": line.message,
            "updatedAt": now,
            **_metrics(line.metrics),
        }
        name = next(iter(fields))
        return self._update(
            job_id,
            fields,
            condition=f"#status = :running AND #task = :task AND {_path(name)} < {_value(name)}",
            values={":running": Status.RUNNING, ":task": task},
            names={"#task": "task"},
        )

    def note_scene(
        self, job_id: str, execution_arn: str, metrics: Mapping[str, float], advice: Sequence[str], now: str
    ) -> bool:
        """What this execution's SfM has come to. False where the row is another's by now, or is ending."""
        fields: dict[str, Any] = {"advice": list(advice), "updatedAt": now}
        fields |= _metrics(metrics)
        return self._update(job_id, fields, **_of_execution(execution_arn, ACTIVE))

    def complete(
        self,
        job_id: str,
        execution_arn: str,
        outputs: Outputs,
        metrics: Mapping[str, float],
        now: str,
        *,
        costs: Mapping[str, float | None],
    ) -> bool:
        """This execution finished the job: its outputs, headline numbers and what each stage cost, USD."""
        return self._update(
            job_id,
            {
                "status": Status.COMPLETED,
                "stage": DONE.name,
                "stageIndex": DONE.index,
                "message": DONE.message,
                "detail": "",
                "outputs": outputs.model_dump(by_alias=True),
                "earlierResults": False,
                f"stages.{COMPRESSION.name}.ended": now,
                f"stages.{COMPRESSION.name}.progress": 1,
                "updatedAt": now,
                **_metrics(metrics),
                **_costs(costs),
            },
            **_of_execution(execution_arn, ACTIVE),
        )

    def fail(
        self,
        row: JobRecord,
        execution_arn: str,
        error: ErrorText,
        now: str,
        *,
        costs: Mapping[str, float | None],
        outputs: Outputs | None,
    ) -> bool:
        """This execution of the job failed. False where the row ended otherwise, or is another one's.

        Args:
            costs: what each stage that was begun cost, USD.
            outputs: the partial results.
        """
        return self._update(
            row.job_id,
            _unfinished(row, Status.FAILED, error, now, costs=costs, outputs=outputs),
            **_of_execution(execution_arn, ACTIVE, or_waiting_run=row.run),
        )

    def settle(
        self,
        row: JobRecord,
        execution_arn: str,
        status: Status,
        error: ErrorText,
        now: str,
        *,
        costs: Mapping[str, float | None],
        outputs: Outputs | None,
    ) -> bool:
        """This execution of the job is over, and nobody has said so yet: the row ends as `status`.

        With costs and outputs as `fail`.
        """
        return self._update(
            row.job_id,
            _unfinished(row, status, error, now, costs=costs, outputs=outputs),
            **_of_execution(execution_arn, LIVE, or_waiting_run=row.run),
        )

    def join(self, job_id: str, batch_id: str, now: str) -> bool:
        """Make a job the batch's. False where there is no such job."""
        fields = {"batchId": batch_id, "updatedAt": now}
        return self._update(job_id, fields, condition="attribute_exists(#status)", values={})

    def sum_up(self, batch: JobRecord, found: Sum, now: str) -> bool:
        """Note how the batch stands. False where its row is not the one that was read any more."""
        return self._update(
            batch.job_id,
            {
                "status": found.status,
                "metrics": found.counts,
                "message": found.message,
                "error": None if found.error is None else asdict(found.error),
                "stage": (DONE if found.status is Status.COMPLETED else SETUP).name,
                "updatedAt": batch.updated_at if batch.is_terminal else now,
            },
            condition="#version = :read",
            values={":read": batch.version},
            names={"#version": "version"},
        )

    def request_stop(self, job_id: str, discard_artifacts: bool, now: str) -> bool:
        """A running job is STOPPING from now on. False where it is not running, or stopping already."""
        fields = {"status": Status.STOPPING, "discardArtifacts": discard_artifacts, "updatedAt": now}
        return self._update(job_id, fields, **_is_one_of((Status.RUNNING, Status.WAITING_CAPACITY)))

    def stop_queued(self, job_id: str, discard_artifacts: bool, error: ErrorText, now: str) -> bool:
        """A job that waits in the queue is STOPPED at once: nothing of it runs. False where it is not."""
        fields = {
            "status": Status.STOPPED,
            "discardArtifacts": discard_artifacts,
            "error": asdict(error),
            "updatedAt": now,
            **({"outputs": None} if discard_artifacts else {}),
        }
        return self._update(job_id, fields, **_is_one_of((Status.QUEUED,)))

    def reopen(self, ended: JobRecord, new_run: JobRecord) -> bool:
        """Put `new_run` (`ended.reopened(...)`) in `ended`'s place. False where the row changed since."""
        return self._put(
            new_run,
            ConditionExpression="#version = :version",
            ExpressionAttributeNames={"#version": "version"},
            ExpressionAttributeValues={":version": ended.version},
        )

    def discard_artifacts(self, job_id: str, now: str) -> bool:
        """Have a job's artifacts deleted that was stopped without asking for it. False where it was not."""
        fields = {"discardArtifacts": True, "outputs": None, "updatedAt": now}
        return self._update(job_id, fields, **_is_one_of((Status.STOPPING, Status.STOPPED)))

    def artifacts_discarded(self, job_id: str, now: str) -> bool:
        """Note that what a stopped job had made is deleted for good."""
        fields = {"artifactsDiscarded": True, "updatedAt": now}
        return self._update(job_id, fields, **_is_one_of((Status.STOPPED,)))

    def discard_intermediates(self, ended: JobRecord) -> bool:
        """No run of this job is to begin with what its stages left: it goes. False where the row changed."""
        return self._update(
            ended.job_id,
            {"discardIntermediates": True},
            condition="#status = :ended AND #version = :was",
            values={":ended": ended.status, ":was": ended.version},
            names={"#version": "version"},
        )

    def intermediates_discarded(self, ended: JobRecord) -> bool:
        """What an ended job's stages left for each other is gone. False where a new run has begun since."""
        return self._update(
            ended.job_id,
            {"intermediatesDiscarded": True},
            condition="#status = :ended AND #run = :run",
            values={":ended": ended.status, ":run": ended.run},
            names={"#run": "run"},
        )

    def claim_notification(self, ended: JobRecord, event: str, now: str) -> bool:
        """Whether the caller is to write to the owner of `ended`: at least once for a run's end.

        Once more after a try that failed, and for the same `event` (its id) while its letter is SENDING: that
        try has broken off, and whether its letter had gone out nobody knows. Or EventBridge delivered the
        event twice at once, and the try is still at work: then two letters go out.
        """
        return self._update(
            ended.job_id,
            _notification(ended, NotificationState.SENDING, now, event=event),
            condition="#status = :ended AND #run = :run AND (attribute_not_exists(#notification)"
            " OR attribute_type(#notification, :null) OR #notification.#run <> :run"
            " OR #notification.#status <> :ended OR #notification.#state = :failed"
            " OR (#notification.#state = :sending AND #notification.#event = :event))",
            values={
                ":ended": ended.status,
                ":run": ended.run,
                ":null": "NULL",
                ":failed": NotificationState.FAILED.value,
                ":sending": NotificationState.SENDING.value,
                ":event": event,
            },
            names={"#run": "run", "#state": "state", "#event": "event"},
        )

    def notified(self, ended: JobRecord, state: NotificationState, now: str, reason: str = "") -> bool:
        """What became of the letter about `ended`. False where its job has gone on since."""
        return self._update(
            ended.job_id,
            _notification(ended, state, now, reason),
            condition="#status = :ended AND #run = :run",
            values={":ended": ended.status, ":run": ended.run},
            names={"#run": "run"},
        )

    def delete(self, job_id: str, now: str) -> bool:
        """An ended job is hidden from everybody, for ever. False where it runs or waits, or is not there.

        Once more has its erasure begin once more.
        """
        fields = {"deletedAt": now, "collection": DELETED_COLLECTION}
        return self._update(job_id, fields, **_is_one_of(tuple(TERMINAL)))

    def entomb(self, job_id: str, now: float) -> bool:
        """All that a deleted job left is erased: of its row only that it was remains, for TOMBSTONE_S.

        While that is there, no late event of its upload makes the job anew. It holds nothing of the owner's,
        and none of the attributes that indexes have for keys. `now` is in seconds since 1970.
        """
        return self._put_item(
            {"jobId": job_id, "expiresAt": int(now) + TOMBSTONE_S},
            ConditionExpression="attribute_type(deletedAt, :text)",
            ExpressionAttributeValues={":text": "S"},
        )

    def page(self, owner: str | None, limit: int, before: str | None = None) -> list[JobRecord]:
        """The newest `limit` jobs, newest first, of one owner or (None) of all.

        A few more where the last ones were created in the same millisecond: the next page begins before it.

        Args:
            before: only jobs created before this time (ISO 8601), for the next page.
        """
        index, key, value = (
            (BY_TIME, "collection", JOBS_COLLECTION) if owner is None else (BY_OWNER, "owner", owner)
        )
        whose, created = Key(key).eq(value), Key("createdAt")
        found = self._table.query(
            IndexName=index,
            KeyConditionExpression=whose & created.lt(before) if before else whose,
            ScanIndexForward=False,
            Limit=limit,
        )["Items"]
        if len(found) == limit:
            last = str(found[-1]["createdAt"])
            found += self._table.query(IndexName=index, KeyConditionExpression=whose & created.eq(last))[
                "Items"
            ]
        # The index has keys only, and is a moment behind; the rows are read as they are now.
        rows = (self.get(job_id) for job_id in dict.fromkeys(str(item["jobId"]) for item in found))
        return [row for row in rows if row is not None]

    def all(self, at_once: int) -> Iterator[JobRecord]:
        """Every job, newest first, read `at_once` at a time."""
        before: str | None = None
        while rows := self.page(None, at_once, before):
            yield from rows
            before = rows[-1].created_at

    def deleted(self) -> list[str]:
        """The ids of the deleted jobs that have no tombstone yet; a moment behind the rows."""
        query: dict[str, Any] = {"KeyConditionExpression": Key("collection").eq(DELETED_COLLECTION)}
        return [str(item["jobId"]) for item in self._found(BY_TIME, query)]

    def many(self, job_ids: Iterable[str]) -> list[JobRecord]:
        """The rows of these jobs as they are now (strongly consistent), in any order, if there are."""
        return [record_from_item(item) for item in self._items(job_ids) if _is_row(item)]

    def erased(self, job_ids: Iterable[str]) -> int:
        """How many of these jobs have been deleted, and erased for good."""
        return sum(not _is_row(item) for item in self._items(job_ids))

    def _items(self, job_ids: Iterable[str]) -> Iterator[dict[str, Any]]:
        wanted, pause = sorted(set(job_ids)), FIRST_PAUSE_S
        name = self._table.name
        while wanted:
            keys = [{"jobId": job_id} for job_id in wanted[:MANY]]
            asked: Any = {name: {"Keys": keys, "ConsistentRead": True}}
            answer = self._table.meta.client.batch_get_item(RequestItems=asked)
            yield from answer["Responses"][name]
            # What one answer has no room for (16 MB), or the table no capacity, is asked for again.
            left = answer["UnprocessedKeys"].get(name, {"Keys": []})["Keys"]
            wanted = [str(key["jobId"]) for key in left] + wanted[MANY:]
            if len(left) < len(keys):
                pause = FIRST_PAUSE_S
            if left:
                time.sleep(pause)
                pause = min(2 * pause, LAST_PAUSE_S)

    def waiting(self) -> list[Waiting]:
        """The queued runs, in any order; a moment behind the rows."""
        return [
            Waiting(
                job_id=item["jobId"],
                owner=item["owner"],
                run=int(item["run"]),
                since=item.get("queuedAt") or item["createdAt"],
                position=None if item.get("queuePosition") is None else int(item["queuePosition"]),
            )
            for item in self._by_state({"KeyConditionExpression": Key("status").eq(Status.QUEUED.value)})
        ]

    def place(self, job: Waiting, position: int | None, now: str) -> bool:
        """Tell a queued job its place in the queue, as that was `now`.

        False where this run of it waits no more, or a later round has told it already.
        """
        return self._update(
            job.job_id,
            {"queuePosition": position, "updatedAt": now},
            condition="#status = :queued AND #run = :run AND #updatedAt <= :updatedAt",
            values={":queued": Status.QUEUED, ":run": job.run},
            names={"#run": "run"},
        )

    def with_status(self, status: Status) -> list[str]:
        """The ids of the jobs with this status, oldest first; a moment behind the rows."""
        found = self._by_state({"KeyConditionExpression": Key("status").eq(status.value)})
        return [str(item["jobId"]) for item in found]

    def open_batches(self) -> list[str]:
        """The ids of the batches that have jobs which have not ended; a moment behind the rows."""
        query = {"KeyConditionExpression": Key("status").eq(Status.RUNNING.value)}
        return [str(item["jobId"]) for item in self._by_state(query, Kind.BATCH)]

    def awaiting_discard(self) -> list[str]:
        """The ids of the stopped jobs whose artifacts are to be deleted; a moment behind the rows."""
        found = self._by_state(
            {
                "KeyConditionExpression": Key("status").eq(Status.STOPPED.value),
                "FilterExpression": Attr("discardArtifacts").eq(True) & Attr("artifactsDiscarded").ne(True),
            }
        )
        return [str(item["jobId"]) for item in found]

    def _by_state(self, query: dict[str, Any], kind: Kind = Kind.JOB) -> list[dict[str, Any]]:
        """What the index has of the rows of this kind that `query` finds."""
        return [item for item in self._found(BY_STATE, query) if item.get("kind", Kind.JOB) == kind]

    def _found(self, index: str, query: dict[str, Any]) -> list[dict[str, Any]]:
        """All that `query` finds in the index, however many pages it has."""
        items: list[dict[str, Any]] = []
        while True:
            page = self._table.query(IndexName=index, **query)
            items += page["Items"]
            if "LastEvaluatedKey" not in page:
                return items
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _put(self, record: JobRecord, **condition: Any) -> bool:
        """Put a whole row, under `condition`."""
        return self._put_item(item_of(record), **condition)

    def _put_item(self, item: dict[str, Any], **condition: Any) -> bool:
        try:
            self._table.put_item(Item=item, **condition)
        except ClientError as error:
            return _condition_failed(error)
        return True

    def _update(
        self,
        job_id: str,
        fields: Mapping[str, Any],
        *,
        condition: str,
        values: Mapping[str, Any],
        names: Mapping[str, str] | None = None,
    ) -> bool:
        """SET `fields` (dotted paths) and ADD one to the version, under `condition`."""
        parts = {part for path in fields for part in path.split(".")}
        try:
            self._table.update_item(
                Key={"jobId": job_id},
                UpdateExpression="SET "
                + ", ".join(f"{_path(path)} = {_value(path)}" for path in fields)
                + " ADD version :one",
                ConditionExpression=condition,
                ExpressionAttributeNames={
                    "#status": "status",
                    **{_name(part): part for part in parts},
                    **(names or {}),
                },
                ExpressionAttributeValues={
                    ":one": 1,
                    **{_value(path): _to_dynamo(value) for path, value in fields.items()},
                    **{name: _to_dynamo(value) for name, value in values.items()},
                },
            )
        except ClientError as error:
            return _condition_failed(error)
        return True


def _notification(
    ended: JobRecord, state: NotificationState, now: str, reason: str = "", event: str = ""
) -> dict[str, Any]:
    told = Notification(run=ended.run, status=ended.status, state=state, at=now, reason=reason, event=event)
    return {"notification": told.model_dump(mode="json")}


def _unfinished(
    row: JobRecord,
    status: Status,
    error: ErrorText,
    now: str,
    *,
    costs: Mapping[str, float | None],
    outputs: Outputs | None,
) -> dict[str, Any]:
    """The fields of a job that ends without its result."""
    current = row.stages.get(row.stage)
    vain = {f"stages.{row.stage}.started": None} if current and current.started is None else {}
    return {
        **vain,
        "status": status,
        "error": asdict(error),
        "outputs": None if outputs is None else outputs.model_dump(by_alias=True),
        "earlierResults": row.earlier_results and outputs is not None and outputs == row.outputs,
        "updatedAt": now,
        **_costs(costs),
    }


def _metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """The fields of those that are numbers: DynamoDB knows no NaN and no infinity."""
    return {f"metrics.{name}": value for name, value in metrics.items() if isfinite(value)}


def _costs(costs: Mapping[str, float | None]) -> dict[str, float | None]:
    return {f"stages.{name}.cost": cost for name, cost in costs.items()}


def _is_one_of(statuses: Sequence[Status]) -> dict[str, Any]:
    """Condition and values of "the row's status is one of these"."""
    names = {f":is{i}": status for i, status in enumerate(statuses)}
    return {"condition": f"#status IN ({', '.join(names)})", "values": names}


def _of_execution(
    execution_arn: str, statuses: Sequence[Status], *, or_waiting_run: int | None = None
) -> dict[str, Any]:
    """Condition of "the row has one of these statuses, and is this execution's".

    `or_waiting_run`: or this run of it is no execution's yet, for one that ended before it could claim it.
    """
    status, owner = _is_one_of(statuses), "#executionArn = :executionArn"
    values = {**status["values"], ":executionArn": execution_arn}
    names = {"#executionArn": "executionArn"}
    if or_waiting_run is not None:
        owner = f"({owner} OR (attribute_type(#executionArn, :null) AND #run = :run))"
        values |= {":null": "NULL", ":run": or_waiting_run}
        names |= {"#run": "run"}
    return {"condition": f"{status['condition']} AND {owner}", "values": values, "names": names}


def _is_row(item: Mapping[str, Any]) -> bool:
    """Whether it is a job's row, and not the tombstone of an erased one."""
    return "status" in item


def record_from_item(item: Mapping[str, Any]) -> JobRecord:
    """A row as boto3's resource layer reads it."""
    return JobRecord.model_validate(_from_dynamo(dict(item)))


def record_from_image(image: Mapping[str, Any]) -> JobRecord:
    """A row as a DynamoDB stream carries it: typed attribute values (`{"S": ...}`)."""
    deserialize = TypeDeserializer().deserialize
    return record_from_item({name: deserialize(value) for name, value in image.items()})


def item_of(record: JobRecord) -> dict[str, Any]:
    """A row as boto3's resource layer writes it.

    What a stage does not have yet is left out: the state machine writes its end only where there is none.
    """
    stages = {name: stage.model_dump(mode="json", exclude_none=True) for name, stage in record.stages.items()}
    item: dict[str, Any] = _to_dynamo({**record.model_dump(mode="json", by_alias=True), "stages": stages})
    return item


def _path(dotted: str) -> str:
    return ".".join(_name(part) for part in dotted.split("."))


def _name(part: str) -> str:
    # A stage is called `3dgs`; expression names are letters, digits and underscores.
    return f"#{''.join(c if c.isalnum() else '_' for c in part)}"


def _value(dotted: str) -> str:
    return f":{''.join(c if c.isalnum() else '_' for c in dotted)}"


def _to_dynamo(value: Any) -> Any:
    """DynamoDB has Decimal for numbers, and no float."""
    if isinstance(value, Status):
        return value.value
    if isinstance(value, float):
        return Decimal(str(value))
    if isinstance(value, Mapping):
        return {name: _to_dynamo(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_to_dynamo(part) for part in value]
    return value


def _from_dynamo(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: _from_dynamo(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_from_dynamo(part) for part in value]
    return value


def _condition_failed(error: ClientError) -> bool:
    """False for a failed condition; any other error is a fault and goes on."""
    if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
        return False
    raise error
