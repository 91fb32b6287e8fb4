"""The fast path: the template straight through the engine's CloudFormation, when anything changed.

No `sam build`: each function's folder is zipped as it is, and what it imports comes from the environment of
the interpreter that runs it (`interpreters.py`). A change is an update of the stack, so that buckets and
tables keep what is in them.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from spaceport.errors import UserError
from spaceport_local.endpoint import Endpoint
from spaceport_local.interpreters import Interpreter, choose_interpreter
from spaceport_local.sagemaker.programs import MODULES, short_name, viewer_folder
from spaceport_local.template import Document, Template, fingerprint, read_template

STACK = "spaceport"
ARTIFACTS = "spaceport-local-artifacts"
FINGERPRINT_TAG = "spaceport:fingerprint"
CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
VIEWER_PARAMETER, DATA_OUTPUT = "ViewerBaseUrl", "DataBucket"
WEB_ORIGIN_PARAMETER, WEB_ORIGIN_VARIABLE = "WebOrigin", "SPACEPORT_WEB_ORIGIN"
BEGINNINGS = ((STACK, "CREATE_IN_PROGRESS"), (STACK, "UPDATE_IN_PROGRESS"))
WAIT_S = 300.0
POLL_S = 0.1

Report = Callable[[str], None]


@dataclass(frozen=True)
class Deployment:
    """Deploys the template of one project into one engine."""

    endpoint: Endpoint
    template_file: Path
    parameters: Mapping[str, str] = field(default_factory=dict)  # that are not to have their defaults

    def run(self, report: Report) -> None:
        """Make the stack what the template says; nothing happens when it is already.

        Raises:
            UserError: `bad_template`, `bad_parameter`, `missing_code`, `no_interpreter`, `no_viewer`,
                `deploy_failed`.
        """
        template = read_template(self.template_file)
        check_programs(template)
        for runtime in sorted(template.runtimes):
            report(interpreter_line(runtime, choose_interpreter(runtime)))
        self._ensure_artifacts_bucket()
        document = template.packaged(self._store)
        self._deploy(document, template, report)
        # The data bucket's address is known only once there is one: the first time takes a second round.
        self._deploy(document, template, report)

    def outputs(self) -> dict[str, str]:
        """The stack's outputs; empty when there is no stack."""
        stack = self._stack()
        return {item["OutputKey"]: item["OutputValue"] for item in (stack or {}).get("Outputs", [])}

    def is_current(self) -> bool:
        """Whether the stack is what the template and the code are now. Raises UserError as `run` does."""
        template = read_template(self.template_file)
        stack = self._stack()
        state = fingerprint(template.packaged(_place), self._parameters(template, stack))
        return stack is not None and _is_of(stack, state)

    def _deploy(self, document: Document, template: Template, report: Report) -> None:
        stack = self._stack()
        parameters = self._parameters(template, stack)
        state = fingerprint(document, parameters)
        if stack is not None and _is_of(stack, state):
            return
        if stack is not None and _never_was(stack):
            self._delete()
            stack = None
        body = json.dumps(with_defaults(document, parameters)).encode()
        request: dict[str, Any] = {
            "StackName": STACK,
            "TemplateURL": self._url(self._store("template.json", body)),
            "Parameters": [
                {"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()
            ],
            "Capabilities": CAPABILITIES,
            # A bucket that a failed attempt made is empty; kept, it would be in the next attempt's way.
            "RetainExceptOnCreate": True,
            "Tags": [{"Key": FINGERPRINT_TAG, "Value": state}],
        }
        began = time.monotonic()
        cloudformation = self.endpoint.client("cloudformation")
        try:
            if stack is None:
                cloudformation.create_stack(**request)
            else:
                cloudformation.update_stack(**request)
        except ClientError as error:
            reason = error.response["Error"]["Message"]
            if reason.startswith("No updates are to be performed"):
                return
            raise _failure(reason) from error
        self._wait()
        verb = "deployed" if stack is None else "updated"
        report(f"{verb} the stack {STACK} in {time.monotonic() - began:.1f} s")

    def _parameters(self, template: Template, stack: Mapping[str, Any] | None) -> dict[str, str]:
        """What the template's defaults can't know, and what is given. Everything else keeps its default.

        A page that the engine itself serves has the API's own origin and needs no leave; one of another port,
        as a developer's server has, gets it by WEB_ORIGIN_VARIABLE.
        """
        if unknown := sorted(set(self.parameters) - set(template.parameters)):
            raise UserError(
                "bad_parameter",
                f"The template has no parameter {unknown[0]!r}.",
                f"Its parameters are: {', '.join(template.parameters)}.",
            )
        outputs = {item["OutputKey"]: item["OutputValue"] for item in (stack or {}).get("Outputs", [])}
        bucket = outputs.get(DATA_OUTPUT)
        known = {VIEWER_PARAMETER: f"{self.endpoint.url}/{bucket}" if bucket else ""}
        if origin := os.environ.get(WEB_ORIGIN_VARIABLE):
            known[WEB_ORIGIN_PARAMETER] = origin
        return {
            **{name: value for name, value in known.items() if name in template.parameters},
            **self.parameters,
        }

    def _stack(self) -> dict[str, Any] | None:
        try:
            answer = self.endpoint.client("cloudformation").describe_stacks(StackName=STACK)
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        stack: dict[str, Any] = answer["Stacks"][0]
        return None if stack["StackStatus"] == "DELETE_COMPLETE" else stack

    def _wait(self) -> None:
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            stack = self._stack()
            if stack is None:
                raise _failure("it was deleted while it was made")
            if not stack["StackStatus"].endswith("_IN_PROGRESS"):
                if not _is_complete(stack):
                    raise _failure(self._why() or stack["StackStatus"])
                return
            time.sleep(POLL_S)
        waiting = ", ".join(self._unfinished())
        raise _failure(f"{waiting} did not get ready in {WAIT_S:.0f} s")

    def _delete(self) -> None:
        self.endpoint.client("cloudformation").delete_stack(StackName=STACK)
        deadline = time.monotonic() + WAIT_S
        while self._stack() is not None and time.monotonic() < deadline:
            time.sleep(POLL_S)

    def _last_attempt(self) -> list[dict[str, Any]]:
        """What happened to the stack's resources since the last create or update began, oldest first."""
        try:
            answer = self.endpoint.client("cloudformation").describe_stack_events(StackName=STACK)
        except ClientError:
            return []
        attempt = itertools.takewhile(
            lambda event: (event["LogicalResourceId"], event["ResourceStatus"]) not in BEGINNINGS,
            answer["StackEvents"],
        )
        return [event for event in reversed(list(attempt)) if event["LogicalResourceId"] != STACK]

    def _why(self) -> str:
        """Why the last attempt failed: its first failure, for what comes after that is clean-up."""
        for event in self._last_attempt():
            if event["ResourceStatus"].endswith("_FAILED"):
                return f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}"
        return self._why_refused()

    def _why_refused(self) -> str:
        """What was found wrong before any resource was touched, such as a name that is taken."""
        events = self.endpoint.client("cloudformation").describe_events(StackName=STACK)["OperationEvents"]
        refused = (event for event in events if "ValidationStatusReason" in event)
        return next(
            (f"{event['LogicalResourceId']}: {event['ValidationStatusReason']}" for event in refused), ""
        )

    def _unfinished(self) -> list[str]:
        latest = {event["LogicalResourceId"]: event["ResourceStatus"] for event in self._last_attempt()}
        return [name for name, status in latest.items() if status.endswith("_IN_PROGRESS")]

    def _ensure_artifacts_bucket(self) -> None:
        s3 = self.endpoint.client("s3")
        try:
            s3.head_bucket(Bucket=ARTIFACTS)
        except ClientError:
            s3.create_bucket(Bucket=ARTIFACTS)

    def _store(self, name: str, content: bytes) -> Document:
        place = _place(name, content)
        self.endpoint.client("s3").put_object(**place, Body=content)
        return place

    def _url(self, stored: Document) -> str:
        return self.endpoint.object_url(stored["Bucket"], stored["Key"])


