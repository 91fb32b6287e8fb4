"""ASL's JSONPath and intrinsic functions, where MiniStack is laxer than AWS.

- `States.Format` prints JSON literals (`true`, `null`, objects), not Python's.
- A path in Parameters or a ResultSelector that finds nothing ends the execution with `States.Runtime`,
  which no `States.ALL` catches. MiniStack gives null: a typo would pass here and fail on AWS.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any

from ministack.services import stepfunctions

from spaceport_local.patches.seams import Seam

SEAMS = (
    Seam("services.stepfunctions:_exec_intrinsic", "4ecd0aea2f6e"),
    Seam("services.stepfunctions:_eval_intrinsic_arg", "7748e3b16ffd"),
    Seam("services.stepfunctions:_evaluate_intrinsic", "1f7e552c4fa2"),
    Seam("services.stepfunctions:_resolve_params_obj", "d41c2e27dd1b"),
    Seam("services.stepfunctions:_resolve_path", "4ca0c5fe9f70"),
    Seam("services.stepfunctions:_parse_jsonpath_tokens", "0b9043314fbc"),
    Seam("services.stepfunctions:_error_matches", "519b9dc729c5"),
)
NOT_CAUGHT_BY_ALL = ("States.Runtime", "States.DataLimitExceeded")


def install() -> None:
    evaluate, evaluate_argument = stepfunctions._exec_intrinsic, stepfunctions._eval_intrinsic_arg
    error_matches = stepfunctions._error_matches
    formatting = threading.local()

    def evaluate_formatting(node: Any, data: Any, context: Any) -> Any:
        outer = getattr(formatting, "on", False)
        formatting.on = node[1] == "States.Format"
        try:
            return evaluate(node, data, context)
        finally:
            formatting.on = outer

    def evaluate_strictly(argument: Any, data: Any, context: Any) -> Any:
        if argument[0] == "path":
            value = _lookup(argument[1], data, context, argument[1])
        else:
            value = evaluate_argument(argument, data, context)
        literal = value is None or isinstance(value, bool | dict | list)
        if getattr(formatting, "on", False) and literal:
            return json.dumps(value, separators=(",", ":"))
        return value

    def resolve(template: Any, data: Any, context: Any = None) -> Any:
        if isinstance(template, list):
            return [resolve(item, data, context) for item in template]
        if not isinstance(template, dict):
            return template
        resolved = {}
        for key, value in template.items():
            if not key.endswith(".$"):
                resolved[key] = resolve(value, data, context)
            elif isinstance(value, str) and value.startswith("States."):
                resolved[key[:-2]] = stepfunctions._evaluate_intrinsic(value, data, context)
            else:
                resolved[key[:-2]] = _lookup(value, data, context, key)
        return resolved

    def matches(names: Sequence[str], error: str) -> bool:
        if error in NOT_CAUGHT_BY_ALL:
            return error in names
        return bool(error_matches(names, error))

    stepfunctions._exec_intrinsic = evaluate_formatting
    stepfunctions._eval_intrinsic_arg = evaluate_strictly
    stepfunctions._resolve_params_obj = resolve
    stepfunctions._error_matches = matches


def _lookup(path: str, data: Any, context: Any, field: str) -> Any:
    """What `path` finds; an execution error when it finds nothing."""
    if path.startswith("$$."):
        source, inside = context or {}, path[1:]
    else:
        source, inside = data, path
    value = stepfunctions._resolve_path(inside, source)
    if value is None and not _finds(inside, source):
        raise stepfunctions._ExecutionError(
            "States.Runtime",
            f"The JSONPath '{path}' specified for the field '{field}' could not be found in the input "
            f"'{json.dumps(source)[:500]}'",
        )
    return value


def _finds(path: str, data: Any) -> bool:
    """Whether `path` leads to a value, null included."""
    current = data
    for kind, name in stepfunctions._parse_jsonpath_tokens(path) or [("invalid", "")]:
        found = (kind == "field" and isinstance(current, dict) and name in current) or (
            kind == "index" and isinstance(current, list) and name < len(current)
        )
        if not found:
            return False
        current = current[name]
    return True
