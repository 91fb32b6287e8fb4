"""The two kinds of failure: what a user can mend (`UserError`) and everything else (a fault)."""

from __future__ import annotations

from dataclasses import dataclass


class UserError(Exception):
    """Something the user did, or can mend, told in words a photographer understands.

    Args:
        code: a stable name in snake_case, for programs (`too_few_photos`).
        message: one sentence: what is wrong, and with which file.
        hint: one sentence: how to mend it.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def told(self) -> ErrorText:
        """This error as it is stored in a job's row and written to a failure file."""
        return ErrorText(self.code, self.message, self.hint)


@dataclass(frozen=True)
class ErrorText:
    """What a job's row says of its failure; the `error` object of the status contract."""

    code: str
    message: str
    hint: str = ""