def check_programs(template: Template) -> None:
    """Refuse before a job has run for minutes what its last stage would fail for. Raises `no_viewer`."""
    if "compressor" in {short_name(image) for image in template.image_defaults()} & set(MODULES):
        viewer_folder(template.folder)


def interpreter_line(runtime: str, interpreter: Interpreter) -> str:
    """What `up` says of the interpreter that runs the functions."""
    line = f"functions run with Python {interpreter.version} ({interpreter.path})"
    return line if interpreter.exact else f"{line}; on AWS with {runtime}"


def with_defaults(document: Document, values: Mapping[str, str]) -> Document:
    """The template with these parameters' defaults: MiniStack expands SAM's resources by the defaults alone.

    Another document: of the one that is fingerprinted, nothing may depend on what was deployed before.
    """
    if not values:
        return document
    defaults = {name: {**document["Parameters"][name], "Default": value} for name, value in values.items()}
    return {**document, "Parameters": {**document["Parameters"], **defaults}}


def _place(name: str, content: bytes) -> Document:
    """Where `content` is kept: a key that changes with it, so that a change of code is one of the stack."""
    return {"Bucket": ARTIFACTS, "Key": f"{hashlib.sha256(content).hexdigest()[:16]}/{name}"}


def _is_of(stack: Mapping[str, Any], state: str) -> bool:
    """Whether the stack was deployed from what has the fingerprint `state`."""
    return _tags(stack).get(FINGERPRINT_TAG) == state and _holds_its_tags(stack)


def _tags(stack: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in stack.get("Tags", [])}


def _is_complete(stack: Mapping[str, Any]) -> bool:
    return stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE")


def _holds_its_tags(stack: Mapping[str, Any]) -> bool:
    """Whether the stack is what its tags say; an update that was rolled back has got its old tags back."""
    return _is_complete(stack) or stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"


def _never_was(stack: Mapping[str, Any]) -> bool:
    """A stack whose creation failed can only be deleted, and holds no data yet."""
    return stack["StackStatus"] in ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED")


def _failure(reason: str) -> UserError:
    return UserError(
        "deploy_failed",
        f"The stack {STACK} could not be deployed: {reason}",
        "Nothing that ran was changed; mend it and run `spaceport up` again.",
    )
