"""`Job Changed` (a job is QUEUED, or has ended), and every minute → as many queued jobs start as may run.

The event may come late or twice: it only says that it is time to look.
"""

from __future__ import annotations

from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from spaceport import metering
from spaceport.dispatching import Dispatching
from spaceport.environment import Environment
from spaceport.executions import Executions
from spaceport.job import now_iso
from spaceport.jobs import Jobs
from spaceport.queue import RunningLimits
from spaceport.slots import SlotsItem


class Settings(Environment):
    jobs_table: str
    queue_table: str
    state_machine_arn: str
    max_running_jobs: int
    max_running_jobs_per_owner: int


logger = Logger()
settings = Settings.read()
dynamodb = boto3.resource("dynamodb")
dispatching = Dispatching(
    Jobs(dynamodb.Table(settings.jobs_table)),
    SlotsItem(dynamodb.Table(settings.queue_table)),
    Executions(boto3.client("stepfunctions"), settings.state_machine_arn),
    RunningLimits(settings.max_running_jobs, settings.max_running_jobs_per_owner),
)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    heard_of: str | None = event.get("detail", {}).get("jobId")  # the schedule's event tells of none
    logger.append_keys(job_id=heard_of)
    now = now_iso()
    done = dispatching.dispatch(now, heard_of)
    metering.observe("JobsQueued", done.waiting)
    for job in done.taken:
        metering.count("JobsStarted", job_id=job.job_id)
        metering.observe("QueueWait", job.waited(now), job_id=job.job_id)
    taken = [job.job_id for job in done.taken]
    logger.info("dispatched", started=taken, running=done.running, waiting=done.waiting)
    return {"started": taken, "running": done.running, "waiting": done.waiting}
