"""The SageMaker jobs of a stage: stopping whichever attempt of a task runs.

The row knows the task, not its attempt: Step Functions counts the attempt into the job's name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from spaceport.stages import TRAINING

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

# One more than `MaxAttempts` of the states that create jobs (a contract test compares them).
ATTEMPTS = 6
# What SageMaker answers where nothing runs: "Requested resource not found." and "The request was rejected
# because the training job is in status Stopped." are both ValidationExceptions; its API documents
# ResourceNotFound. A malformed name would be one too, but ours are made of a checked id.
NOTHING_RUNS = frozenset({"ValidationException", "ResourceNotFound"})


class SageMakerTasks:
    """The SageMaker jobs that the pipeline started, by their task's name (`JobRecord.task`)."""

    def __init__(self, sagemaker: SageMakerClient) -> None:
        self._sagemaker = sagemaker

    def stop(self, task: str, stage: str) -> bool:
        """Stop every attempt of `task`, a job of `stage`; False where none runs (any more).

        To be called once the execution is stopped: until then it may begin another attempt.
        """
        stopped = [self._stopped(f"{task}-{attempt}", stage) for attempt in range(ATTEMPTS)]
        return any(stopped)

    def _stopped(self, name: str, stage: str) -> bool:
        try:
            if stage == TRAINING.name:
                self._sagemaker.stop_training_job(TrainingJobName=name)
            else:
                self._sagemaker.stop_processing_job(ProcessingJobName=name)
        except ClientError as error:
            if error.response["Error"]["Code"] in NOTHING_RUNS:
                return False
            raise
        return True
