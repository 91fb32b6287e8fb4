"""`spaceport up`: start the local cloud and leave it running."""

from __future__ import annotations

import argparse

from spaceport_cli.clouds import local_cloud
from spaceport_cli.exits import ExitCode


def execute(args: argparse.Namespace) -> ExitCode:
    """Start the local cloud, or say that it runs already."""
    cloud = local_cloud()
    if cloud.is_running():
        print("The local cloud is up already.")
    else:
        cloud.up(lambda line: print(line, flush=True))
        print("The local cloud is up. Send it photos with `spaceport run PHOTOS.zip`.")
    return ExitCode.DONE
