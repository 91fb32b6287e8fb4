"""What made a task of the state machine fail, from the two strings that Step Functions catches.

Pure. `error` is the error's name; `cause` is free text, or JSON: of a `.sync` SageMaker task the job's
description (DescribeTrainingJob, DescribeProcessingJob), of a Lambda task `{"errorType", "errorMessage"}`.
SageMaker's own sentences are documented nowhere and vary: they are told by the few words that their versions
share. `tests/unit/contract/failures.json` holds real ones, each with its source.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any

from spaceport.errors import ErrorText


class Reason(Enum):
    """Why a task failed."""

    TOLD = auto()  # one of our own programs said so, as ErrorText
    STOPPED_OUTSIDE = auto()  # somebody stopped the SageMaker job: a person, a budget's guard
    OVER_TIME = auto()  # it took longer than the job, or its state, may
    OVER_WAIT = auto()  # a spot job waited longer for its machine than it may
    NO_CAPACITY = auto()  # AWS has no free machine of this type now
    QUOTA = auto()  # as many machines of this type run as the account may have
    NO_QUOTA = auto()  # the account may have none of this type, or the region has none: waiting is no use
    THROTTLED = auto()  # too many calls at once
    NO_IMAGE = auto()  # ECR has no such image, or does not let SageMaker take it
    AWS_FAULT = auto()  # SageMaker's InternalServerError, a machine that broke
    NAME_TAKEN = auto()  # a SageMaker job of this name exists: an answer to our call got lost
    KILLED = auto()  # 137, most often the kernel: out of memory
    ENGINE_RESTARTED = auto()  # the one-machine cloud's own: an execution does not survive it
    FAULT = auto()  # anything else: ours


@dataclass(frozen=True)
class Diagnosis:
    """Why a task failed.

    Attributes:
        told: the program's own words, where it left some: `reason` is TOLD then.
        detail: one line of the sentence that says why, as it was caught; it may be empty.
    """

    reason: Reason
    told: ErrorText | None = None
    detail: str = ""


NO_MACHINE = (Reason.NO_CAPACITY, Reason.QUOTA, Reason.NO_QUOTA, Reason.THROTTLED)


@dataclass(frozen=True)
class Work:
    """What a SageMaker job that failed did on its machine: wall seconds, and those billed where told."""

    seconds: float
    billable_seconds: float | None


_KILLED = (137, -9)  # 128 + SIGKILL
_EXIT_CODE = re.compile(r"exit code:? (-?\d+)", re.IGNORECASE)
# The order matters: a quota of zero is a quota too.
_WORDS = (
    (Reason.ENGINE_RESTARTED, re.compile(r"States\.ServiceRestart")),
    (Reason.OVER_TIME, re.compile(r"States\.(Heartbeat)?Timeout|MaxRuntimeExceeded")),
    (Reason.OVER_WAIT, re.compile(r"MaxWaitTimeExceeded")),
    (Reason.NAME_TAKEN, re.compile(r"ResourceInUse|job names? must be unique", re.IGNORECASE)),
    (
        Reason.NO_QUOTA,
        re.compile(r"ResourceLimitExceeded.*(' is 0 Instances|is not available in this region)", re.DOTALL),
    ),
    (Reason.QUOTA, re.compile(r"ResourceLimitExceeded")),
    (
        Reason.NO_CAPACITY,
        re.compile(r"CapacityError|insufficient\W*(instance\W*)?capacity|not enough capacity", re.IGNORECASE),
    ),
    (Reason.THROTTLED, re.compile(r"Throttling|TooManyRequests|Rate exceeded")),
    (
        Reason.NO_IMAGE,
        re.compile(
            r"Cannot pull algorithm container|manifest unknown|Access denied for repository"
            r"|repository of your image .* does not (exist|grant)"
        ),
    ),
    (
        Reason.KILLED,
        re.compile(r"instance type with more memory|Out of Memory\. Please use a larger instance"),
    ),
    # Not SageMaker.AmazonSageMakerException: Step Functions calls refused requests so too.
    (Reason.AWS_FAULT, re.compile(r"InternalServerError|InternalFailure|ServiceUnavailable")),
)
_DETAIL_LIMIT = 300


def diagnose(error: str, cause: str) -> Diagnosis:
    """Why a task failed that Step Functions caught `error` and `cause` of."""
    job = _described(cause)
    sentence = _sentence(job) if job else cause
    detail = _first_line(sentence)
    if _status(job) == "Stopped":
        return Diagnosis(_why_stopped(job), detail=detail)
    if told := _told(str(job.get("ExitMessage") or "")) or _told(sentence):
        return Diagnosis(Reason.TOLD, told, detail)
    code = _EXIT_CODE.search(sentence)
    if code or sentence.startswith("AlgorithmError"):  # the program ended: the words are not SageMaker's
        killed = code is not None and int(code[1]) in _KILLED
        return Diagnosis(Reason.KILLED if killed else Reason.FAULT, detail=detail)
    said = f"{error}: {sentence}"
    reason = next((reason for reason, words in _WORDS if words.search(said)), Reason.FAULT)
    return Diagnosis(reason, detail=detail)


def _why_stopped(job: dict[str, Any]) -> Reason:
    """Why a SageMaker job is Stopped rather than Failed. Only a training job has a SecondaryStatus."""
    said = f"{job.get('SecondaryStatus')} {_sentence(job)}"
    if "MaxWaitTimeExceeded" in said:
        return Reason.OVER_WAIT
    if "MaxRuntimeExceeded" in said or _ran_to_its_limit(job):
        return Reason.OVER_TIME
    return Reason.STOPPED_OUTSIDE


def work_of(cause: str, now: datetime) -> Work | None:
    """What the failed SageMaker job that `cause` describes did; None where it never had a machine.

    One whose end is not told ended `now`.
    """
    job = _described(cause)
    kind = "Training" if "TrainingStartTime" in job else "Processing"
    started, ended = _seconds(job.get(f"{kind}StartTime")), _seconds(job.get(f"{kind}EndTime"))
    if started is None:
        return None
    billable = _number(job.get("BillableTimeInSeconds"))
    return Work(max(0.0, (now.timestamp() if ended is None else ended) - started), billable)


def had_no_machine(error: str, cause: str) -> bool:
    """Whether the task's SageMaker job failed for want of a machine, before it had done anything."""
    started = _described(cause).keys() & {"TrainingStartTime", "ProcessingStartTime"}
    return diagnose(error, cause).reason in NO_MACHINE and not started


