"""Text for terminals and logs: foreign names and messages in it can't steer them."""

from __future__ import annotations

import re
import sys

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """`text` without control codes: names of files and messages of programs may hold any."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def tell(message: str, hint: str = "") -> None:
    """One message, and how to mend what it says, on standard error."""
    print(printable(message), file=sys.stderr)
    if hint:
        print(f"  {printable(hint)}", file=sys.stderr)
