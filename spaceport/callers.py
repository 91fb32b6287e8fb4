"""Who calls: by a Cognito token's claims that API Gateway has checked, or by what our authorizer found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spaceport.errors import UserError
from spaceport.job import JobRecord, owner_of

ADMINS = "admins"  # the group whose members see the jobs of all owners


@dataclass(frozen=True)
class Caller:
    """A user: `name` owns jobs under it; an admin sees and stops those of all owners."""

    name: str
    is_admin: bool = False

    @property
    def scope(self) -> str | None:
        """The owner whose jobs the caller sees; None: all owners'."""
        return None if self.is_admin else self.name

    def sees(self, row: JobRecord) -> bool:
        """Whether the row is the caller's own, or anybody's where the caller is an admin; a deleted one is
        nobody's."""
        return row.deleted_at is None and (self.is_admin or row.owner == self.name)

    def own(self, row: JobRecord | None, job_id: str) -> JobRecord:
        """`row`, the row of `job_id`. Raises UserError `no_such_job`: another owner's is as if not there."""
        if row is None or not self.sees(row):
            raise UserError(
                "no_such_job", f"There is no job {job_id[:60]!r} of yours.", "Check the job's id."
            )
        return row

    def may_start(self, key: str) -> bool:
        """Whether the zip at `key` is the caller's own."""
        return self.is_admin or owner_of(key) == self.name

    def context(self) -> dict[str, str]:
        """The caller as the WebSocket API's authorizer hands it on: API Gateway passes on strings only."""
        return {"owner": self.name, "admin": "true" if self.is_admin else "false"}


def caller_of(claims: Mapping[str, str]) -> Caller:
    """The caller whose token holds `claims`: an access token's or an ID token's."""
    name = claims.get("username") or claims["cognito:username"]
    return Caller(name, ADMINS in groups_in(claims.get("cognito:groups", "")))


def connected_caller(context: Mapping[str, str]) -> Caller:
    """The caller of a WebSocket message, whose connection was let in with `context`."""
    return Caller(context["owner"], context["admin"] == "true")


def groups_in(claim: str) -> list[str]:
    """The groups in a `cognito:groups` claim: JWT authorizers write a list as `[one two]`."""
    return claim.removeprefix("[").removesuffix("]").split()
