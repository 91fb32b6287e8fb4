"""`spaceport watch`: follow a job to its end, as `run` does."""

from __future__ import annotations

import argparse
import sys

from spaceport_cli.clouds import running_cloud
from spaceport_cli.exits import ExitCode
from spaceport_cli.latest_job import users_latest_jobs
from spaceport_cli.show import presenter_for
from spaceport_cli.watching import (
    EXISTING,
    check_folder,
    conclude,
    fetch_results,
    tell_interrupted,
    watch_to_end,
)


def execute(args: argparse.Namespace) -> ExitCode:
    """Follow the job and fetch its results; the exit code tells how it ended."""
    check_folder(args.out)
    job_id = users_latest_jobs().resolve(args.stack, args.job)
    presenter = presenter_for(sys.stdout, sys.stderr, args.json)
    with running_cloud(args.stack) as cloud, presenter:
        try:
            status = watch_to_end(cloud, job_id, presenter, EXISTING)
        except KeyboardInterrupt:
            return tell_interrupted(job_id, args.stack, stays_up=False)
        results = fetch_results(cloud, status, args.out)
    return conclude(status, results, quiet=args.json)
