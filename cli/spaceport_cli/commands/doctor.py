"""`spaceport doctor`: whether this machine has what the local cloud needs."""

from __future__ import annotations

import argparse
import json
import shutil
import textwrap

from spaceport_cli.clouds import Check, local_cloud
from spaceport_cli.exits import ExitCode, UsageError
from spaceport_cli.plain_text import printable

_MARKS = {True: "✓", False: "✗", None: "–"}
_NAME = 14  # columns
_NARROWEST = 60


def execute(args: argparse.Namespace) -> ExitCode:
    """Print one line a check, with the way to mend what is wrong; success when nothing needed is missing.

    Raises:
        UserError: there is no local cloud at all.
    """
    if args.stack is not None:
        raise UsageError(
            "doctor looks at this machine; it can't look at a stack on AWS yet.", "Leave out --stack."
        )
    failed = 0
    for check in local_cloud().checks():
        failed += check.passed is False
        print(_told(check) if args.json else line(check, shutil.get_terminal_size().columns), flush=True)
    if failed and not args.json:
        print(f"{failed} of these must be mended before the local cloud can make a model.")
    return ExitCode.FAULT if failed else ExitCode.DONE


def line(check: Check, columns: int) -> str:
    """`✓ disk           34 GB free`, folded to the terminal's width; what mends it on a line of its own."""
    indent = " " * (_NAME + 3)
    lines = _folded(check.told, columns, f"{_MARKS[check.passed]} {check.name:<{_NAME}} ", indent)
    if check.mend:
        lines += _folded(check.mend, columns, f"{indent}→ ", f"{indent}  ")
    return "\n".join(lines)


def _folded(text: str, columns: int, first: str, further: str) -> list[str]:
    width = max(columns, _NARROWEST) - 1
    fold = textwrap.TextWrapper(width, first, further, break_long_words=False, break_on_hyphens=False)
    return fold.wrap(printable(text))


def _told(check: Check) -> str:
    return json.dumps(
        {"check": check.name, "passed": check.passed, "told": check.told, "mend": check.mend or None}
    )
