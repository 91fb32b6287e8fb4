"""Step Functions executions of the pipeline: starting one for a queued row, stopping it, asking how it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import ClientError

from spaceport.job import JobInput, JobRecord, execution_name

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

RUNNING = "RUNNING"
MISSING = "MISSING"  # our own word: Step Functions knows no such execution
# What StopExecution answers for an execution that there never was, and for one that has ended.
NOT_RUNNING = frozenset({"ExecutionDoesNotExist", "ValidationException"})


@dataclass(frozen=True)
class Execution:
    """How an execution stands: `status` is RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED or MISSING."""

    arn: str
    name: str
    status: str
    error: str = ""
    cause: str = ""

    @classmethod
    def described(cls, told: Mapping[str, Any]) -> Self:
        """The execution that DescribeExecution, or the event of its end, tells of: in the same words."""
        return cls(
            arn=told["executionArn"],
            name=told["name"],
            status=told["status"],
            error=told.get("error") or "",
            cause=told.get("cause") or "",
        )

    @property
    def is_over(self) -> bool:
        return self.status != RUNNING


class Executions:
    """The executions of one state machine."""

    def __init__(self, step_functions: SFNClient, state_machine_arn: str) -> None:
        self._step_functions = step_functions
        self._machine = state_machine_arn

    def start(self, row: JobRecord) -> bool:
        """Start the run that `row` waits for; twice is once, for its name is its run's.

        False where that run has been, or runs with another input.
        """
        try:
            self._step_functions.start_execution(
                stateMachineArn=self._machine,
                name=execution_name(row.job_id, row.run),
                input=execution_input(row).model_dump_json(by_alias=True, exclude_none=True),
            )
        except self._step_functions.exceptions.ExecutionAlreadyExists:
            return False
        return True

    def stop(self, arn: str, cause: str) -> bool:
        """Stop the execution; its end arrives as an event. False where there is none (any more)."""
        try:
            self._step_functions.stop_execution(executionArn=arn, cause=cause)
        except ClientError as error:
            if error.response["Error"]["Code"] in NOT_RUNNING:
                return False
            raise
        return True

    def of(self, row: JobRecord) -> Execution:
        """The execution of the row's current run; MISSING where there is none, or none any more."""
        name = execution_name(row.job_id, row.run)
        arn = row.execution_arn or self._arn(name)
        try:
            found = self._step_functions.describe_execution(executionArn=arn)
        except self._step_functions.exceptions.ExecutionDoesNotExist:
            return Execution(arn, name, MISSING)
        return Execution.described(found)

    def _arn(self, name: str) -> str:
        return f"{self._machine.replace(':stateMachine:', ':execution:')}:{name}"


def execution_input(row: JobRecord) -> JobInput:
    """The execution input of a queued row: its request, with what only the row knows."""
    return JobInput.model_validate(
        {
            **row.request,
            "jobId": row.job_id,
            "run": row.run,
            "jobName": row.job_name,
            "email": row.email,
            "s3Url": row.source,
            "inputS3Uri": row.source,
            "timestamp": row.queued_at or row.created_at,
        }
    )
