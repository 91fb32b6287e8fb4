"""Jobs as text: many as a table, one in full. Pure: `now` is given."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from spaceport.job import Kind
from spaceport.prices import dollars
from spaceport.stages import JOB_STAGES, Status
from spaceport_cli.job_status import JobStatus
from spaceport_cli.plain_text import printable
from spaceport_cli.which_job import short_id
from spaceport_cli.wording import age, duration, elapsed, headline, live, numbers, ordinal, stage_title

_STYLES = {
    Status.COMPLETED: "green",
    Status.FAILED: "red",
    Status.REJECTED: "red",
    Status.STOPPED: "yellow",
    Status.STOPPING: "yellow",
}
_HEADER = ("JOB", "NAME", "STATUS", "STAGE", "DONE", "TIME", "AGE", "HELD OUT")
_NAME, _FIRST_NUMBER = _HEADER.index("NAME"), _HEADER.index("DONE")
_SHORTEST_NAME = 8
_GAP = "  "
_WIDTH = 80  # columns; what is told in full is read on any terminal
_LABEL = 12
_DOT, _NO_BREAK = " · ", "\N{NO-BREAK SPACE}"


def table(jobs: Sequence[JobStatus], now: datetime, columns: int) -> list[Text]:
    """A header and one line a job. In `columns` columns only the name gives way, down to a few letters."""
    cells = [_HEADER, *(_cells(job, now) for job in jobs)]
    widths = [max(cell_len(row[i]) for row in cells) for i in range(len(_HEADER))]
    spare = columns - sum(widths) - len(_GAP) * (len(widths) - 1)
    widths[_NAME] = max(_SHORTEST_NAME, widths[_NAME] + min(spare, 0))
    lines = [_line(row, widths) for row in cells]
    lines[0].stylize("bold")
    for line, job in zip(lines[1:], jobs, strict=True):
        line.highlight_words([job.status.value], _STYLES.get(job.status, ""))
    return lines


def _cells(job: JobStatus, now: datetime) -> tuple[str, ...]:
    began = job.status is not Status.REJECTED
    return (
        short_id(job.job_id),
        printable(job.job_name),
        job.status.value.partition("_")[0],
        _stage_cell(job) if began else "",
        f"{job.progress:.0%}" if began else "",
        _took(job, now),
        age(elapsed(job, now)),
        _held_out(job),
    )


def _stage_cell(job: JobStatus) -> str:
    if job.kind is Kind.BATCH:
        return f"batch of {len(job.members)}"
    if job.status is Status.QUEUED and job.queue_position:
        return f"{ordinal(job.queue_position)} in line"
    return stage_title(job.stage)


def _line(cells: Sequence[str], widths: Sequence[int]) -> Text:
    parts = []
    for i, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        # In columns, not letters: those of some scripts are two columns wide.
        shown = cell if cell_len(cell) <= width else set_cell_size(cell, width - 1) + "…"
        space = " " * (width - cell_len(shown))
        parts.append(shown + space if i < _FIRST_NUMBER else space + shown)
    return Text(_GAP.join(parts).rstrip(), no_wrap=True)


def details(job: JobStatus, now: datetime, *, own_machine: bool) -> str:
    """Everything that is known of one job; places are left whole, to be copied.

    Args:
        own_machine: it ran on this one: the instances that the stack asks for are not there.
    """
    lines = [f"{job.job_name or job.job_id}   {job.job_id}"]
    for label, text in _rows(job, now, own_machine):
        first, *more = _folded(text)
        lines += [f"  {label:<{_LABEL}} {first}", *(f"  {'':<{_LABEL}} {line}" for line in more)]
    return "\n".join(printable(line) for line in lines)


def _folded(text: str) -> list[str]:
    whole = text.replace(_DOT, _DOT.replace(" ", _NO_BREAK, 1))  # no line begins with a dot
    lines = textwrap.wrap(whole, _WIDTH - _LABEL - 3, break_long_words=False, break_on_hyphens=False)
    return [line.replace(_NO_BREAK, " ") for line in lines] or [""]


def _rows(job: JobStatus, now: datetime, own_machine: bool) -> Iterator[tuple[str, str]]:
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
    yield from _parts(job, own_machine)
    if job.earlier_costs and not own_machine:
        known = sum(cost for cost in job.earlier_costs.values() if cost is not None)
        yield "earlier runs", dollars(known) + (" and more" if None in job.earlier_costs.values() else "")
    if job.metrics:
        yield "numbers", numbers(job.metrics)
    if job.outputs is not None:
        for name, place in job.outputs.model_dump().items():
            if place is not None:
                yield ("viewer" if name == "viewer_url" else name), place
    if job.status in {Status.FAILED, Status.STOPPED} and job.kind is Kind.JOB:
        yield "go on", f"spaceport retry {job.job_id}"


def _parts(job: JobStatus, own_machine: bool) -> Iterator[tuple[str, str]]:
    """A job's stages and its batch; a batch's jobs."""
    if job.batch_id is not None:
        yield "batch", job.batch_id
    for member in job.members:
        yield "job", member
    for stage in () if job.kind is Kind.BATCH else JOB_STAGES:
        yield stage_title(stage.name), _stage(job, stage.name, own_machine)


def _standing(job: JobStatus) -> str:
    if job.status is Status.COMPLETED or job.status is Status.REJECTED:
        return job.status.value
    if job.kind is Kind.BATCH:
        return f"{job.status.value} {job.progress:.0%}: {headline(job)}"
    if job.is_terminal:
        return f"{job.status.value} in {stage_title(job.stage)}, {job.progress:.0%} done"
    about = live(job)
    return f"{job.status.value} {job.progress:.0%}: {headline(job)}" + (f" ({about})" if about else "")


def _stage(job: JobStatus, name: str, own_machine: bool) -> str:
    record = job.stages.get(name)
    if record is None or (record.started is None and record.ended is None):
        return "–"
    if record.started is None:
        return "skipped"
    done = f"{record.progress:.0%}" if record.seconds is None else f"{record.seconds:.0f} s"
    if own_machine:
        return done
    cost = None if record.cost is None else dollars(record.cost)
    machine = f"{record.instance} spot" if record.instance and record.spot else record.instance
    return ", ".join(filter(None, (done, machine, cost)))


def _took(job: JobStatus, now: datetime) -> str:
    """Wall time of the job's last run, up to its end or to now."""
    if job.started_at is None:
        return ""
    end = datetime.fromisoformat(job.updated_at) if job.is_terminal else now
    return duration((end - datetime.fromisoformat(job.started_at)).total_seconds())


def _held_out(job: JobStatus) -> str:
    psnr = job.metrics.get("psnr_holdout") if job.status is Status.COMPLETED else None
    return "" if psnr is None else f"{psnr:.1f} dB"
