"""From what the state machine caught to what the user reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

from spaceport.diagnosis import Reason, diagnose
from spaceport.errors import ErrorText, UserError

_RETRY = "Go on with it from its last finished stage by `spaceport retry`."
_FAULT = ErrorText(
    "fault", "{step} failed: {detail}", "This is a fault of ours; the job's log has the details."
)
# Why a step failed, by the step's own sentence: code, message, hint.
_WORDS: Mapping[Reason, ErrorText] = {
    Reason.STOPPED_OUTSIDE: ErrorText(
        "stopped_outside",
        "{step} was stopped outside of Spaceport: somebody ended its SageMaker job.",
        _RETRY,
    ),
    Reason.OVER_TIME: ErrorText(
        "timeout", "{step} took longer than it may.", "Send fewer photos, or choose the preview preset."
    ),
    Reason.OVER_WAIT: ErrorText(
        "no_capacity", "{step} waited in vain for a spot machine.", f"{_RETRY} Without spot it need not wait."
    ),
    Reason.NO_CAPACITY: ErrorText(
        "no_capacity", "{step} found no free machine of the kind it needs.", f"Try again later. {_RETRY}"
    ),
    Reason.QUOTA: ErrorText(
        "no_capacity",
        "{step} found all machines in use that this account may have of the kind it needs.",
        f"Try again later, or ask AWS for a higher quota of this instance type. {_RETRY}",
    ),
    Reason.NO_QUOTA: ErrorText(
        "no_capacity",
        "{step} needs a machine of a kind that this account may not have here: its quota is none.",
        "Ask AWS for a quota of this instance type, or deploy the stack with another type.",
    ),
    Reason.THROTTLED: ErrorText(
        "busy", "{step} could not begin: AWS had too much to do.", f"Try again later. {_RETRY}"
    ),
    Reason.NO_IMAGE: ErrorText(
        "no_image",
        "{step} could not begin: SageMaker can't take its image. {detail}",
        "Push it by `make images` and deploy again; `spaceport doctor --stack` says which image is missing.",
    ),
    Reason.AWS_FAULT: ErrorText("aws_fault", "{step} failed by a fault of AWS's own: {detail}", _RETRY),
    Reason.NAME_TAKEN: _FAULT,
    Reason.KILLED: ErrorText(
        "killed",
        "{step} was killed before it could finish, most likely because the machine ran out of memory.",
        "Start the job again; if it happens again, send fewer photos or use a larger instance.",
    ),
    Reason.ENGINE_RESTARTED: ErrorText(
        "interrupted", "{step} was interrupted: the cloud was stopped while it ran.", _RETRY
    ),
    Reason.FAULT: _FAULT,
}


class RefusedError(Exception):
    """A UserError on its way out of a Lambda task: its text is the ErrorText as JSON, for `explain`."""

    def __init__(self, error: UserError) -> None:
        super().__init__(json.dumps(asdict(error.told())))


class JobOverError(Exception):
    """The job has ended, or is ending, before its execution could begin: nothing is left to do."""


def explain(error: str, cause: str, message: str) -> ErrorText:
    """The words for a failure: `error` and `cause` as caught, `message` the stage's own sentence.

    Where one of our own programs told why (`ErrorText` as JSON, see job_program), that text wins. Never a
    stack trace, and never empty.
    """
    diagnosis = diagnose(error, cause)
    if diagnosis.told is not None:
        return diagnosis.told
    words = _WORDS[diagnosis.reason]
    told = words.message.format(step=f"The step “{message}”", detail=diagnosis.detail or error)
    return ErrorText(words.code, told, words.hint)
