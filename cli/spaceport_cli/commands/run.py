"""`spaceport run`: photos in, model out."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from spaceport.job import JobRequest
from spaceport.stages import LIVE, Status
from spaceport.tuning import NO_FORMATS, TuningRequest, parse_request
from spaceport_cli.api import ApiClient
from spaceport_cli.clouds import Loan, borrowed, output
from spaceport_cli.exits import ExitCode, UsageError
from spaceport_cli.expected_cost import expected_cost
from spaceport_cli.job_status import JobStatus
from spaceport_cli.latest_job import users_latest_jobs
from spaceport_cli.photos import PhotoZip, photo_zip
from spaceport_cli.plain_text import tell
from spaceport_cli.retrying import retry
from spaceport_cli.show import Presenter, presenter_for
from spaceport_cli.tuning_options import tuning_of
from spaceport_cli.upload import Drop, find_job, plan_drop, send
from spaceport_cli.watching import (
    check_folder,
    conclude,
    fetch_results,
    status_now,
    status_soon,
    tell_interrupted,
    watch_to_end,
)
from spaceport_cli.wording import stage_title


def execute(args: argparse.Namespace) -> ExitCode:
    """Send the photos, follow the job, fetch its results; the exit code tells how it ended."""
    check_folder(args.out)
    tuning = tuning_of(args.preset, args.settings)
    with photo_zip(args.photos) as photos:
        return _run(args, photos, job_request(tuning, args.name or photos.name))


def job_request(tuning: TuningRequest, name: str) -> JobRequest:
    """The request that travels with the zip. Raises UsageError for a name too long."""
    try:
        return JobRequest.model_validate({**tuning.model_dump(exclude_none=True), "jobName": name})
    except ValidationError as error:
        raise UsageError(
            f"The job can't be called {name[:40]!r}...: {error.errors()[0]['msg'].lower()}.",
            "Choose another --name.",
        ) from error


@dataclass(frozen=True)
class _Found:
    """The job to watch; what its row said up to `after_version` is of an earlier run."""

    job_id: str
    after_version: int = 0


def _run(args: argparse.Namespace, photos: PhotoZip, request: JobRequest) -> ExitCode:
    presenter = presenter_for(sys.stdout, sys.stderr, args.json)
    with ExitStack() as shown, borrowed(args.stack, presenter.note) as loan:
        shown.enter_context(presenter)
        drop = plan_drop(output(loan.cloud, "UploadsBucket"), photos, request)
        job = _job_of(loan, drop, request, args.again, presenter)
        users_latest_jobs().remember(args.stack, job.job_id)
        try:
            status = watch_to_end(loan.cloud, job.job_id, presenter, after_version=job.after_version)
        except KeyboardInterrupt:
            shown.close()  # as when watching
            return tell_interrupted(job.job_id, args, stays_up=loan.keep())
        except BrokenPipeError:  # nobody reads on, as after `| head`: no reason to take the job's cloud down
            tell_interrupted(job.job_id, args, stays_up=loan.keep())
            raise
        results = fetch_results(loan.cloud, status, args.out)
    code = conclude(status, results, quiet=args.json)
    if loan.started and code is ExitCode.DONE:
        tell("The local cloud is down again: the viewer's link works after `spaceport up`.")
    return code


def _job_of(loan: Loan, drop: Drop, request: JobRequest, again: bool, presenter: Presenter) -> _Found:
    """The job that is this drop: one that is done, at work or can be gone on with, else a new one."""
    s3 = loan.cloud.client("s3")
    earlier = None if again else find_job(s3, drop)
    known = _known(loan, earlier, presenter) if earlier else None
    if known is not None and known.status is Status.COMPLETED:
        presenter.note(
            f"These photos are done already {_settings_of(known)} (job {known.job_id}):"
            f" fetching its results. {_way_to_what_is_asked(known)}"
        )
        return _Found(known.job_id)
    if known is not None and known.status in LIVE:
        presenter.note(
            f"These photos are at work already {_settings_of(known)}: watching job {known.job_id}."
            + (f" {_way_to_what_is_asked(known)}" if known.retuned else "")
        )
        return _Found(known.job_id)
    if known is not None and known.status in {Status.STOPPED, Status.FAILED}:
        ended = "was stopped" if known.status is Status.STOPPED else "failed"
        stage = stage_title(known.stage)
        begun = retry(ApiClient(loan.cloud), known.job_id, changed=_changed_back(known))
        where = "from there" if begun.stage == stage else f"with {begun.stage}"
        back = ", with the settings of before" if known.retuned else ""
        presenter.note(
            f"Job {known.job_id} of these photos {ended} in {stage}: going on {where}{back}."
            " --again makes the model anew."
        )
        return _Found(known.job_id, begun.after_version)
    if told := expected_cost(loan.cloud, [drop.zip.photos], request):
        presenter.note(told)
    job_id = send(s3, drop, presenter.uploading)
    presenter.note(f"Sent {drop.zip.photos} photos of {drop.zip.name}: job {job_id}.")
    return _Found(job_id)


def _settings_of(known: JobStatus) -> str:
    """Which settings the job has that was found by those which its zip came with."""
    if not known.retuned:
        return "with these settings"
    changed = ", ".join(
        f"{name}={_text(each.now)}, not {_text(each.was)}" for name, each in known.retuned.items()
    )
    return f"with settings that a retry has changed ({changed})"


def _way_to_what_is_asked(known: JobStatus) -> str:
    """How to get what was asked for, where the job is another by now, or a new model."""
    again = "--again makes the model anew."
    if not known.retuned or None in _first_values(known).values():  # what the photos decide can't be named
        return again
    options = " ".join(f"--set {name}={_text(value)}" for name, value in _first_values(known).items())
    return f"`spaceport retry {known.job_id} {options}` makes it as you ask; {again}"


def _first_values(known: JobStatus) -> dict[str, Any]:
    return {name: each.was for name, each in known.retuned.items()}


def _changed_back(known: JobStatus) -> TuningRequest:
    return parse_request({name: value for name, value in _first_values(known).items() if value is not None})


def _text(value: Any) -> str:
    """A setting's value as `--set` takes it."""
    if isinstance(value, list):
        return ",".join(value) or NO_FORMATS
    return "left open" if value is None else json.dumps(value).strip('"')


def _known(loan: Loan, job_id: str, presenter: Presenter) -> JobStatus | None:
    """The earlier job as it stands, once it is clear whether it has ended."""
    known = status_now(loan.cloud, job_id, presenter)
    # Nothing can be at work in a cloud that was down: its end is about to be told.
    ending = known is not None and (known.status is Status.STOPPING or loan.started)
    return status_soon(loan.cloud, job_id, presenter) if ending else known
