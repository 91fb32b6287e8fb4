"""The `spaceport` command: what was typed, the subcommand that carries it out, and its exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from spaceport.errors import UserError
from spaceport_cli.exits import ExitCode, RefusedError, UsageError
from spaceport_cli.parser import parser
from spaceport_cli.plain_text import tell


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out the command line; returns its exit code."""
    args = parser().parse_args(argv)
    try:
        # Only now: a subcommand imports what it works with, like boto3.
        return int(import_module(args.module).execute(args))
    except UserError as error:
        tell(error.message, error.hint)
        return _code_of(error)
    except KeyboardInterrupt:
        tell("Interrupted.")
        return ExitCode.INTERRUPTED


def _code_of(error: UserError) -> ExitCode:
    if isinstance(error, RefusedError):
        return ExitCode.REFUSED
    return ExitCode.USAGE if isinstance(error, UsageError) else ExitCode.FAULT


if __name__ == "__main__":
    sys.exit(main())
