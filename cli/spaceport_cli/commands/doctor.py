"""`spaceport doctor`: whether this machine, or with `--stack` an AWS account, has what Spaceport needs."""

from __future__ import annotations

import argparse
import json
import shutil
import textwrap
from collections.abc import Mapping

from spaceport_cli.account import Account
from spaceport_cli.clouds import Check, local_cloud
from spaceport_cli.exits import ExitCode
from spaceport_cli.plain_text import printable
from spaceport_cli.stack_checkup import findings

# What has neither passed nor failed is only good to know here, and could not be asked on AWS.
_MARKS = {True: "✓", False: "✗", None: "–"}
_MARKS_OF_A_STACK = {**_MARKS, None: "?"}
_NAME = 14  # columns
_NARROWEST = 60


def execute(args: argparse.Namespace) -> ExitCode:
    """Print one line a check, with the way to mend what is wrong; success when nothing needed is missing.

    Raises:
        UserError: there is no local cloud at all.
    """
    marks = _MARKS if args.stack is None else _MARKS_OF_A_STACK
    checks = local_cloud().checks() if args.stack is None else findings(Account(), args.stack)
    failed = 0
    for check in checks:
        failed += check.passed is False
        columns = shutil.get_terminal_size().columns
        print(_told(check) if args.json else line(check, columns, marks), flush=True)
    if failed and not args.json:
        needs = "the local cloud" if args.stack is None else args.stack
        print(f"{failed} of these must be mended before {needs} can make a model.")
    return ExitCode.FAULT if failed else ExitCode.DONE


def line(check: Check, columns: int, marks: Mapping[bool | None, str] = _MARKS) -> str:
    """`✓ disk           34 GB free`, folded to the terminal's width; what mends it on a line of its own."""
    indent = " " * (_NAME + 3)
    lines = _folded(check.told, columns, f"{marks[check.passed]} {check.name:<{_NAME}} ", indent)
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
