"""A state machine's task needs its role's leave, where IAM is enforced. MiniStack runs it unchecked.

What a `.sync` task does later (describe, stop, the managed rule that tells its end) is asked for when it
begins: a right that lacks shows in the first run, and not when somebody stops a job for the first time.
"""

from __future__ import annotations

import contextvars
from collections.abc import Iterator, Mapping
from typing import Any

from ministack import app
from ministack.core.responses import get_account_id, get_region
from ministack.services import stepfunctions

from spaceport_local.patches.resource_arns import sagemaker_arn
from spaceport_local.patches.seams import Seam
from spaceport_local.service_roles import DeniedError, Need, Role, Service, require

SEAMS = (
    Seam("services.stepfunctions:_execute_task", "53c818d247db"),
    Seam("services.stepfunctions:_invoke_resource", "a85d2be9a858"),
    Seam("services.stepfunctions:_ExecutionError", "82f3c23a59f9"),
)
STEP_FUNCTIONS = Service("states.amazonaws.com", "step-functions")
INTEGRATION = "arn:aws:states:::"
PASSED_TO = "iam:passedtoservice"
SAGEMAKER = "sagemaker.amazonaws.com"
# The general error of each service's SDK, which Step Functions tells for a refusal.
ERRORS = {
    "lambda": "Lambda.AWSLambdaException",
    "dynamodb": "DynamoDB.AmazonDynamoDBException",
    "sagemaker": "SageMaker.AmazonSageMakerException",
}
TABLE_ACTIONS = {"getItem", "putItem", "updateItem", "deleteItem"}

_role: contextvars.ContextVar[Role | None] = contextvars.ContextVar("machine_role", default=None)


def install() -> None:
    if not app.AUTH:
        return
    execute_task, invoke = stepfunctions._execute_task, stepfunctions._invoke_resource

    def execute_task_as_role(state: Any, given: Any, execution: Any, context: Any) -> Any:
        machine = stepfunctions._state_machines.get((execution or {}).get("stateMachineArn"))
        token = _role.set(Role(machine["roleArn"]) if machine else None)
        try:
            return execute_task(state, given, execution, context)
        finally:
            _role.reset(token)

    def invoke_if_allowed(resource: str, request: Any) -> Any:
        if (role := _role.get()) is not None:
            _check(role, resource, request)
        return invoke(resource, request)

    stepfunctions._execute_task = execute_task_as_role
    stepfunctions._invoke_resource = invoke_if_allowed


def _check(role: Role, resource: str, request: Mapping[str, Any]) -> None:
    region = get_region()
    try:
        for need in needs(resource, request, region, get_account_id()):
            require(role, STEP_FUNCTIONS, need, region)
    except DeniedError as denied:
        service = resource.removeprefix(INTEGRATION).partition(":")[0]
        raise stepfunctions._ExecutionError(ERRORS.get(service, ERRORS["lambda"]), str(denied)) from None


def needs(resource: str, request: Mapping[str, Any], region: str, account: str) -> Iterator[Need]:
    """What a task's role must allow, by AWS's table of service integrations. Raises DeniedError for a task
    of a kind that is not in here: nobody could tell what it needs."""
    service, _, operation = resource.removeprefix(INTEGRATION).partition(":")
    kind = operation.removesuffix(".sync")
    if not resource.startswith(INTEGRATION):
        yield Need("lambda:InvokeFunction", resource)
    elif service == "lambda":
        yield Need(
            "lambda:InvokeFunction", _arn(request["FunctionName"], "lambda", "function:", region, account)
        )
    elif service == "dynamodb" and kind in TABLE_ACTIONS:
        table = _arn(request["TableName"], "dynamodb", "table/", region, account)
        yield Need(f"dynamodb:{kind[0].upper()}{kind[1:]}", table)
    elif service == "sagemaker" and kind in ("createTrainingJob", "createProcessingJob"):
        job_kind = kind.removeprefix("create")
        job = sagemaker_arn(dict(request), region, account)
        yield Need(f"sagemaker:Create{job_kind}", job)
        yield Need("iam:PassRole", request["RoleArn"], {PASSED_TO: SAGEMAKER})
        if operation.endswith(".sync"):
            for action in (f"Describe{job_kind}", f"Stop{job_kind}", "AddTags"):
                yield Need(f"sagemaker:{action}", job)
            rule = f"arn:aws:events:{region}:{account}:rule/StepFunctionsGetEventsForSageMaker{job_kind}sRule"
            for action in ("PutTargets", "PutRule", "DescribeRule"):
                yield Need(f"events:{action}", rule)
    else:
        raise DeniedError(f"The local cloud can't tell what {resource} needs: see {__name__}.")


def _arn(name: str, service: str, prefix: str, region: str, account: str) -> str:
    return name if name.startswith("arn:") else f"arn:aws:{service}:{region}:{account}:{prefix}{name}"
