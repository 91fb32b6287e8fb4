"""The History table: what became of each job, one item a change, by the row's version.

Written once and never changed. It tells people and decides nothing: the row is the truth about a job.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from spaceport.changes import Change

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table


class History:
    """The History table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def append(self, change: Change) -> bool:
        """Keep `change`. False where it is there already: a stream's record comes again after a failure."""
        row = change.row
        try:
            self._table.put_item(
                Item={
                    "jobId": row.job_id,
                    "at": place(row.version),
                    "version": row.version,
                    "time": row.updated_at,
                    "run": row.run,
                    "status": row.status.value,
                    "before": change.before.value if change.before else None,
                    "stage": row.stage,
                    "error": row.error.model_dump() if row.error else None,
                },
                ConditionExpression="attribute_not_exists(jobId)",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True


def place(version: int) -> str:
    """The sort key of the change that made `version`: keys are in the versions' order."""
    return f"{version:012d}"
