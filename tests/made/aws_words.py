"""Commands of the AWS CLI in a text, read by botocore's own models: does AWS know what they ask for?

The CLI is made from the same models: `aws stepfunctions describe-execution --execution-arn X` is the
operation DescribeExecution of `stepfunctions` with the parameter executionArn. Its own commands (`aws s3 cp`)
are left out.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import botocore.session
import jmespath
from botocore import xform_name

# Of every command, and of those that list: they are the CLI's.
GLOBAL = {
    "output",
    "query",
    "region",
    "endpoint-url",
    "cli-binary-format",
    "no-paginate",
    "max-items",
    "page-size",
}
OF_THE_CLI = {"s3", "configure", "sso"}
OTHER_NAMES = {"s3api": "s3"}  # of services, by the CLI's
# What a shell puts in: one word, whatever it comes to.
_PUT_IN = re.compile(r"\$\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)|\$\{?\w+\}?|\$\d")


@dataclass(frozen=True)
class AwsCall:
    """A command: its service, operation (as in the CLI) and options without the CLI's own, by name."""

    service: str
    operation: str
    options: dict[str, str | None]
    query: str | None

    def do(self, client: Any) -> Any:
        """Its answer, by a boto3 client of its service, with what `query` makes of it."""
        input_shape = _operation(self).input_shape
        by_option = {xform_name(name, "-"): (name, shape) for name, shape in input_shape.members.items()}
        told = {}
        for option, value in self.options.items():
            name, shape = by_option[option.removeprefix("no-") if option not in by_option else option]
            is_flag = shape.type_name == "boolean"
            told[name] = (not option.startswith("no-")) if is_flag else value
        answer = getattr(client, xform_name(self.operation.replace("-", "_")))(**told)
        return jmespath.search(self.query, answer) if self.query else answer


def calls_in(text: str) -> Iterator[AwsCall]:
    """The commands in a Markdown text. Raises AssertionError for what AWS does not know."""
    flat = text.replace("\\\n", " ")
    for found in re.finditer(r"\baws (?=[a-z0-9-]+ [a-z])", flat):
        words = list(_words(_PUT_IN.sub("X", flat[found.start() : found.start() + 2000])))
        if words[1] not in OF_THE_CLI:
            yield _read(words[1:])


def _words(text: str) -> Iterator[str]:
    """Up to where the command ends: its line's, its span's, its pipe's, its bracket's."""
    lexer = shlex.shlex(re.split(r"`(?![^'\"]*['\"] )|\n|\|\||&&", text)[0], posix=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        for word in lexer:
            if word in {"|", "||", "&&", "}", ";", "done"}:
                return
            yield word.rstrip(";)")
            if word.endswith((";", ")")):
                return
    except ValueError:  # a quotation that is not closed: the text goes on behind the command
        return


def _read(words: list[str]) -> AwsCall:
    named, operation, *rest = words
    service = OTHER_NAMES.get(named, named)
    if operation == "wait":
        waiters = _session().get_waiter_model(service)
        names = {xform_name(name, "-"): name for name in waiters.waiter_names}
        assert rest[0] in names, f"aws {service} wait {rest[0]}: no such waiter"
        operation, rest = xform_name(waiters.get_waiter(names[rest[0]]).operation, "-"), rest[1:]
    options: dict[str, str | None] = {}
    for word in rest:
        if word.startswith("--"):
            options[word.removeprefix("--")] = None
        elif options and (last := list(options)[-1]) and options[last] is None:
            options[last] = word
    query = options.pop("query", None)
    if query is not None:
        jmespath.compile(query)
    call = AwsCall(service, operation, {k: v for k, v in options.items() if k not in GLOBAL}, query)
    members = {xform_name(name, "-") for name in getattr(_operation(call).input_shape, "members", {})}
    known = members | {f"no-{name}" for name in members}
    assert set(call.options) <= known, f"aws {service} {operation}: no {sorted(set(call.options) - known)}"
    return call


def _operation(call: AwsCall) -> Any:
    model = _model(call.service)
    names = {xform_name(name, "-"): name for name in model.operation_names}
    assert call.operation in names, f"aws {call.service} {call.operation}: no such command"
    return model.operation_model(names[call.operation])


@cache
def _model(service: str) -> Any:
    assert service in _session().get_available_services(), f"aws {service}: no such service"
    return _session().get_service_model(service)


@cache
def _session() -> Any:
    return botocore.session.Session()
