"""`spaceport up`: start the local cloud and leave it running."""

from __future__ import annotations

import argparse

from spaceport_cli.clouds import local_cloud
from spaceport_cli.exits import ExitCode


def execute(args: argparse.Namespace) -> ExitCode:
    """Start the local cloud where it is down, and bring its stack up to date."""
    settings = {"enforce_iam": True} if args.enforce_iam else {}
    cloud = local_cloud(**settings)
    cloud.up(lambda line: print(line, flush=True))
    print("The local cloud is up. Send it photos with `spaceport run PHOTOS.zip`, or in the browser:")
    print(f"{cloud.app_url()} (`spaceport open` signs you in)")
    return ExitCode.DONE
