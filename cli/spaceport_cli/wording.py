"""Numbers and states in words, the same in the bar, in plain lines and in the summary. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from spaceport.stages import SFM, TRAINING, Status
from spaceport.time_left import SECONDS_LEFT, about_left
from spaceport_cli.job_status import JobStatus
from spaceport_cli.plain_text import printable

_STAGE_TITLES = {SFM.name: "camera poses", TRAINING.name: "training"}
# The live numbers worth showing while their own stage is at work; rows keep those of the stages before it.
_METRICS: dict[str, dict[str, Callable[[float], str]]] = {
    SFM.name: {
        "registered": "{:,.0f} photos placed".format,
        "points": "{:,.0f} points".format,
        SECONDS_LEFT: about_left,
    },
    TRAINING.name: {
        "psnr": "{:.1f} dB".format,
        "gaussians": "{:,.0f} Gaussians".format,
        SECONDS_LEFT: about_left,
    },
}


def duration(seconds: float) -> str:
    """Wall time as a clock shows it: 0:07, 12:40, 1:02:03."""
    whole = max(0, int(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def age(seconds: float) -> str:
    """How long ago in one unit, rounded down: 12 s, 5 min, 3 h, 4 d."""
    whole = max(0, int(seconds))
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if whole >= length:
            return f"{whole // length} {unit}"
    return f"{whole} s"


def size(count: float) -> str:
    """A number of bytes in the unit that suits it, powers of 1000 as file managers have them."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def counted(count: int, thing: str) -> str:
    """`1 photo`, `2 photos`."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def ordinal(number: int) -> str:
    """`1st`, `2nd`, `11th`, `23rd`."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def stage_title(name: str) -> str:
    """What a stage is called for people."""
    return _STAGE_TITLES.get(name, name)


def numbers(metrics: Mapping[str, float]) -> str:
    """Measured numbers by their names: `psnr 24.13 · gaussians 412,000`."""
    return " · ".join(
        f"{name} {value:,.0f}" if value == round(value) else f"{name} {value:,.4g}"
        for name, value in metrics.items()
    )


def headline(status: JobStatus) -> str:
    """What the job is at, as one phrase."""
    if status.status is Status.QUEUED and status.queue_position:
        return f"{ordinal(status.queue_position)} in the queue"
    if status.status is Status.WAITING_CAPACITY and status.next_try_at:
        at = datetime.fromisoformat(status.next_try_at).astimezone()
        return f"Waiting for a free machine, next try at {at:%H:%M}"
    if status.status is Status.STOPPING:
        return "Stopping"
    return printable(status.message)


def how_to_mend(status: JobStatus) -> str:
    """The hint of a job's error; a command in it names the job, to be copied. Empty without one."""
    if status.error is None:
        return ""
    return status.error.hint.replace("`spaceport retry`", f"`spaceport retry {status.job_id}`")


def live(status: JobStatus) -> str:
    """What the stage's program last said of its work and its live numbers; may be empty."""
    forms = _METRICS.get(status.stage, {})
    numbers = [form(status.metrics[name]) for name, form in forms.items() if name in status.metrics]
    return " · ".join(part for part in (printable(status.detail), *numbers) if part)


def elapsed(status: JobStatus, now: datetime) -> float:
    """Seconds since the job was made."""
    return (now - datetime.fromisoformat(status.created_at)).total_seconds()
