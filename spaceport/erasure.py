"""Erasing what a deleted job has left, in every store; its row becomes a tombstone at last.

Each step may be done again: what fails half-way is erased by the next try, for the row goes last. Out of
reach are the executions' histories (AWS keeps them 90 days), the descriptions of SageMaker jobs (for ever;
they hold S3 addresses and tuning) and backups of the tables (35 days).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from spaceport.artifacts import Artifacts
from spaceport.connections import Connections
from spaceport.history import History
from spaceport.job import JobRecord, Kind, batch_id_for, bucket_and_key, job_id_for, parse_sagemaker_name
from spaceport.jobs import Jobs
from spaceport.links import Links
from spaceport.reconciliation import all_artifacts_are_there
from spaceport.shared_files import SharedFiles

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client

LOG_GROUPS = ("/aws/sagemaker/ProcessingJobs", "/aws/sagemaker/TrainingJobs")


class Zips:
    """The zips in the uploads bucket, and the manifests of batches."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def erase(self, row: JobRecord) -> bool:
        """Delete the very version of the zip that `row` is the job of, or of the manifest whose batch it is.

        False where there is none: an execution that was started by hand names a zip that is another job's.
        """
        bucket, key = bucket_and_key(row.source)
        version = row.source_version
        id_for = batch_id_for if row.kind is Kind.BATCH else job_id_for
        if bucket != self._bucket or version is None or row.job_id != id_for(bucket, key, version):
            return False
        self._s3.delete_object(Bucket=bucket, Key=key, VersionId=version)
        return True


class JobLogStreams:
    """What jobs' programs have printed: in log groups that other projects of the account share."""

    def __init__(self, logs: CloudWatchLogsClient) -> None:
        self._logs = logs

    def erase(self, job_id: str) -> int:
        """Delete the streams of all the job's SageMaker jobs; returns how many those were."""
        return sum(self._erase_in(group, job_id) for group in LOG_GROUPS)

    def _erase_in(self, group: str, job_id: str) -> int:
        # The ids of other jobs may begin so, too: the whole name decides.
        streams = [name for name in self._names(group, f"{job_id}-") if _job_of(name) == job_id]
        for name in streams:
            with suppress(self._logs.exceptions.ResourceNotFoundException):  # another erasure was quicker
                self._logs.delete_log_stream(logGroupName=group, logStreamName=name)
        return len(streams)

    def _names(self, group: str, prefix: str) -> list[str]:
        """None where there is no such group: it is the account's, and whoever deleted it took the streams."""
        names: list[str] = []
        with suppress(self._logs.exceptions.ResourceNotFoundException):
            page = self._logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=prefix)
            names += [stream["logStreamName"] for stream in page["logStreams"]]
            while "nextToken" in page:
                page = self._logs.describe_log_streams(
                    logGroupName=group, logStreamNamePrefix=prefix, nextToken=page["nextToken"]
                )
                names += [stream["logStreamName"] for stream in page["logStreams"]]
        return names


def _job_of(stream: str) -> str | None:
    """The job whose program wrote the stream: `{SageMaker job}/{host}`."""
    named = parse_sagemaker_name(stream.partition("/")[0])
    return named[0] if named else None


@dataclass(frozen=True)
class Erasure:
    """Erases deleted jobs."""

    jobs: Jobs
    artifacts: Artifacts
    zips: Zips
    history: History
    connections: Connections
    links: Links
    shared_files: SharedFiles
    log_streams: JobLogStreams

    def erase(self, row: JobRecord, now: datetime) -> dict[str, int]:
        """Erase all that `row`, which is deleted, has left; returns how much of what that was.

        The row stays, hidden, where a task of the job may still upload: `reconcile_jobs` asks once more then.
        """
        erased = {
            "artifacts": self.artifacts.discard(row.job_id),
            "zips": int(self.zips.erase(row)),
            "logStreams": self.log_streams.erase(row.job_id),
            "followers": self.connections.drop(row.job_id),
            "links": self.links.drop(row.job_id),
            "sharedFiles": self.shared_files.erase(row.job_id),
            "changes": self.history.erase(row.job_id),
        }
        if all_artifacts_are_there(row, now):
            self.jobs.entomb(row.job_id, now.timestamp())
        return erased
