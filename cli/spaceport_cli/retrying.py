"""A new run of a job that has ended."""

from __future__ import annotations

from dataclasses import dataclass

from spaceport_cli.api import ApiClient
from spaceport_cli.wording import stage_title


@dataclass(frozen=True)
class NewRun:
    """What a retry began.

    Attributes:
        run: the number of the run.
        stage: the stage it begins with, as people call it.
        after_version: the row's version before it: whatever is not later tells of an earlier run.
    """

    run: int
    stage: str
    after_version: int


def retry(api: ApiClient, job_id: str, step: str | None = None) -> NewRun:
    """Start the job's next run at `step`, or where the last one came to.

    Raises:
        UserError: what the API refuses: a job that is at work, one that is unknown, a step without artifacts.
    """
    before = int(api.get(f"/jobs/{job_id}")["version"])
    begun = api.post(f"/jobs/{job_id}/retry", {"pipelineStep": step} if step else {})
    return NewRun(int(begun["run"]), stage_title(begun["pipelineStep"]), before)
