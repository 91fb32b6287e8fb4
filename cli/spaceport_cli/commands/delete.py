"""`spaceport delete`: delete a job that has ended, its zip in the cloud, and all that it has made."""

from __future__ import annotations

import argparse
import sys

from spaceport_cli.api import ApiClient
from spaceport_cli.clouds import running_cloud
from spaceport_cli.exits import ExitCode, UsageError
from spaceport_cli.job_status import JobStatus
from spaceport_cli.latest_job import users_latest_jobs
from spaceport_cli.plain_text import printable
from spaceport_cli.which_job import whole_id


def execute(args: argparse.Namespace) -> ExitCode:
    """Ask, and delete the job; what it left is erased within minutes."""
    job_id = users_latest_jobs().resolve(args.stack, args.job)
    with running_cloud(args.stack) as cloud:
        api = ApiClient(cloud)
        job_id = whole_id(api, job_id)
        job = JobStatus.from_message(api.get(f"/jobs/{job_id}"))
        if not args.yes and not _agreed(job):
            print("Nothing is deleted.")
            return ExitCode.DONE
        api.delete(f"/jobs/{job_id}")
    print(f"The job {job_id} is deleted; what it left is being erased.")
    return ExitCode.DONE


def _agreed(job: JobStatus) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("Nobody is there to be asked whether to delete the job.", "Give --yes to delete it.")
    name = printable(job.job_name or job.job_id)
    return input(f"Delete {name} ({job.job_id}) with all that it has made, for good? [y/N] ") in {"y", "yes"}
