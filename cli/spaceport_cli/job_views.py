"""Jobs as text: many as a table, one in full. Pure: `now` is given."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from datetime import datetime

from rich.table import Table
from rich.text import Text

from spaceport.stages import JOB_STAGES, Status
from spaceport_cli.job_status import JobStatus
from spaceport_cli.plain_text import printable
from spaceport_cli.which_job import short_id
from spaceport_cli.wording import age, duration, elapsed, headline, live, numbers, stage_title

_STYLES = {
    Status.COMPLETED: "green",
    Status.FAILED: "red",
    Status.REJECTED: "red",
    Status.STOPPED: "yellow",
    Status.STOPPING: "yellow",
}
_WIDTH = 80  # columns; what is told in full is read on any terminal
_LABEL = 12


def table(jobs: Iterable[JobStatus], now: datetime) -> Table:
    """One row a job, for a terminal of 80 columns: only the name gives way."""
    made = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    made.add_column("JOB", no_wrap=True)
    made.add_column("NAME", no_wrap=True, overflow="ellipsis", ratio=1, min_width=8)
    made.add_column("STATUS", no_wrap=True)
    made.add_column("STAGE", no_wrap=True)
    made.add_column("DONE", justify="right", no_wrap=True)
    made.add_column("TIME", justify="right", no_wrap=True)
    made.add_column("AGE", justify="right", no_wrap=True)
    made.add_column("HELD OUT", justify="right", no_wrap=True)
    for job in jobs:
        made.add_row(
            short_id(job.job_id),
            Text(printable(job.job_name)),
            Text(job.status.value, style=_STYLES.get(job.status, "")),
            "" if job.status is Status.REJECTED else stage_title(job.stage),
            "" if job.status is Status.REJECTED else f"{job.progress:.0%}",
            _took(job, now),
            age(elapsed(job, now)),
            _held_out(job),
        )
    return made


def details(job: JobStatus, now: datetime) -> str:
    """Everything that is known of one job."""
    lines = [f"{job.job_name or job.job_id}   {job.job_id}"]
    for label, text in _rows(job, now):
        first, *more = textwrap.wrap(printable(text), _WIDTH - _LABEL - 3, break_long_words=False) or [""]
        lines.append(f"  {label:<{_LABEL}} {first}".rstrip())
        lines += [f"  {'':<{_LABEL}} {line}" for line in more]
    return "\n".join([printable(lines[0]), *lines[1:]])


def _rows(job: JobStatus, now: datetime) -> Iterator[tuple[str, str]]:
    yield "status", _standing(job)
    if job.error is not None:
        yield "why", job.error.message
        if job.error.hint:
            yield "", job.error.hint
    for warning in job.warnings:
        yield "note", warning
    made = datetime.fromisoformat(job.created_at).astimezone()
    yield "made", f"{made:%Y-%m-%d %H:%M:%S}, {age(elapsed(job, now))} ago"
    if took := _took(job, now):
        yield "time", took
    for stage in JOB_STAGES:
        yield stage_title(stage.name), _stage(job, stage.name)
    if job.metrics:
        yield "numbers", numbers(job.metrics)
    if job.outputs is not None:
        for name, place in job.outputs.model_dump().items():
            if place is not None:
                yield ("viewer" if name == "viewer_url" else name), place
    if job.status in {Status.FAILED, Status.STOPPED}:
        yield "go on", f"spaceport retry {job.job_id}"


def _standing(job: JobStatus) -> str:
    if job.status is Status.COMPLETED or job.status is Status.REJECTED:
        return job.status.value
    if job.is_terminal:
        return f"{job.status.value} in {stage_title(job.stage)}, {job.progress:.0%} done"
    about = live(job)
    return f"{job.status.value} {job.progress:.0%}: {headline(job)}" + (f" ({about})" if about else "")


def _stage(job: JobStatus, name: str) -> str:
    record = job.stages.get(name)
    if record is None or (record.started is None and record.ended is None):
        return "–"
    if record.started is None:
        return "skipped"
    done = f"{record.progress:.0%}" if record.seconds is None else f"{record.seconds:.0f} s"
    return f"{done}, {record.instance}" if record.instance else done


def _took(job: JobStatus, now: datetime) -> str:
    """Wall time of the job's last run, up to its end or to now."""
    if job.started_at is None:
        return ""
    end = datetime.fromisoformat(job.updated_at) if job.is_terminal else now
    return duration((end - datetime.fromisoformat(job.started_at)).total_seconds())


def _held_out(job: JobStatus) -> str:
    psnr = job.metrics.get("psnr_holdout") if job.status is Status.COMPLETED else None
    return "" if psnr is None else f"{psnr:.1f} dB"
