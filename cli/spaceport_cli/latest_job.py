"""Which job was the latest on each cloud: a small file in the user's cache, for `spaceport open latest`."""

from __future__ import annotations

import json
from pathlib import Path

from spaceport.job import is_job_id
from spaceport_cli.cache import cache_folder
from spaceport_cli.clouds import LOCAL
from spaceport_cli.exits import UsageError

LATEST = "latest"  # what a user may say instead of a job's id


class LatestJobs:
    """The file, made when first written. It is a convenience: a damaged one counts as empty."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def remember(self, stack: str | None, job_id: str) -> None:
        """Make `job_id` the latest job of the stack, or of the local cloud."""
        jobs = {**self._read(), _cloud(stack): job_id}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        written = self._path.with_suffix(".new")
        written.write_text(json.dumps(jobs, indent=1, sort_keys=True))
        written.replace(self._path)

    def resolve(self, stack: str | None, job: str) -> str:
        """The id that `job` means. Raises UsageError for what can't be one, and for `latest` without any."""
        if job != LATEST:
            if not is_job_id(job):
                raise UsageError(f"{job!r} is not a job's id.", "`spaceport run` prints the id of its job.")
            return job
        known = self._read().get(_cloud(stack))
        if known is None:
            raise UsageError(
                "No job was started from here on this cloud yet.",
                "Start one with `spaceport run PHOTOS.zip`.",
            )
        return known

    def _read(self) -> dict[str, str]:
        try:
            jobs = json.loads(self._path.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return jobs if isinstance(jobs, dict) else {}


def users_latest_jobs() -> LatestJobs:
    """The user's own file."""
    return LatestJobs(cache_folder() / "latest-jobs.json")


def _cloud(stack: str | None) -> str:
    return LOCAL if stack is None else f"stack:{stack}"
