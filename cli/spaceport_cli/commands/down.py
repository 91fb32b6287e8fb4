"""`spaceport down`: stop the local cloud."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from spaceport.errors import UserError
from spaceport.stages import LIVE
from spaceport_cli.api import ApiClient
from spaceport_cli.clouds import Cloud, local_cloud
from spaceport_cli.exits import ExitCode
from spaceport_cli.job_status import JobStatus
from spaceport_cli.plain_text import printable


def execute(args: argparse.Namespace) -> ExitCode:
    """Stop the local cloud, or say that it did not run; the jobs that this interrupts are named."""
    cloud = local_cloud()
    for job in _at_work(cloud):
        name = printable(job.job_name or job.job_id)
        print(f"This interrupts the job {name}, which is {job.progress:.0%} done.")
        print(f"  After `spaceport up`, `spaceport retry {job.job_id}` goes on with it.", flush=True)
    print("The local cloud is down." if cloud.down() else "The local cloud was not running.")
    return ExitCode.DONE


def _at_work(cloud: Cloud) -> Iterator[JobStatus]:
    try:
        jobs = ApiClient(cloud).get("/jobs?limit=50")["jobs"]
        yield from (job for told in jobs if (job := JobStatus.from_message(told)).status in LIVE)
    except UserError:
        return  # a cloud that is down, half up or too broken to tell must come down all the same
