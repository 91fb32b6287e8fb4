"""From what the state machine caught to what the user reads.

A state's failure arrives as two strings, Error and Cause. The Cause of a SageMaker task is the job's
description with a FailureReason and, of a processing job, what its message file said as ExitMessage; of a
Lambda task it is `{"errorType", "errorMessage"}`. Where one of our own programs told why (`ErrorText` as
JSON, see job_program), that text wins.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any

from spaceport.errors import ErrorText, UserError

_EXIT_CODE = re.compile(r"exit code:? (-?\d+)", re.IGNORECASE)
_KILLED = (137, -9)  # 128 + SIGKILL: most often the kernel, out of memory
_DETAIL_LIMIT = 300


class RefusedError(Exception):
    """A UserError on its way out of a Lambda task: its text is the ErrorText as JSON, for `explain`."""

    def __init__(self, error: UserError) -> None:
        super().__init__(json.dumps(asdict(error.told())))


class JobOverError(Exception):
    """The job has ended, or is ending, before its execution could begin: nothing is left to do."""


def explain(error: str, cause: str, message: str) -> ErrorText:
    """The words for a failure: `error` and `cause` as caught, `message` the stage's own sentence.

    Never a stack trace, and never empty.
    """
    reason = _reason(cause)
    told = _told(_exit_message(cause)) or _told(reason)
    if told is not None:
        return told
    step = f"The step “{message}”"
    if error in {"States.Timeout", "States.HeartbeatTimeout"}:
        return ErrorText(
            "timeout", f"{step} took longer than it may.", "Send fewer photos, or choose the preview preset."
        )
    if error == "States.ServiceRestart":  # the one-machine engine's own: its executions don't survive it
        return ErrorText(
            "interrupted",
            f"{step} was interrupted: the cloud was stopped while it ran.",
            "Go on with it from its last finished stage by `spaceport retry`.",
        )
    code = _EXIT_CODE.search(reason)
    if code and int(code[1]) in _KILLED:
        return ErrorText(
            "killed",
            f"{step} was killed before it could finish, most likely because the machine ran out of memory.",
            "Start the job again; if it happens again, send fewer photos or use a larger instance.",
        )
    if "CapacityError" in reason or "ResourceLimitExceeded" in error + reason:
        return ErrorText(
            "no_capacity",
            f"{step} found no free machine of the kind it needs.",
            "Start the job again later, or ask AWS for a higher quota of this instance type.",
        )
    detail = _first_line(reason) or error
    return ErrorText(
        "fault", f"{step} failed: {detail}", "This is a fault of ours; the job's log has the details."
    )


def _exit_message(cause: str) -> str:
    """What the processing job's own message file said; empty where `cause` is of something else."""
    return str(_described(cause).get("ExitMessage") or "")


def _reason(cause: str) -> str:
    """The one sentence in `cause` that says why."""
    raw = _described(cause)
    if not raw:
        return cause
    reason = raw.get("FailureReason") or raw.get("ExitMessage") or raw.get("errorMessage")
    return str(reason) if reason else str(raw.get("errorType", ""))


def _described(cause: str) -> dict[str, Any]:
    """`cause` as the JSON object that it is; empty where it is plain text."""
    try:
        raw = json.loads(cause)
    except ValueError:
        return {}
    return raw if isinstance(raw, dict) else {}


def _told(reason: str) -> ErrorText | None:
    """The ErrorText that one of our programs left inside `reason`, if it did."""
    start = reason.find('{"code"')
    if start < 0:
        return None
    try:
        raw, _ = json.JSONDecoder().raw_decode(reason[start:])
        return ErrorText(str(raw["code"]), str(raw["message"]), str(raw.get("hint", "")))
    except (ValueError, KeyError):
        return None


def _first_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[0].strip()[:_DETAIL_LIMIT] if lines else ""