def _seconds(at: object) -> float | None:
    """A time in seconds since 1970, as the API's JSON has it; in Step Functions' it is milliseconds."""
    number = _number(at)
    return number if number is None or number < 1e11 else number / 1000


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _ran_to_its_limit(job: dict[str, Any]) -> bool:
    """Whether a processing job, whose description says no more than Stopped, ran as long as it may."""
    limit = (job.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds")
    started, ended = _seconds(job.get("ProcessingStartTime")), _seconds(job.get("ProcessingEndTime"))
    if not isinstance(limit, int) or started is None or ended is None:
        return False
    return ended - started >= limit


def _status(job: dict[str, Any]) -> str:
    return str(job.get("TrainingJobStatus") or job.get("ProcessingJobStatus") or "")


def _sentence(job: dict[str, Any]) -> str:
    """The one sentence in a description, or in a Lambda's error, that says why."""
    said = (job.get(name) for name in ("FailureReason", "ExitMessage", "errorMessage", "errorType"))
    return next((str(text) for text in said if text), "")


def _described(cause: str) -> dict[str, Any]:
    """`cause` as the JSON object that it is; empty where it is plain text."""
    try:
        raw = json.loads(cause)
    except ValueError:
        return {}
    return raw if isinstance(raw, dict) else {}


def _told(sentence: str) -> ErrorText | None:
    """The ErrorText that one of our programs left inside `sentence`, if it did."""
    start = sentence.find('{"code"')
    if start < 0:
        return None
    try:
        raw, _ = json.JSONDecoder().raw_decode(sentence[start:])
        return ErrorText(str(raw["code"]), str(raw["message"]), str(raw.get("hint", "")))
    except (ValueError, KeyError):
        return None


def _first_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[0].strip()[:_DETAIL_LIMIT] if lines else ""
