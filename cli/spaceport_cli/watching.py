"""From a job's id to its end: following it with a presenter, and telling how it came out."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shlex
from contextlib import ExitStack, aclosing, suppress
from pathlib import Path

from spaceport.stages import Status
from spaceport_cli.api import ApiClient
from spaceport_cli.clouds import Cloud
from spaceport_cli.exits import ExitCode, UsageError, exit_code
from spaceport_cli.follow import Patience, first_status, follow
from spaceport_cli.job_status import JobStatus
from spaceport_cli.plain_text import tell
from spaceport_cli.results import Results, fetch
from spaceport_cli.show import Presenter
from spaceport_cli.summary import summary
from spaceport_cli.wording import how_to_mend

# For a job that must be there: a snapshot answers a subscription at once, a cold Lambda in a second or two.
EXISTING = Patience(row=3.0, unseen=3.0)
ENDING_S = 15.0  # for a job that is stopped to be gone, or for one that was interrupted to be told so


def status_now(cloud: Cloud, job_id: str, presenter: Presenter) -> JobStatus | None:
    """The job's status, or None where the cloud has no such job."""
    return asyncio.run(first_status(job_id, ApiClient(cloud).socket_address, presenter.note, EXISTING))


def status_soon(cloud: Cloud, job_id: str, presenter: Presenter) -> JobStatus | None:
    """The status of a job that is about to end, or as it is after `ENDING_S` seconds."""

    async def wait() -> JobStatus | None:
        status: JobStatus | None = None
        following = follow(job_id, ApiClient(cloud).socket_address, presenter.note, EXISTING)
        with suppress(TimeoutError):
            async with asyncio.timeout(ENDING_S), aclosing(following) as statuses:
                async for status in statuses:
                    if status.status is Status.QUEUED:  # it waits for its turn, not for its end
                        break
        return status

    return asyncio.run(wait())


def watch_to_end(
    cloud: Cloud,
    job_id: str,
    presenter: Presenter,
    patience: Patience | None = None,
    after_version: int = 0,
) -> JobStatus:
    """Show the job until it ends; returns its last status. One up to `after_version` is of an earlier run."""

    async def watch() -> JobStatus:
        following = follow(job_id, ApiClient(cloud).socket_address, presenter.note, patience, after_version)
        async with aclosing(following) as statuses:
            async for status in statuses:
                presenter.update(status)
        return status

    return asyncio.run(watch())


def see_through(
    cloud: Cloud, job_id: str, args: argparse.Namespace, presenter: Presenter, after_version: int = 0
) -> ExitCode:
    """Follow a job that is there to its end, fetch its results into `args.out`, and tell how it came out."""
    with ExitStack() as shown:
        shown.enter_context(presenter)
        try:
            status = watch_to_end(cloud, job_id, presenter, EXISTING, after_version)
        except KeyboardInterrupt:
            shown.close()  # else the bar is drawn again under what is told now
            return tell_interrupted(job_id, args, stays_up=False)
        results = fetch_results(cloud, status, args.out)
    return conclude(status, results, quiet=args.json)


def fetch_results(cloud: Cloud, status: JobStatus, out: Path | None) -> Results | None:
    """Download what a completed job made into `out`, else into a folder named after the job."""
    if status.status is not Status.COMPLETED or status.outputs is None:
        return None
    return fetch(cloud.client("s3"), status.outputs, out or default_folder(status))


def default_folder(status: JobStatus) -> Path:
    """`{job's name}-splat` in the working directory: `run` and a later `watch` agree on it."""
    name = re.sub(r"[^\w.-]+", "-", status.job_name).strip("-.") or status.job_id
    return Path(f"{name}-splat")


def check_folder(out: Path | None) -> None:
    """Raise UsageError where results can't go to `out`, before any work is done for them."""
    if out is None:
        return
    # Not `exists`: it raises below a folder that may not be entered.
    there = next(path for path in (out, *out.absolute().parents) if os.access(path, os.F_OK))
    if not there.is_dir():
        raise UsageError(f"--out {out} can't be made: {there} is a file.", "Name a folder for the results.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"--out {out} can't be written: {there} is not yours.", "Name another folder.")


def conclude(status: JobStatus, results: Results | None, quiet: bool) -> ExitCode:
    """Tell how the job came out: a failure on standard error, its numbers on standard output.

    `quiet` leaves the numbers out: standard output belongs to JSON lines.
    """
    code = exit_code(status.status)
    if code is ExitCode.DONE:
        if not quiet:
            print(summary(status, results))
    elif status.error is not None:
        tell(status.error.message, how_to_mend(status))
    else:
        tell(f"The job {status.job_id} was stopped." if code is ExitCode.STOPPED else status.message)
    return code


def tell_interrupted(job_id: str, args: argparse.Namespace, stays_up: bool) -> ExitCode:
    """Tell that only the watching ended, and how it goes on with the same options."""
    given = {"--stack": args.stack, "--out": args.out}
    options = "".join(f" {option} {shlex.quote(str(value))}" for option, value in given.items() if value)
    more = " The local cloud stays up for it; `spaceport down` stops both." if stays_up else ""
    tell(f"Stopped watching; the job goes on.{more}", f"Come back with `spaceport watch {job_id}{options}`.")
    return ExitCode.INTERRUPTED
