"""Where a stage's failed job leads first: is it tried again, does it wait for a machine, or has it failed?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from spaceport import metering
from spaceport.attempts import Attempt
from spaceport.diagnosis import Reason, diagnose, work_of
from spaceport.environment import Environment
from spaceport.job import PipelineStep
from spaceport.sagemaker_tasks import SageMakerTasks
from spaceport.verdicts import Failure, Waiting, verdict

# After these a SageMaker job may run on: Step Functions has stopped waiting for it, or never knew it.
MAY_RUN_ON = (Reason.OVER_TIME, Reason.NAME_TAKEN)


class Settings(Environment):
    capacity_wait_minutes: float
    capacity_patience_hours: float


logger = Logger()
settings = Settings.read()
waiting = Waiting(
    first=timedelta(minutes=settings.capacity_wait_minutes),
    patience=timedelta(hours=settings.capacity_patience_hours),
)
sagemaker_tasks = SageMakerTasks(boto3.client("sagemaker"))


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """`event`: the plan's {jobId, attempt}, its position's {step}, its {tasks} by the step, and the {failure:
    {Error, Cause}}. Returns the next attempt."""
    job_id, step = event["jobId"], PipelineStep(event["step"])
    logger.append_keys(job_id=job_id)
    before, failure = Attempt.model_validate(event["attempt"]), event["failure"]
    cause, now = failure.get("Cause") or "", datetime.now(UTC)
    reason = diagnose(failure["Error"], cause).reason
    if reason in MAY_RUN_ON:
        sagemaker_tasks.stop(event["tasks"][step], step, before.of(step).first_attempt)
    after = verdict(Failure(reason, step, job_id, now, work_of(cause, now)), before, waiting)
    if after.seconds:  # another type of machine is asked for at once
        metering.count("CapacityWaits", job_id=job_id, step=step)
    logger.warning("stage failed", step=step, reason=reason.name, remedy=after.remedy, seconds=after.seconds)
    return after.model_dump(mode="json", by_alias=True)
