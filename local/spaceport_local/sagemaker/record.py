"""A SageMaker job as the API describes it, and the two kinds of job."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

REASON_LIMIT = 1024  # characters of a FailureReason or ExitMessage, by SageMaker's API


class ClientFaultError(Exception):
    """What SageMaker reports as `ClientError: …`: the request names something that is not there."""


@dataclass(frozen=True)
class Kind:
    """What differs between training and processing jobs in the API."""

    name: str
    arn_part: str
    default_max_runtime_s: int

    @property
    def name_field(self) -> str:
        return f"{self.name}JobName"

    @property
    def arn_field(self) -> str:
        return f"{self.name}JobArn"

    @property
    def status_field(self) -> str:
        return f"{self.name}JobStatus"

    @property
    def log_group(self) -> str:
        return f"/aws/sagemaker/{self.name}Jobs"


# MaxRuntimeInSeconds where the request has none: a day, by the API's documentation.
TRAINING = Kind("Training", "training-job", 86_400)
PROCESSING = Kind("Processing", "processing-job", 86_400)
KINDS = (TRAINING, PROCESSING)

IN_PROGRESS, STOPPING = "InProgress", "Stopping"
COMPLETED, FAILED, STOPPED = "Completed", "Failed", "Stopped"
MAX_RUNTIME_EXCEEDED = "MaxRuntimeExceeded"


@dataclass(frozen=True)
class Scope:
    """The account and region that a job belongs to."""

    account: str
    region: str


class Job:
    """One job: what its Describe call returns, and what its thread and its stopper share."""

    def __init__(
        self,
        kind: Kind,
        scope: Scope,
        description: dict[str, Any],
        announce: Callable[[Job], None] = lambda _: None,
    ) -> None:
        self.kind = kind
        self.scope = scope
        self.stop_requested = threading.Event()
        self.ended = threading.Event()
        self._announce = announce
        self._lock = threading.RLock()
        self._description = description
        if self.status not in (IN_PROGRESS, STOPPING):
            self.ended.set()

    @classmethod
    def accepted(
        cls, kind: Kind, scope: Scope, request: Mapping[str, Any], announce: Callable[[Job], None]
    ) -> Job:
        """A new job of a valid request."""
        name, now = request[kind.name_field], time.time()
        arn = f"arn:aws:sagemaker:{scope.region}:{scope.account}:{kind.arn_part}/{name.lower()}"
        description = {
            **copy.deepcopy(dict(request)),
            kind.arn_field: arn,
            kind.status_field: IN_PROGRESS,
            "CreationTime": now,
            "LastModifiedTime": now,
        }
        job = cls(kind, scope, description, announce)
        job.enter("Starting")
        return job

    @property
    def name(self) -> str:
        return str(self._description[self.kind.name_field])

    @property
    def arn(self) -> str:
        return str(self._description[self.kind.arn_field])

    @property
    def status(self) -> str:
        return str(self._description[self.kind.status_field])

    @property
    def request(self) -> Mapping[str, Any]:
        """The request's members; read-only by agreement."""
        return self._description

    @property
    def max_runtime_s(self) -> float:
        stopping = self._description.get("StoppingCondition", {})
        return float(stopping.get("MaxRuntimeInSeconds", self.kind.default_max_runtime_s))

    def describe(self) -> dict[str, Any]:
        """The Describe call's answer; times are seconds since the epoch."""
        with self._lock:
            return copy.deepcopy(self._description)

    def update(self, **fields: Any) -> None:
        with self._lock:
            self._description.update(fields, LastModifiedTime=time.time())

    def enter(self, secondary: str) -> None:
        """A training job's secondary status; a processing job has none."""
        if self.kind is not TRAINING:
            return
        with self._lock:
            transitions = self._description.setdefault("SecondaryStatusTransitions", [])
            now = time.time()
            if transitions:
                transitions[-1]["EndTime"] = now
            transitions.append({"Status": secondary, "StartTime": now})
            self.update(SecondaryStatus=secondary)

    def started(self) -> None:
        self.update(**{f"{self.kind.name}StartTime": time.time()})

    def request_stop(self) -> bool:
        """Mark it as stopping; False when it is not running any more."""
        with self._lock:
            if self.status != IN_PROGRESS:
                return False
            self.update(**{self.kind.status_field: STOPPING})
            self.enter("Stopping")
            self.stop_requested.set()
        self._announce(self)
        return True

    def end(self, status: str, reason: str = "", secondary: str = "", **fields: Any) -> None:
        """The job's last word: its final status and, when it failed, why."""
        if reason:
            fields["FailureReason"] = reason[:REASON_LIMIT]
        with self._lock:
            self.enter(secondary or status)
            now = time.time()
            self.update(**fields, **self._billed(now))
            self.update(**{f"{self.kind.name}EndTime": now, self.kind.status_field: status})
        self._announce(self)
        self.ended.set()

    def _billed(self, now: float) -> dict[str, int]:
        """What a training job that ends now tells of its seconds: whole ones, from its start."""
        started = self._description.get("TrainingStartTime")
        if self.kind is not TRAINING or started is None:
            return {}
        seconds = max(1, round(now - started))
        return {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds}


@dataclass
class JobTable:
    """All jobs of the engine. Names are unique for a kind in an account and region, for ever."""

    _jobs: dict[tuple[Scope, str, str], Job] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, job: Job) -> bool:
        """False when the name is used."""
        with self._lock:
            return self._jobs.setdefault((job.scope, job.kind.name, job.name), job) is job

    def get(self, kind: Kind, scope: Scope, name: str) -> Job | None:
        return self._jobs.get((scope, kind.name, name))

    def all(self) -> list[Job]:
        with self._lock:
            return list(self._jobs.values())

    def of(self, kind: Kind, scope: Scope) -> list[Job]:
        return [job for job in self.all() if job.kind is kind and job.scope == scope]

    def with_arn(self, arn: str) -> Job | None:
        return next((job for job in self.all() if job.arn == arn), None)

    def clear(self) -> None:
        with self._lock:
            self._jobs.clear()
