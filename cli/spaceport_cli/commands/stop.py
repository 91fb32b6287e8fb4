"""`spaceport stop`: stop a job that waits or runs."""

from __future__ import annotations

import argparse
import json
import time

from spaceport.stages import JOB_STAGES, Status
from spaceport_cli.api import ApiClient
from spaceport_cli.clouds import running_cloud
from spaceport_cli.exits import ExitCode
from spaceport_cli.job_status import JobStatus
from spaceport_cli.latest_job import users_latest_jobs
from spaceport_cli.plain_text import tell
from spaceport_cli.which_job import whole_id
from spaceport_cli.wording import stage_title

WAIT_S = 30.0  # a job's program has 8 s to end on one machine, 120 s on AWS, where waiting is not worth it
POLL_S = 0.5


def execute(args: argparse.Namespace) -> ExitCode:
    """Stop the job and wait until it is stopped; success means that it is."""
    job_id = users_latest_jobs().resolve(args.stack, args.job)
    with running_cloud(args.stack) as cloud:
        api = ApiClient(cloud)
        job_id = whole_id(api, job_id)
        answer = api.post("/stop-job", {"jobId": job_id, "discardArtifacts": args.discard})
        if answer["status"] == Status.STOPPING and not args.json:
            print(f"Stopping the job {job_id}.", flush=True)
        status = _wait(api, job_id)
    if args.json:
        print(json.dumps(status.told))
    if status.status is not Status.STOPPED:
        tell(
            f"The job {job_id} is still {status.status.value} after {WAIT_S:.0f} s; the cloud goes on.",
            f"`spaceport status {job_id}` tells when it is stopped.",
        )
        return ExitCode.FAULT
    if not args.json:
        print("{}\n  {}".format(*_told(status, args.discard)))
    return ExitCode.DONE


def _wait(api: ApiClient, job_id: str) -> JobStatus:
    deadline = time.monotonic() + WAIT_S
    while True:
        status = JobStatus.from_message(api.get(f"/jobs/{job_id}"))
        if status.is_terminal or time.monotonic() >= deadline:
            return status
        time.sleep(POLL_S)


def _told(status: JobStatus, discarded: bool) -> tuple[str, str]:
    """What became of the job, and how to go on with it."""
    done = [stage for stage in JOB_STAGES if (record := status.stages.get(stage.name)) and record.ended]
    retry = f"`spaceport retry {status.job_id}`"
    if discarded:
        return "The job is stopped; what it had made is being deleted.", f"Make it anew with {retry}."
    if not done:
        return "The job is stopped before its first stage was done.", f"Begin it again with {retry}."
    kept = " and ".join(stage_title(stage.name) for stage in done)
    return f"The job is stopped; its {kept} are kept.", f"Go on from there with {retry}."
