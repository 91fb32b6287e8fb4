"""Put SageMaker into MiniStack: its API, its events, its state, and Step Functions' `.sync` tasks.

MiniStack finds a service by its module, so this module is registered as `ministack.services.sagemaker`
and has what MiniStack looks for in one: `handle_request`, `get_state`, `load_persisted_state`, `reset`.
"""

from __future__ import annotations

import contextlib
import contextvars
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import ministack.services
from ministack import app
from ministack.core import iam_actions, router
from ministack.core.responses import (
    get_account_id,
    get_region,
    set_request_account_id,
    set_request_region,
)
from ministack.services import cloudwatch_logs, eventbridge, stepfunctions

from spaceport_local.journal import Journal
from spaceport_local.patches.seams import Seam
from spaceport_local.sagemaker.api import ApiError, SageMaker
from spaceport_local.sagemaker.jobs import JobRunner
from spaceport_local.sagemaker.record import (
    COMPLETED,
    FAILED,
    IN_PROGRESS,
    KINDS,
    PROCESSING,
    STOPPING,
    TRAINING,
    Job,
    JobTable,
    Kind,
    Scope,
)

SEAMS = (
    Seam("app:_lazy_handler", "6cfcc348de12"),
    Seam("app:_get_module", "cfa12017561e"),
    Seam("services.stepfunctions:_execute_task", "53c818d247db"),
    Seam("services.stepfunctions:_invoke_resource", "a85d2be9a858"),
    Seam("services.stepfunctions:_invoke_resource_with_timeout", "faeed0bf70d5"),
    Seam("services.stepfunctions:_ExecutionError", "82f3c23a59f9"),
    Seam("services.cloudwatch_logs:_delete_log_stream", "2b7fdda74d72"),
    Seam("services.eventbridge:_put_events", "ebcda0f38061"),
)
TARGET_PREFIX = "SageMaker."
JOB = "sagemaker job"  # in the journal
RESTARTED = "InternalServerError: the local cloud was stopped while the job ran."
WATCH_INTERVAL_S = 0.05

logger = logging.getLogger(__name__)
jobs = JobTable()
_service: SageMaker | None = None
_journal: Journal | None = None


@dataclass(frozen=True)
class TaskAttempt:
    """One attempt of a Step Functions task, as the integration that runs in it sees it."""

    execution: Mapping[str, Any]
    abandoned: threading.Event = field(default_factory=threading.Event)

    @property
    def over(self) -> bool:
        """Nobody waits for this attempt any more: the task timed out, or the execution ended."""
        return self.abandoned.is_set() or self.execution.get("status", "RUNNING") != "RUNNING"


_attempt: contextvars.ContextVar[TaskAttempt | None] = contextvars.ContextVar("task_attempt", default=None)


def install(runner: JobRunner, journal: Journal) -> None:
    """Register the service with MiniStack, and its tasks with MiniStack's Step Functions."""
    # MiniStack calls module functions: the service and the journal must be found from them.
    global _service, _journal
    _service, _journal = SageMaker(runner.run, announce, jobs), journal

    module = sys.modules[__name__]
    sys.modules["ministack.services.sagemaker"] = module
    ministack.services.sagemaker = module
    app.SERVICE_REGISTRY["sagemaker"] = {"module": "sagemaker"}
    app.SERVICE_HANDLERS["sagemaker"] = app._lazy_handler("sagemaker")
    app._state_map["sagemaker"] = "sagemaker"
    app._loaded_modules["sagemaker"] = module
    router.SERVICE_PATTERNS["sagemaker"] = {
        "target_prefixes": [TARGET_PREFIX],
        "host_patterns": [r"api\.sagemaker\."],
    }
    iam_actions.SERVICE_TO_IAM_NAMESPACE["sagemaker"] = "sagemaker"

    for kind in (TRAINING, PROCESSING):
        resource = f"arn:aws:states:::sagemaker:create{kind.name}Job"
        stepfunctions._SERVICE_DISPATCH[resource] = _integration(kind)
    _tell_tasks_their_attempt()
    _forget_jobs_with_their_logs(runner)


def announce(job: Job) -> None:
    """Put the job's new state on the default event bus, once it can't be lost any more."""
    if _journal is not None:
        _journal.append_or_log(JOB, _saved(job))
    # EventBridge documents these times as milliseconds, the API as seconds.
    detail = {
        name: int(value * 1000) if name.endswith("Time") and isinstance(value, float) else value
        for name, value in job.describe().items()
    }

    def put() -> None:
        set_request_account_id(job.scope.account)
        set_request_region(job.scope.region)
        entry = {
            "Source": "aws.sagemaker",
            "DetailType": f"SageMaker {job.kind.name} Job State Change",
            "Detail": json.dumps(detail),
            "Resources": [job.arn],
        }
        eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)

    contextvars.copy_context().run(put)


def _forget_jobs_with_their_logs(runner: JobRunner) -> None:
    """Who deletes a job's log wants nothing of it to be left here, either. SageMaker can delete no job."""
    delete_log_stream = cloudwatch_logs._delete_log_stream

    def delete_and_forget(data: dict[str, Any]) -> Any:
        answer = delete_log_stream(data)
        group, name = data.get("logGroupName"), str(data.get("logStreamName")).partition("/")[0]
        for job in jobs.all():
            if (job.kind.log_group, job.name) == (group, name) and job.status not in (IN_PROGRESS, STOPPING):
                runner.forget(job)
        return answer

    cloudwatch_logs._delete_log_stream = delete_and_forget


