"""From Error and Cause to words for the user. The causes have the shapes that Step Functions gives.

`failures.json` holds AWS's failures, each with where its form was found.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from spaceport.diagnosis import Reason, diagnose
from spaceport.errors import UserError
from spaceport.failure import RefusedError, explain

STEP = "Extracting features from uploaded images"
FAILURES = json.loads((Path(__file__).parent / "failures.json").read_text())


def sagemaker(reason: str) -> str:
    return json.dumps(
        {"ProcessingJobName": "j-sfm-1-0", "ProcessingJobStatus": "Failed", "FailureReason": reason}
    )


def test_a_programs_own_message_wins():
    told = json.dumps(
        {"code": "too_few_photos", "message": "Only 2 photos could be read.", "hint": "Send more."}
    )
    error = explain("States.TaskFailed", sagemaker(f"AlgorithmError: {told}, exit code: 1"), STEP)
    assert asdict(error) == json.loads(told)


def test_the_message_file_of_a_processing_job_wins_over_sagemakers_own_words():
    # Given a description as SageMaker gives it, where only ExitMessage holds what the program said
    told = {"code": "too_few_photos", "message": "Only 2 photos could be read.", "hint": "Send more."}
    reason = "AlgorithmError: See job logs for more information, exit code: 1"
    cause = json.dumps({"FailureReason": reason, "ExitMessage": json.dumps(told)})
    assert asdict(explain("States.TaskFailed", cause, STEP)) == told


def test_a_killed_program_is_told_as_such():
    error = explain("States.TaskFailed", sagemaker("AlgorithmError: , exit code: 137"), STEP)
    assert error.code == "killed"
    assert STEP in error.message
    assert "memory" in error.message


def test_a_refusal_of_a_lambda_task_comes_through_whole():
    refused = RefusedError(UserError("foreign_image", "sfmImageUri names x.", "Leave it out."))
    cause = json.dumps({"errorType": "RefusedError", "errorMessage": str(refused), "trace": []})
    assert explain("RefusedError", cause, STEP).code == "foreign_image"


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure["name"])
def test_a_failure_of_awss_is_told_for_what_it_is(failure):
    # Given what Step Functions catches
    cause = failure["cause"] if isinstance(failure["cause"], str) else json.dumps(failure["cause"])
    # Then we know why, and the owner reads of the step, in a sentence, and what to do
    assert diagnose(failure["error"], cause).reason.name == failure["reason"]
    told = explain(failure["error"], cause, STEP)
    assert told.code == failure["code"]
    assert told.message.startswith(f"The step “{STEP}”")
    assert told.hint
    assert "{" not in told.message + told.hint


def test_every_reason_has_a_failure_that_shows_it():
    assert {failure["reason"] for failure in FAILURES} | {Reason.TOLD.name} == set(Reason.__members__)


def test_a_fault_shows_one_line_and_no_stack_trace():
    cause = json.dumps(
        {"errorType": "KeyError", "errorMessage": "'x'\nTraceback (most recent call last):\n  File ..."}
    )
    error = explain("KeyError", cause, STEP)
    assert error.code == "fault"
    assert "Traceback" not in error.message


def test_no_cause_at_all_still_says_something():
    assert explain("States.Runtime", "", STEP).message.endswith("States.Runtime")
