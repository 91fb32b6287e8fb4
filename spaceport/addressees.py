"""Whom a letter about a job may go to.

Not to any address that somebody types: that would send a stranger's words in our name. A user's letters go
to their own address, as Cognito has verified it. The operator's jobs come from whoever may write to the
bucket itself, or run the command, by the rights of the account: their address is taken as it is. One that
stands in a zip is taken of nobody: a zip may be a stranger's (`intake.py`).
"""

from __future__ import annotations

import re
from typing import Any

from spaceport.errors import UserError
from spaceport.job import EMAIL_PATTERN, OPERATOR, JobRecord


class Addressees:
    """The addresses of a user pool's users."""

    def __init__(self, cognito: Any, user_pool_id: str) -> None:
        self._cognito = cognito
        self._pool = user_pool_id

    def of(self, row: JobRecord) -> str:
        """The address that `row`, whose job asks for a letter, names.

        Raises:
            UserError: `foreign_address`, where it is not the owner's own, or no plain one: who starts an
                execution by hand may write anything.
        """
        asked = row.email or ""
        own = asked if row.owner == OPERATOR else self._verified(row.owner)
        if own is None or own.casefold() != asked.casefold() or not re.fullmatch(EMAIL_PATTERN, own):
            raise UserError(
                "foreign_address",
                f"The address of the job is not the verified one of its owner {row.owner}, or no plain one.",
                "An admin verifies addresses in the user pool (email and email_verified).",
            )
        return own

    def _verified(self, owner: str) -> str | None:
        try:
            user = self._cognito.admin_get_user(UserPoolId=self._pool, Username=owner)
        except (
            self._cognito.exceptions.UserNotFoundException,
            self._cognito.exceptions.InvalidParameterException,  # no user can be called that
        ):
            return None
        told = {attribute["Name"]: attribute.get("Value", "") for attribute in user["UserAttributes"]}
        return told.get("email") if told.get("email_verified") == "true" else None
