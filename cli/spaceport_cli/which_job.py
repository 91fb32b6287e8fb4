"""Which job a user means by the beginning of its id, as `spaceport status` shows it."""

from __future__ import annotations

import re

from spaceport.errors import UserError
from spaceport_cli.api import ApiClient
from spaceport_cli.exits import UsageError

_WHOLE = re.compile(r"^job-[0-9a-f]{20}$")  # the id of every dropped zip
_SHORT = 12  # characters; 8 hexadecimal digits tell thousands of jobs apart
_NEWEST = 100
_NAMED = 5


def short_id(job_id: str) -> str:
    """As much of a job's id as a person needs; ids that somebody thought of are shown whole."""
    return job_id[:_SHORT] if _WHOLE.match(job_id) else job_id


def whole_id(api: ApiClient, said: str) -> str:
    """The id that `said` is, or else begins, among the newest jobs; unchanged where none of them begins so.

    Raises:
        UsageError: several jobs' ids begin so.
        UserError: what the API refuses.
    """
    if _WHOLE.match(said) or _is_known(api, said):
        return said
    ids = [str(job["jobId"]) for job in api.get(f"/jobs?limit={_NEWEST}")["jobs"]]
    meant = [job_id for job_id in ids if job_id.startswith(said)]
    if not meant:
        return said
    if len(meant) > 1:
        raise UsageError(
            f"{said!r} may be any of {len(meant)} jobs: {', '.join(meant[:_NAMED])}.", "Type more of the id."
        )
    return meant[0]


def _is_known(api: ApiClient, job_id: str) -> bool:
    """Whether there is such a job, however old: never must a newer one of a longer id be taken for it."""
    try:
        api.get(f"/jobs/{job_id}")
    except UserError as error:
        if error.code != "no_such_job":
            raise
        return False
    return True
