"""Text for terminals and logs: foreign names and messages in it can't steer them."""

from __future__ import annotations

import re
import sys

# C0 and C1; line separators; what turns the direction of all that follows on the line.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """`text` without control codes: names of files and messages of programs may hold any."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def tell(message: str, hint: str = "") -> None:
    """One message, and how to mend what it says, on standard error."""
    print(printable(message), file=sys.stderr)
    if hint:
        print(f"  {printable(hint)}", file=sys.stderr)