# ---- what MiniStack calls ---------------------------------------------------------------------------------


async def handle_request(
    method: str, path: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]
) -> tuple[int, dict[str, str], bytes]:
    """Answer one API call in AWS's JSON protocol."""
    operation = headers.get("x-amz-target", "").removeprefix(TARGET_PREFIX)
    try:
        answer = _running_service().call(operation, _scope(), json.loads(body or b"{}"))
        status = 200
    except ApiError as error:
        status, answer = 400, {"__type": error.code, "message": error.message}
    # A new dict for each answer: MiniStack adds to it.
    return status, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(answer).encode()


def get_state() -> dict[str, Any]:
    return {"jobs": [_saved(job) for job in jobs.all()]}


def load_persisted_state(state: Mapping[str, Any]) -> None:
    """Jobs that ran when the engine stopped have failed: their processes ended with it."""
    kinds = {kind.name: kind for kind in KINDS}
    later = _journal.earlier(JOB) if _journal is not None else []
    latest = {
        saved["description"][f"{saved['kind']}JobArn"]: saved for saved in [*state.get("jobs", []), *later]
    }
    for saved in latest.values():
        kind, description = kinds[saved["kind"]], saved["description"]
        if description[kind.status_field] in (IN_PROGRESS, STOPPING):
            description |= {kind.status_field: FAILED, "FailureReason": RESTARTED}
        jobs.add(Job(kind, Scope(saved["account"], saved["region"]), description))


def _saved(job: Job) -> dict[str, Any]:
    return {
        "kind": job.kind.name,
        "account": job.scope.account,
        "region": job.scope.region,
        "description": job.describe(),
    }


def reset() -> None:
    for job in jobs.all():
        job.request_stop()
    jobs.clear()


# ---- Step Functions ---------------------------------------------------------------------------------------


def _integration(kind: Kind) -> Callable[[str, Mapping[str, Any]], dict[str, Any]]:
    """The task `createXJob` (answers at once) and `createXJob.sync` (answers when the job ends)."""

    def run_task(resource: str, request: Mapping[str, Any]) -> dict[str, Any]:
        service = _running_service()
        try:
            job = service.create(kind, _scope(), request)
        except ApiError as error:
            raise stepfunctions._ExecutionError(*_sdk_error(error)) from error
        if ".sync" not in resource:
            return {kind.arn_field: job.arn}
        attempt = _attempt.get()
        while not job.ended.wait(WATCH_INTERVAL_S):
            if attempt is not None and attempt.over:
                job.request_stop()
        description = job.describe()
        if job.status != COMPLETED:
            raise stepfunctions._ExecutionError("States.TaskFailed", json.dumps(description))
        return description

    return run_task


def _sdk_error(error: ApiError) -> tuple[str, str]:
    """The error name and cause that Step Functions makes of a refused call: names of errors that are in
    SageMaker's API model keep theirs, all others become the SDK's general one."""
    modelled = {"ResourceInUse", "ResourceLimitExceeded", "ResourceNotFound", "ConflictException"}
    name = f"{error.code.removesuffix('Exception')}Exception" if error.code in modelled else ""
    cause = f"{error.message} (Service: AmazonSageMaker; Status Code: 400; Error Code: {error.code})"
    return f"SageMaker.{name or 'AmazonSageMakerException'}", cause


def _tell_tasks_their_attempt() -> None:
    """Let a running integration see that its execution ended or its task timed out.

    MiniStack only abandons the thread of a task that is no longer waited for; a SageMaker job must stop.
    """
    execute_task = stepfunctions._execute_task
    invoke = stepfunctions._invoke_resource
    invoke_with_timeout = stepfunctions._invoke_resource_with_timeout

    def execute_task_of_execution(state: Any, given: Any, execution: Any, context: Any) -> Any:
        with _set_attempt(TaskAttempt(execution or {})):
            return execute_task(state, given, execution, context)

    def invoke_while_running(resource: str, request: Any) -> Any:
        attempt = _attempt.get()
        if attempt is not None and attempt.execution.get("status", "RUNNING") != "RUNNING":
            # A Retry must not start a new job for an execution that was stopped.
            raise stepfunctions._ExecutionError("States.Runtime", "The execution has ended.")
        return invoke(resource, request)

    def invoke_as_attempt(resource: str, request: Any, timeout: float) -> Any:
        outer = _attempt.get()
        attempt = TaskAttempt(outer.execution if outer else {})
        try:
            with _set_attempt(attempt):
                return invoke_with_timeout(resource, request, timeout)
        finally:
            attempt.abandoned.set()

    stepfunctions._execute_task = execute_task_of_execution
    stepfunctions._invoke_resource = invoke_while_running
    stepfunctions._invoke_resource_with_timeout = invoke_as_attempt


@contextlib.contextmanager
def _set_attempt(attempt: TaskAttempt) -> Iterator[None]:
    token = _attempt.set(attempt)
    try:
        yield
    finally:
        _attempt.reset(token)


def _scope() -> Scope:
    return Scope(get_account_id(), get_region())


def _running_service() -> SageMaker:
    if _service is None:
        raise RuntimeError("the SageMaker plug-in is not installed")
    return _service
