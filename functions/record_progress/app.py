"""CloudWatch Logs subscription on the SageMaker log groups → progress in the job's row.

The groups belong to the whole account: lines of other people's jobs come too, and ours come late, twice
and out of order. A line counts only if the row names its job as the current one and it is news.
"""

from __future__ import annotations

from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.data_classes import CloudWatchLogsEvent, event_source
from aws_lambda_powertools.utilities.typing import LambdaContext

from spaceport.environment import Environment
from spaceport.job import is_task_of, now_iso, parse_sagemaker_name
from spaceport.jobs import Jobs
from spaceport.progress import ProgressLine, parse_line


class Settings(Environment):
    jobs_table: str


logger = Logger()
settings = Settings.read()
jobs = Jobs(boto3.resource("dynamodb").Table(settings.jobs_table))


@logger.inject_lambda_context(clear_state=True)
@event_source(data_class=CloudWatchLogsEvent)
def handler(event: CloudWatchLogsEvent, context: LambdaContext) -> dict[str, Any]:
    batch = event.parse_logs_data()
    ours = parse_sagemaker_name(batch.log_stream.split("/", 1)[0])  # {job name}/algo-1-{epoch}
    if ours is None:
        return {"noted": False}
    job_id, task = ours
    logger.append_keys(job_id=job_id)
    line = newest(batch.log_events, task)
    noted = line is not None and jobs.progress(job_id, task, line, now_iso())
    return {"noted": noted}


def newest(events: list[Any], task: str) -> ProgressLine | None:
    """The line of `task` that is furthest along, with every number of the batch: one write a batch is enough.

    A line that names another stage is none of its program's: it would hide those that are.
    """
    parsed = (parse_line(event.message) for event in events)
    lines = [line for line in parsed if line is not None and is_task_of(task, line.stage)]
    if not lines:
        return None
    last = max(lines, key=lambda line: line.progress)
    metrics = {name: value for line in lines for name, value in line.metrics.items()}
    return ProgressLine(last.stage, last.progress, last.message, {**metrics, **last.metrics})
