"""`spaceport share`: give a link to a finished model that ends by itself, or take all such links back."""

from __future__ import annotations

import argparse
import sys

from spaceport_cli.api import ApiClient
from spaceport_cli.clouds import running_cloud
from spaceport_cli.exits import ExitCode
from spaceport_cli.latest_job import users_latest_jobs
from spaceport_cli.which_job import whole_id


def execute(args: argparse.Namespace) -> ExitCode:
    """Print the link, alone on standard output; what to know of it goes to standard error."""
    job_id = users_latest_jobs().resolve(args.stack, args.job)
    with running_cloud(args.stack) as cloud:
        api = ApiClient(cloud)
        job_id = whole_id(api, job_id)
        if args.revoke:
            taken = api.delete(f"/jobs/{job_id}/share")["links"]
            print(f"{taken} link{'' if taken == 1 else 's'} to the job {job_id} taken back.")
            return ExitCode.DONE
        link = api.post(f"/jobs/{job_id}/share", {"days": args.days})
    print(link["url"])
    until = link["expiresAt"][:16].replace("T", " ")
    where = "" if args.stack else " On this machine only: the local cloud is reached from nowhere else."
    print(f"Whoever has it can look around in the model until {until} UTC.{where}", file=sys.stderr)
    return ExitCode.DONE
