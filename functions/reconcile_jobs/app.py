"""Every five minutes: mend what an event that never came, or a call that failed, has left behind.

Each job is looked at on its own: one that can't be mended now must not keep the others waiting.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from spaceport import metering
from spaceport.artifacts import Artifacts
from spaceport.batches import Summing
from spaceport.environment import Environment
from spaceport.executions import Executions
from spaceport.job import now_iso
from spaceport.jobs import Jobs
from spaceport.reconciliation import (
    Remedy,
    all_artifacts_are_there,
    is_silent,
    needs_last_erasure,
    remedy,
)
from spaceport.sagemaker_tasks import SageMakerTasks
from spaceport.settlement import Settlement
from spaceport.slots import SlotsItem
from spaceport.stages import Status
from spaceport.stopping import Stopping

# Those that keep a machine which nobody wants any more come before the others.
FIRST = (Status.STOPPING, Status.RUNNING, Status.WAITING_CAPACITY)


class Settings(Environment):
    jobs_table: str
    queue_table: str
    data_bucket: str
    state_machine_arn: str


logger = Logger()
settings = Settings.read()
dynamodb = boto3.resource("dynamodb")
jobs = Jobs(dynamodb.Table(settings.jobs_table))
slots = SlotsItem(dynamodb.Table(settings.queue_table))
executions = Executions(boto3.client("stepfunctions"), settings.state_machine_arn)
sagemaker_tasks = SageMakerTasks(boto3.client("sagemaker"))
artifacts = Artifacts(boto3.client("s3"), settings.data_bucket)
settlement = Settlement(jobs, sagemaker_tasks, artifacts)
summing = Summing(jobs)
stopping = Stopping(jobs, executions, sagemaker_tasks)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return reconcile(datetime.now(UTC))


def reconcile(now: datetime) -> dict[str, Any]:
    """Mend every job. Raises RuntimeError after the last one where some could not be mended."""
    work = [(job_id, mend) for status in FIRST for job_id in jobs.with_status(status)]
    work += [(job_id, discard) for job_id in jobs.awaiting_discard()]
    work += [(job_id, erase_again) for job_id in jobs.deleted()]
    work += [(batch_id, sum_up) for batch_id in jobs.open_batches()]
    # Without a slot nobody has started them, and there may be thousands.
    held = slots.read().held
    work += [(job_id, mend) for job_id in jobs.with_status(Status.QUEUED) if job_id in held]
    stuck, failed = [], []
    for job_id, do in work:
        logger.append_keys(job_id=job_id)
        try:
            if do(job_id, now):
                stuck.append(job_id)
        except Exception:  # whatever it is, the other jobs are not to wait for it
            logger.exception("not mended")
            failed.append(job_id)
    logger.remove_keys(["job_id"])
    metering.count("StuckJobs", len(stuck) + len(failed))
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(work)} jobs could not be mended: {', '.join(failed[:20])}")
    return {"looked_at": len(work)}


def mend(job_id: str, now: datetime) -> bool:
    """Do what the job needs. True where it is stuck, and a person should look."""
    row = jobs.get(job_id)
    if row is None or row.is_terminal:
        return False
    execution = executions.of(row)
    needed = remedy(row, execution, now)
    if needed is Remedy.SETTLE:
        settlement.settle(row, execution, now_iso(now))
    elif needed is Remedy.STOP:
        stopping.halt(row)
    if needed is not Remedy.NOTHING:
        logger.warning("mended", status=row.status, execution=execution.status, by=needed.name)
    elif is_silent(row, now):
        logger.warning("silent", status=row.status, stage=row.stage, since=row.updated_at)
        return True
    return False


def sum_up(job_id: str, now: datetime) -> bool:
    """Bring a batch up to date: an event may have been lost, and a job may be of a later batch too."""
    summing.sum_up(job_id, now_iso(now))
    return False


def discard(job_id: str, now: datetime) -> bool:
    """Delete a stopped job's artifacts once more: its SageMaker job may have uploaded some after its end."""
    row = jobs.get(job_id)
    if row is None or not row.awaits_discard:
        return False
    artifacts.discard(job_id)
    if all_artifacts_are_there(row, now):
        jobs.artifacts_discarded(job_id, now_iso(now))
    return False


def erase_again(job_id: str, now: datetime) -> bool:
    """Have a job erased for good that was deleted when its SageMaker job could still upload."""
    row = jobs.get(job_id)
    if row is not None and needs_last_erasure(row, now):
        jobs.delete(job_id, now_iso(now))  # `forget_job` hears of it
    return False
