"""A new run of a job that has ended."""

from __future__ import annotations

from dataclasses import dataclass

from spaceport.tuning import TuningRequest
from spaceport_cli.api import ApiClient
from spaceport_cli.wording import stage_title

NOTHING_CHANGED = TuningRequest()


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


def retry(
    api: ApiClient, job_id: str, step: str | None = None, changed: TuningRequest = NOTHING_CHANGED
) -> NewRun:
    """Start the job's next run at `step`, or where the last one came to, with what is `changed`.

    Raises:
        UserError: what the API refuses: a job that is at work, one that is unknown, a step without artifacts.
    """
    before = int(api.get(f"/jobs/{job_id}")["version"])
    tuning = changed.model_dump(mode="json", exclude_none=True)
    asked = {"pipelineStep": step, "tuning": tuning}
    begun = api.post(f"/jobs/{job_id}/retry", {name: value for name, value in asked.items() if value})
    return NewRun(int(begun["run"]), stage_title(begun["pipelineStep"]), before)
