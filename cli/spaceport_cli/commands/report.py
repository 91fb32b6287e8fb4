"""`spaceport report`: show or fetch a finished job's report."""

from __future__ import annotations

import argparse
import os
import webbrowser
from pathlib import Path

from spaceport.errors import UserError
from spaceport.stages import Status
from spaceport_cli.api import ApiClient
from spaceport_cli.cache import cache_folder
from spaceport_cli.clouds import running_cloud
from spaceport_cli.exits import ExitCode
from spaceport_cli.job_status import JobStatus, NotDoneError
from spaceport_cli.latest_job import users_latest_jobs
from spaceport_cli.results import fetch_one
from spaceport_cli.watching import conclude
from spaceport_cli.which_job import whole_id

_NAME = "report.html"


def execute(args: argparse.Namespace) -> ExitCode:
    """Save the report, print where, and open it unless a file was named for it."""
    job_id = users_latest_jobs().resolve(args.stack, args.job)
    with running_cloud(args.stack) as cloud:
        api = ApiClient(cloud)
        status = JobStatus.from_message(api.get(f"/jobs/{whole_id(api, job_id)}"))
        if not status.is_terminal:
            raise NotDoneError(status, "report")
        if status.status is not Status.COMPLETED:
            return conclude(status, None, quiet=False)
        target = _target(args.out, status.job_id)
        uri = status.outputs.report if status.outputs else None
        if uri is None or not fetch_one(cloud.client("s3"), uri, target):
            raise UserError(
                "no_report",
                f"The job {status.job_id} has no report.",
                "`spaceport status` has its numbers; jobs made before there were reports have none.",
            )
    print(target)
    if args.out is None and not args.no_browser:
        webbrowser.open(target.resolve().as_uri())
    return ExitCode.DONE


def _target(out: str | None, job_id: str) -> Path:
    """The file that `--out` names, or one in the folder that it names; else one in the user's cache."""
    if out is None:
        return cache_folder() / "reports" / f"{job_id}.html"
    is_folder = out.endswith(("/", os.sep)) or Path(out).is_dir()
    return Path(out, _NAME) if is_folder else Path(out)
