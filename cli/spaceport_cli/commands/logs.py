"""`spaceport logs`: what a job's programs printed."""

from __future__ import annotations

import argparse
import json
import time

from spaceport.progress import parse_line
from spaceport.stages import JOB_STAGES, stage_named
from spaceport_cli.api import ApiClient
from spaceport_cli.clouds import running_cloud
from spaceport_cli.exits import ExitCode
from spaceport_cli.job_logs import JobLogs, LogLine
from spaceport_cli.job_status import JobStatus
from spaceport_cli.latest_job import users_latest_jobs
from spaceport_cli.plain_text import printable, tell
from spaceport_cli.which_job import whole_id
from spaceport_cli.wording import numbers

POLL_S = 1.0
LATE_S = 3.0  # CloudWatch Logs shows a line up to a few seconds after it was printed


def execute(args: argparse.Namespace) -> ExitCode:
    """Print the job's lines, those of all its runs by time; with `--follow` until the job has ended."""
    job_id = users_latest_jobs().resolve(args.stack, args.job)
    stages = (stage_named(args.stage),) if args.stage else JOB_STAGES
    with running_cloud(args.stack) as cloud:
        api = ApiClient(cloud)
        job_id = whole_id(api, job_id)
        status = JobStatus.from_message(api.get(f"/jobs/{job_id}"))
        logs = JobLogs(cloud.client("logs"), job_id, stages)
        printed = _print(logs, args.json)
        while args.follow and not status.is_terminal:
            time.sleep(POLL_S)
            status = JobStatus.from_message(api.get(f"/jobs/{job_id}"))
            if status.is_terminal:
                time.sleep(LATE_S)
            printed += _print(logs, args.json)
    if not printed:
        of = f" of {args.stage}" if args.stage else ""
        tell(f"There are no lines{of}: the job {job_id} is {status.status.value}.")
    return ExitCode.DONE


def _print(logs: JobLogs, as_json: bool) -> int:
    lines = logs.new_lines()
    for line in lines:
        print(_told(line) if as_json else readable(line), flush=True)
    return len(lines)


def _told(line: LogLine) -> str:
    return json.dumps(
        {
            "time": line.time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "stage": line.stage,
            "run": line.run,
            "attempt": line.attempt,
            "message": line.text,
        }
    )


def readable(line: LogLine) -> str:
    """`10:00:05  sfm            37%  Matching photos · registered 18`; the time is this machine's."""
    stage = line.stage if line.run == 1 else f"{line.stage}#{line.run}"
    stage += f".{line.attempt}" if line.attempt else ""
    return f"{line.time.astimezone():%H:%M:%S}  {stage:<13} {printable(_readable_text(line.text))}"


def _readable_text(text: str) -> str:
    progress = parse_line(text)
    if progress is None:
        return text
    about = " · ".join(part for part in (progress.message, numbers(progress.metrics)) if part)
    return f"{progress.progress:4.0%}  {about}"
