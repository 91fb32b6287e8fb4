"""`spaceport events`: what became of a job, change by change."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from spaceport.history import JobEvent
from spaceport_cli.api import ApiClient
from spaceport_cli.clouds import running_cloud
from spaceport_cli.exits import ExitCode
from spaceport_cli.latest_job import users_latest_jobs
from spaceport_cli.plain_text import printable
from spaceport_cli.which_job import whole_id
from spaceport_cli.wording import stage_title


def execute(args: argparse.Namespace) -> ExitCode:
    """Print a line for each change of the job's status, stage or run, oldest first."""
    job_id = users_latest_jobs().resolve(args.stack, args.job)
    with running_cloud(args.stack) as cloud:
        api = ApiClient(cloud)
        for event in _events(api, whole_id(api, job_id)):
            print(json.dumps(event) if args.json else readable(JobEvent.model_validate(event)))
    return ExitCode.DONE


def _events(api: ApiClient, job_id: str) -> Iterator[dict[str, Any]]:
    after: int | None = 0
    while after is not None:
        page = api.get(f"/jobs/{job_id}/events?after={after}")
        yield from page["events"]
        after = page["next"]


def readable(event: JobEvent) -> str:
    """`2026-11-23 10:00:05  RUNNING           training`; the time is this machine's."""
    at = datetime.fromisoformat(event.time).astimezone()
    stage = stage_title(event.stage) + (f", run {event.run}" if event.run > 1 else "")
    why = f": {event.error.message}" if event.error else ""
    return printable(f"{at:%Y-%m-%d %H:%M:%S}  {event.status.value:<16}  {stage}{why}")
