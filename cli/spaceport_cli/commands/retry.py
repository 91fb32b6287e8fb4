"""`spaceport retry`: go on with a job that has ended, or do its later stages once more, otherwise."""

from __future__ import annotations

import argparse
import sys

from spaceport_cli.api import ApiClient
from spaceport_cli.clouds import running_cloud
from spaceport_cli.exits import ExitCode
from spaceport_cli.latest_job import users_latest_jobs
from spaceport_cli.retrying import retry
from spaceport_cli.show import presenter_for
from spaceport_cli.tuning_options import tuning_of
from spaceport_cli.watching import check_folder, see_through
from spaceport_cli.which_job import whole_id


def execute(args: argparse.Namespace) -> ExitCode:
    """Start the job's next run and follow it; the exit code tells how it ended."""
    check_folder(args.out)
    changed = tuning_of(args.preset, args.settings)
    job_id = users_latest_jobs().resolve(args.stack, args.job)
    presenter = presenter_for(sys.stdout, sys.stderr, args.json)
    with running_cloud(args.stack) as cloud:
        api = ApiClient(cloud)
        job_id = whole_id(api, job_id)
        began = retry(api, job_id, args.step, changed)
        presenter.note(f"Going on with job {job_id} from {began.stage}, run {began.run}.")
        return see_through(cloud, job_id, args, presenter, began.after_version)
