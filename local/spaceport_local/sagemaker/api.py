"""The part of SageMaker's API that the pipeline uses: Create, Describe, Stop and List of both kinds, tags."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from spaceport_local.sagemaker.record import KINDS, STOPPING, Job, JobTable, Kind, Scope
from spaceport_local.sagemaker.shapes import violations

PAGE = 100


class ApiError(Exception):
    """An error answer of the API: its code and its message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class SageMaker:
    """The service. `run` runs a job to its end, `announce` tells that a job has a new state."""

    def __init__(
        self,
        run: Callable[[Job], None],
        announce: Callable[[Job], None],
        jobs: JobTable,
    ) -> None:
        self._run = run
        self._announce = announce
        self._jobs = jobs
        self._operations: dict[str, Callable[[Scope, Mapping[str, Any]], dict[str, Any]]] = {
            "AddTags": self._add_tags,
            "ListTags": self._list_tags,
        }
        for kind in KINDS:
            self._operations |= {
                f"Create{kind.name}Job": partial(self._create, kind),
                f"Describe{kind.name}Job": partial(self._describe, kind),
                f"Stop{kind.name}Job": partial(self._stop, kind),
                f"List{kind.name}Jobs": partial(self._list, kind),
            }

    def call(self, operation: str, scope: Scope, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one API call. Raises ApiError."""
        handler = self._operations.get(operation)
        if handler is None:
            raise ApiError(
                "UnknownOperationException", f"SageMaker's {operation} is not part of the local cloud."
            )
        return handler(scope, request)

    def create(self, kind: Kind, scope: Scope, request: Mapping[str, Any]) -> Job:
        """Accept a job and start it in a thread of its own. Raises ApiError."""
        faults = violations(f"Create{kind.name}Job", request)
        if faults:
            noun = "error" if len(faults) == 1 else "errors"
            raise ApiError(
                "ValidationException", f"{len(faults)} validation {noun} detected: {'; '.join(faults)}"
            )
        job = Job.accepted(kind, scope, request, self._announce)
        if not self._jobs.add(job):
            raise ApiError(
                "ResourceInUse",
                "Job name must be unique within an AWS account and region, and a job with this name "
                f"already exists ({job.arn})",
            )
        self._announce(job)
        threading.Thread(target=self._run, args=(job,), name=f"job {job.name}", daemon=True).start()
        return job

    def _find(self, kind: Kind, scope: Scope, request: Mapping[str, Any]) -> Job:
        job = self._jobs.get(kind, scope, request.get(kind.name_field, ""))
        if job is None:
            raise ApiError("ValidationException", "Requested resource not found.")
        return job

    def _create(self, kind: Kind, scope: Scope, request: Mapping[str, Any]) -> dict[str, Any]:
        return {kind.arn_field: self.create(kind, scope, request).arn}

    def _describe(self, kind: Kind, scope: Scope, request: Mapping[str, Any]) -> dict[str, Any]:
        return self._find(kind, scope, request).describe()

    def _stop(self, kind: Kind, scope: Scope, request: Mapping[str, Any]) -> dict[str, Any]:
        job = self._find(kind, scope, request)
        if not job.request_stop() and job.status != STOPPING:
            noun = f"{kind.name.lower()} job"
            raise ApiError(
                "ValidationException",
                f"The request was rejected because the {noun} is in status {job.status}.",
            )
        return {}

    def _list(self, kind: Kind, scope: Scope, request: Mapping[str, Any]) -> dict[str, Any]:
        """Newest first; StatusEquals, NameContains and MaxResults are honoured, there is no paging."""
        described = [job.describe() for job in self._jobs.of(kind, scope)]
        wanted, part = request.get("StatusEquals"), request.get("NameContains", "")
        chosen = [
            job
            for job in described
            if (wanted is None or job[kind.status_field] == wanted) and part in job[kind.name_field]
        ]
        chosen.sort(key=lambda job: job["CreationTime"], reverse=True)
        end_field = f"{kind.name}EndTime"
        fields = (
            *(kind.name_field, kind.arn_field, kind.status_field),
            *("CreationTime", "LastModifiedTime", end_field),
        )
        summaries = [{name: job[name] for name in fields if name in job} for job in chosen]
        return {f"{kind.name}JobSummaries": summaries[: request.get("MaxResults", PAGE)]}

    def _add_tags(self, scope: Scope, request: Mapping[str, Any]) -> dict[str, Any]:
        job = self._tagged(request)
        tags = {tag["Key"]: tag["Value"] for tag in [*job.request.get("Tags", []), *request.get("Tags", [])]}
        job.update(Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
        return {"Tags": copy.deepcopy(job.request["Tags"])}

    def _list_tags(self, scope: Scope, request: Mapping[str, Any]) -> dict[str, Any]:
        return {"Tags": copy.deepcopy(self._tagged(request).request.get("Tags", []))}

    def _tagged(self, request: Mapping[str, Any]) -> Job:
        job = self._jobs.with_arn(request.get("ResourceArn", ""))
        if job is None:
            raise ApiError("ValidationException", "Requested resource not found.")
        return job
