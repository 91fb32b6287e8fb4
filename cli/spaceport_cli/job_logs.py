"""What a job's programs printed, as CloudWatch Logs has it: each SageMaker job has its own streams."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from spaceport.errors import UserError
from spaceport.stages import COMPRESSION, JOB_STAGES, SFM, TRAINING, Stage

# Where SageMaker writes what the containers of all jobs of the account print.
_PROCESSING, _TRAINING = "/aws/sagemaker/ProcessingJobs", "/aws/sagemaker/TrainingJobs"
_GROUPS = {SFM.name: _PROCESSING, TRAINING.name: _TRAINING, COMPRESSION.name: _PROCESSING}
_TURN = re.compile(r"^(?P<run>\d+)-(?P<attempt>\d+)/")


@dataclass(frozen=True)
class LogLine:
    """One line of a stage's program: when it was printed, in which run of the job and which attempt of it."""

    time: datetime
    stage: str
    run: int
    attempt: int
    text: str


@dataclass(frozen=True)
class _Stream:
    group: str
    name: str
    stage: str
    run: int
    attempt: int


class JobLogs:
    """Reads the lines of one job, of all its runs; each call goes on where the last one ended."""

    def __init__(self, logs: Any, job_id: str, stages: Sequence[Stage] = JOB_STAGES) -> None:
        self._logs = logs
        self._job_id = job_id
        self._stages = stages
        self._read_to: dict[_Stream, str] = {}  # CloudWatch's own token of the place in a stream

    def new_lines(self) -> list[LogLine]:
        """The lines that were not returned before, by time.

        Raises:
            UserError: `logs_unreadable`, where the caller may not read them or the cloud can't be asked.
        """
        try:
            streams = [stream for stage in self._stages for stream in self._streams(stage)]
            lines = [line for stream in streams for line in self._new(stream)]
        except (BotoCoreError, ClientError) as error:
            raise UserError(
                "logs_unreadable",
                f"The job's log can't be read: {error}",
                "It takes the rights logs:DescribeLogStreams and logs:GetLogEvents.",
            ) from error
        # The sort is stable: lines of one millisecond stay in their order.
        return sorted(lines, key=lambda line: line.time)

    def _streams(self, stage: Stage) -> Iterator[_Stream]:
        group, beginning = _GROUPS[stage.name], f"{self._job_id}-{stage.job_suffix}-"
        pages = self._logs.get_paginator("describe_log_streams").paginate(
            logGroupName=group, logStreamNamePrefix=beginning
        )
        try:
            for page in pages:
                for found in page["logStreams"]:
                    name = found["logStreamName"]
                    # Another job's id may begin with this one's.
                    if turn := _TURN.match(name.removeprefix(beginning)):
                        yield _Stream(group, name, stage.name, int(turn["run"]), int(turn["attempt"]))
        except self._logs.exceptions.ResourceNotFoundException:
            return  # no job of this kind ever ran in the account

    def _new(self, stream: _Stream) -> Iterator[LogLine]:
        where = {"logGroupName": stream.group, "logStreamName": stream.name, "startFromHead": True}
        token = self._read_to.get(stream)
        while True:
            page = self._logs.get_log_events(**where, **({"nextToken": token} if token else {}))
            for event in page["events"]:
                time = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
                yield LogLine(time, stream.stage, stream.run, stream.attempt, event["message"])
            token, before = page["nextForwardToken"], token
            self._read_to[stream] = token
            if token == before:  # how CloudWatch says that there is no more
                return
