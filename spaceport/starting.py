"""Starting the job of a zip that is in the uploads bucket, or its later steps once more."""

from __future__ import annotations

from spaceport import metering
from spaceport.bodies import StartBody
from spaceport.callers import Caller
from spaceport.errors import UserError
from spaceport.intake import Intake
from spaceport.job import JobRecord, JobRequest, PipelineStep, bucket_and_key, job_id_for
from spaceport.jobs import Jobs
from spaceport.reruns import no_artifacts, rerun


class Starting:
    """Makes rows; what starts their executions is the table's stream."""

    def __init__(self, jobs: Jobs, intake: Intake, uploads_bucket: str) -> None:
        self._jobs = jobs
        self._intake = intake
        self._bucket = uploads_bucket

    def start(self, body: StartBody, caller: Caller, now: str) -> tuple[JobRecord, bool]:
        """The job's row, and whether this call made it, or a new run of it.

        Raises:
            UserError: `foreign_s3_uri`, `no_such_zip` (its job was deleted, and it goes, too), or as `rerun`
                where a later step is asked for.
        """
        key = self._key(body.s3_url, caller)
        version = self._intake.newest_version(self._bucket, key)
        job_id = job_id_for(self._bucket, key, version)
        row = self._jobs.get(job_id)
        if row is not None and row.deleted_at is not None:
            raise deleted(key)
        request = body.job_request()
        if request.pipeline_step is not PipelineStep.SFM:
            return self._again(row, request, now), True
        if row is not None:
            return row, False
        fresh = self._intake.judge(self._bucket, key, version, now, request)
        if self._jobs.create(fresh):
            metering.job_made(fresh)
            return fresh, True
        row = self._jobs.get(job_id)  # the drop's own event was quicker, or the job is erased
        if row is None:
            raise deleted(key)
        return row, False

    def _key(self, uri: str, caller: Caller) -> str:
        bucket, key = bucket_and_key(uri)
        if bucket != self._bucket or not caller.may_start(key):
            raise UserError(
                "foreign_s3_uri",
                "s3Url names a zip that is not one of your uploads.",
                f"Upload it to s3://{self._bucket}/uploads/{caller.name}/ first.",
            )
        if not key.lower().endswith(".zip"):
            raise UserError("not_a_zip", "s3Url does not end in .zip.", "Put the photos into a .zip.")
        return key

    def _again(self, row: JobRecord | None, request: JobRequest, now: str) -> JobRecord:
        if row is None:
            raise no_artifacts(request.pipeline_step, PipelineStep.SFM)
        asked = request.model_dump(mode="json", by_alias=True, exclude_none=True)
        again = rerun(row, request.pipeline_step, asked, now).model_copy(
            update={"job_name": request.job_name or row.job_name, "email": request.email or row.email}
        )
        if not self._jobs.reopen(row, again):
            raise changed(row)
        return again


def deleted(key: str) -> UserError:
    """That a zip's job was deleted, which deletes the zip, too."""
    return UserError("no_such_zip", f"The job of {key} was deleted, and the zip with it.", "Upload it again.")


def changed(row: JobRecord) -> UserError:
    """That the job became another one between reading and writing its row."""
    return UserError("job_changed", f"The job {row.job_id} has just changed.", "Look at it and try again.")
