"""The `spaceport` command: what was typed, the subcommand that carries it out, and its exit code."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper

from spaceport.errors import UserError
from spaceport_cli.exits import ExitCode, RefusedError, UsageError
from spaceport_cli.parser import parser
from spaceport_cli.plain_text import tell


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out the command line; returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal of few letters shows ? for the others
    try:
        args = parser().parse_args(words)
        # Only now: a subcommand imports what it works with, like boto3.
        code = int(import_module(args.module).execute(args))
        sys.stdout.flush()  # not at the end of Python, where a reader that has gone is an error
        return code
    except UserError as error:
        if "--json" in words:
            print(_json(error), flush=True)
        tell(error.message, error.hint)
        return _code_of(error)
    except BrokenPipeError:  # as in `spaceport logs JOB | head`: whoever read us has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for Python's own flush at the end
        return ExitCode.DONE
    except KeyboardInterrupt:
        tell("Interrupted.")
        return ExitCode.INTERRUPTED


def _code_of(error: UserError) -> ExitCode:
    if isinstance(error, RefusedError):
        return ExitCode.REFUSED
    return ExitCode.USAGE if isinstance(error, UsageError) else ExitCode.FAULT


def _json(error: UserError) -> str:
    """The error as a line for programs; a refused zip's is that of its job, had it become one."""
    told = {"error": {"code": error.code, "message": error.message, "hint": error.hint}}
    return json.dumps({"status": "REJECTED", **told} if isinstance(error, RefusedError) else told)


if __name__ == "__main__":
    sys.exit(main())
