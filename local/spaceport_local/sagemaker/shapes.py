"""Check a request against SageMaker's own API model, as the service does before it accepts a job.

botocore's validator checks types and required members only; patterns, enumerations and limits are what
SageMaker itself refuses, and what a template gets wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import botocore.session
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape
from botocore.validate import ParamValidator


@cache
def sagemaker_model() -> ServiceModel:
    model: ServiceModel = botocore.session.Session().get_service_model("sagemaker")
    return model


def violations(operation: str, request: Mapping[str, Any]) -> list[str]:
    """Everything that SageMaker would refuse in `request`, in words; empty when it is well-formed."""
    shape = sagemaker_model().operation_model(operation).input_shape
    if shape is None:
        raise ValueError(f"{operation} takes no input")
    report = ParamValidator().validate(dict(request), shape)
    if report.has_errors():
        return [report.generate_report()]
    return [*_limits(shape, request, ""), *_combinations(operation, request)]


def _limits(shape: Shape | None, value: Any, path: str) -> Iterator[str]:
    if isinstance(shape, StructureShape):
        for name, part in value.items():
            yield from _limits(shape.members[name], part, f"{path}.{name}".lstrip("."))
        return
    if isinstance(shape, ListShape):
        yield from _count(shape, len(value), path, "length")
        for index, part in enumerate(value):
            yield from _limits(shape.member, part, f"{path}[{index}]")
        return
    if isinstance(shape, MapShape):
        yield from _count(shape, len(value), path, "length")
        for name, part in value.items():
            yield from _limits(shape.key, name, f"{path}.{name}")
            yield from _limits(shape.value, part, f"{path}.{name}")
        return
    if shape is not None:
        yield from _scalar(shape, value, path)


def _scalar(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if isinstance(value, str):
        yield from _count(shape, len(value), path, "length")
        pattern = shape.metadata.get("pattern")
        # Patterns are Java's; those that Python can't compile are left to AWS.
        if pattern and (compiled := _compiled(pattern)) and not compiled.fullmatch(value):
            yield (
                f"Value '{value}' at '{path}' failed to satisfy constraint: "
                f"Member must satisfy regular expression pattern: {pattern}"
            )
        allowed = shape.metadata.get("enum")
        if allowed and value not in allowed:
            yield (
                f"Value '{value}' at '{path}' failed to satisfy constraint: "
                f"Member must satisfy enum value set: {sorted(allowed)}"
            )
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _count(shape, value, path, "value")


def _count(shape: Shape, size: float, path: str, what: str) -> Iterator[str]:
    at_least, at_most = shape.metadata.get("min"), shape.metadata.get("max")
    if at_least is not None and size < at_least:
        yield (
            f"Value at '{path}' failed to satisfy constraint: "
            f"Member must have {what} greater than or equal to {at_least}"
        )
    if at_most is not None and size > at_most:
        yield (
            f"Value at '{path}' failed to satisfy constraint: "
            f"Member must have {what} less than or equal to {at_most}"
        )


@cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern)
    except re.error:
        return None


def _combinations(operation: str, request: Mapping[str, Any]) -> Iterator[str]:
    if operation != "CreateTrainingJob":
        return
    stopping = request.get("StoppingCondition", {})
    spot, wait = request.get("EnableManagedSpotTraining", False), stopping.get("MaxWaitTimeInSeconds")
    if wait is not None and not spot:
        yield "MaxWaitTimeInSeconds is only allowed with EnableManagedSpotTraining."
    if spot and (wait is None or wait < stopping.get("MaxRuntimeInSeconds", 0)):
        yield "Managed spot training needs a MaxWaitTimeInSeconds of at least MaxRuntimeInSeconds."
