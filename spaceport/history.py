"""The History table: what became of each job, one item a change, by the row's version.

Written once and never changed. It tells people and decides nothing: the row is the truth about a job.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from boto3.dynamodb.conditions import Key
from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict

from spaceport.changes import Change
from spaceport.job import JobError
from spaceport.stages import Status

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table


class JobEvent(BaseModel):
    """A change of a job: what it became, in which run, and what it had been; `time` is ISO 8601."""

    model_config = ConfigDict(frozen=True)

    version: int
    time: str
    run: int
    status: Status
    before: Status | None
    stage: str
    error: JobError | None

    @classmethod
    def of(cls, change: Change) -> JobEvent:
        row = change.row
        return cls(
            version=row.version,
            time=row.updated_at,
            run=row.run,
            status=row.status,
            before=change.before,
            stage=row.stage,
            error=row.error,
        )


class History:
    """The History table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def append(self, change: Change) -> bool:
        """Keep `change`. False where it is there already: a stream's record comes again after a failure."""
        told = JobEvent.of(change).model_dump(mode="json")
        key = {"jobId": change.row.job_id, "at": place(change.row.version)}
        try:
            self._table.put_item(Item={**key, **told}, ConditionExpression="attribute_not_exists(jobId)")
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def page(self, job_id: str, limit: int, after: int = 0) -> list[JobEvent]:
        """The first `limit` changes of a job that made versions beyond `after`, oldest first."""
        found = self._table.query(
            KeyConditionExpression=Key("jobId").eq(job_id) & Key("at").gt(place(after)), Limit=limit
        )
        return [JobEvent.model_validate(item) for item in found["Items"]]

    def erase(self, job_id: str) -> int:
        """Delete a job's history; returns how many changes it had."""
        erased = 0
        while items := self._table.query(KeyConditionExpression=Key("jobId").eq(job_id), ConsistentRead=True)[
            "Items"
        ]:
            with self._table.batch_writer() as batch:
                for item in items:
                    batch.delete_item(Key={"jobId": item["jobId"], "at": item["at"]})
            erased += len(items)
        return erased


def place(version: int) -> str:
    """The sort key of the change that made `version`: keys are in the versions' order."""
    return f"{version:012d}"
