"""The SageMaker jobs of a stage: stopping whichever attempt of a task runs.

The row knows the task, not its attempt: Step Functions counts the attempt into the job's name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from spaceport.attempts import TRIES_OF_AN_ENTRY
from spaceport.stages import TRAINING

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

# What SageMaker answers where nothing runs: "Requested resource not found." and "The request was rejected
# because the training job is in status Stopped." are both ValidationExceptions; its API documents
# ResourceNotFound. A malformed name would be one too, but ours are made of a checked id.
NOTHING_RUNS = frozenset({"ValidationException", "ResourceNotFound"})


class SageMakerTasks:
    """The SageMaker jobs that the pipeline started, by their task's name (`JobRecord.task`)."""

    def __init__(self, sagemaker: SageMakerClient) -> None:
        self._sagemaker = sagemaker

    def stop(self, task: str, stage: str, first: int) -> bool:
        """Stop every attempt of `task`, a job of `stage`, from the `first` of its stage's current entry on.

        Those of earlier entries are over: the stage is entered again only after its job has failed. To be
        called once the execution is stopped: until then it may begin another attempt.

        Returns: False where none runs (any more).
        """
        attempts = range(first, first + TRIES_OF_AN_ENTRY)
        stopped = [self._stopped(f"{task}-{attempt}", stage) for attempt in attempts]
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
