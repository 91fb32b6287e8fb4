"""`spaceport up`: start the local cloud and leave it running."""

from __future__ import annotations

import argparse

from spaceport_cli.clouds import local_cloud
from spaceport_cli.exits import ExitCode


def execute(args: argparse.Namespace) -> ExitCode:
    """Start the local cloud where it is down, and bring its stack up to date."""
    settings = {"enforce_iam": True} if args.enforce_iam else {}
    local_cloud(**settings).up(lambda line: print(line, flush=True))
    print("The local cloud is up. Send it photos with `spaceport run PHOTOS.zip`.")
    return ExitCode.DONE
