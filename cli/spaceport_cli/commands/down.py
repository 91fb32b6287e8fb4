"""`spaceport down`: stop the local cloud."""

from __future__ import annotations

import argparse

from spaceport_cli.clouds import local_cloud
from spaceport_cli.exits import ExitCode


def execute(args: argparse.Namespace) -> ExitCode:
    """Stop the local cloud, or say that it did not run."""
    print("The local cloud is down." if local_cloud().down() else "The local cloud was not running.")
    return ExitCode.DONE
