"""`spaceport watch`: follow a job to its end, as `run` does."""

from __future__ import annotations

import argparse
import sys

from spaceport_cli.api import ApiClient
from spaceport_cli.clouds import running_cloud
from spaceport_cli.exits import ExitCode
from spaceport_cli.latest_job import users_latest_jobs
from spaceport_cli.show import presenter_for
from spaceport_cli.watching import check_folder, see_through
from spaceport_cli.which_job import whole_id


def execute(args: argparse.Namespace) -> ExitCode:
    """Follow the job and fetch its results; the exit code tells how it ended."""
    check_folder(args.out)
    job_id = users_latest_jobs().resolve(args.stack, args.job)
    with running_cloud(args.stack) as cloud:
        job_id = whole_id(ApiClient(cloud), job_id)
        return see_through(cloud, job_id, args, presenter_for(sys.stdout, sys.stderr, args.json))
