"""`spaceport status`: the newest jobs at a glance, or one job in full."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from datetime import UTC, datetime

from rich.console import Console

from spaceport_cli.api import ApiClient
from spaceport_cli.clouds import running_cloud
from spaceport_cli.exits import ExitCode
from spaceport_cli.job_status import JobStatus
from spaceport_cli.job_views import details, table
from spaceport_cli.latest_job import users_latest_jobs
from spaceport_cli.which_job import whole_id


def execute(args: argparse.Namespace) -> ExitCode:
    """Print how things stand; that they can be told is success, whatever became of the jobs."""
    latest = users_latest_jobs()
    named = None if args.job is None else latest.resolve(args.stack, args.job)
    with running_cloud(args.stack) as cloud:
        api = ApiClient(cloud)
        if named is None:
            jobs = [JobStatus.from_message(job) for job in api.get(f"/jobs?limit={args.limit}")["jobs"]]
        else:
            jobs = [JobStatus.from_message(api.get(f"/jobs/{whole_id(api, named)}"))]
    if args.json:
        _print_json(jobs)
    elif named is not None:
        print(details(jobs[0], datetime.now(UTC), own_machine=args.stack is None))
    elif jobs:
        console = Console(highlight=False)
        for line in table(jobs, datetime.now(UTC), console.width):
            console.print(line, soft_wrap=True)
    else:
        print("No jobs yet. Start one with `spaceport run PHOTOS.zip`.")
    return ExitCode.DONE


def _print_json(jobs: Iterable[JobStatus]) -> None:
    for job in jobs:
        print(json.dumps(job.told))
