"""Finding the cloud that a command speaks to, and what any cloud offers.

A cloud is a deployed stack: its outputs and AWS clients for it. `--stack NAME` is one on AWS. Without it
the cloud is whatever the entry point `local` of the group `spaceport.clouds` names; this package knows
nothing else of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points
from typing import Any, Protocol, cast

from botocore.exceptions import BotoCoreError, ClientError, NoRegionError

from spaceport.errors import UserError
from spaceport.operator_account import password_in
from spaceport_cli.aws_session import own_session
from spaceport_cli.cache import cache_folder
from spaceport_cli.exits import UsageError
from spaceport_cli.in_use import in_use

ENTRY_POINTS = "spaceport.clouds"
LOCAL = "local"

Report = Callable[[str], None]


class Cloud(Protocol):
    """A deployed stack, wherever it is."""

    @property
    def outputs(self) -> Mapping[str, str]:
        """The stack's outputs by name."""

    def client(self, service: str) -> Any:
        """A boto3 client of `service` for this cloud."""

    def websocket_url(self) -> str:
        """The WebSocket API's address, stage included."""

    def api_url(self) -> str:
        """The HTTP API's address, stage included, without a slash at the end."""

    def app_url(self) -> str:
        """The web app's address, with a slash at the end. Raises UserError where the stack has none."""


class Check(Protocol):
    """One thing that a cloud needs of its machine, and how it was found."""

    @property
    def name(self) -> str: ...

    @property
    def passed(self) -> bool | None:
        """False where it must be mended; None where it is only good to know."""

    @property
    def told(self) -> str: ...

    @property
    def mend(self) -> str:
        """What to do about it; may be empty."""


class StartableCloud(Cloud, Protocol):
    """A cloud that lives on this machine and runs only when wanted."""

    def is_running(self) -> bool: ...

    def up(self, report: Report) -> None:
        """Start it and deploy the stack, telling `report` what is done; nothing where it is up already."""

    def down(self) -> bool:
        """Stop it; returns whether it was running."""

    def checks(self) -> Iterator[Check]:
        """What it needs of this machine, each checked when it is asked for."""


def local_cloud(**settings: Any) -> StartableCloud:
    """The cloud of this machine, running or not. `settings` are those of its own kind.

    Raises:
        UserError: `no_local_cloud` where none is installed, or a package it needs is missing.
    """
    found = entry_points(group=ENTRY_POINTS, name=LOCAL)
    hint = "Install it with `pip install 'spaceport[local]'`, or name a stack on AWS with --stack."
    if not found:
        raise UserError("no_local_cloud", "No local cloud is installed here.", hint)
    try:
        make = next(iter(found)).load()
    except ImportError as error:
        raise UserError("no_local_cloud", f"The local cloud can't be loaded: {error}.", hint) from error
    return cast(StartableCloud, make(**settings))


class AwsCloud:
    """A stack on AWS, found by its name with the caller's own credentials and region."""

    def __init__(self, stack: str) -> None:
        self._stack = stack

    @cached_property
    def _session(self) -> Any:
        return own_session()

    def client(self, service: str) -> Any:
        """A boto3 client. Raises UsageError where no region is set."""
        try:
            return self._session.client(service)
        except NoRegionError as error:
            raise UsageError("No AWS region is set.", "Set AWS_DEFAULT_REGION to the stack's.") from error

    @cached_property
    def outputs(self) -> Mapping[str, str]:
        """The stack's outputs. Raises UserError where there are no credentials or no such stack."""
        formation = self.client("cloudformation")
        try:
            stack = formation.describe_stacks(StackName=self._stack)["Stacks"][0]
        except ClientError as error:
            region = formation.meta.region_name
            raise UserError(
                "no_stack",
                f"The stack {self._stack!r} can't be read in {region}: {error.response['Error']['Message']}",
                "Check the name, AWS_DEFAULT_REGION and AWS_PROFILE.",
            ) from error
        except BotoCoreError as error:
            raise UserError(
                "aws_unreachable",
                f"AWS can't be asked: {error}",
                "Sign in, for example with `aws sso login`.",
            ) from error
        return {entry["OutputKey"]: entry["OutputValue"] for entry in stack.get("Outputs", [])}

    def websocket_url(self) -> str:
        return output(self, "WebSocketUrl")

    def api_url(self) -> str:
        return output(self, "ApiUrl")

    def app_url(self) -> str:
        return output(self, "WebAppUrl")


def output(cloud: Cloud, name: str) -> str:
    """The stack's output `name`. Raises UserError where the stack has none."""
    try:
        return cloud.outputs[name]
    except KeyError as error:
        raise UserError(
            "no_output", f"The stack has no output {name}.", "Is it a Spaceport stack of this version?"
        ) from error


def operator_password(cloud: Cloud) -> str:
    """The password of the stack's operator: a secret, not to be shown.

    Raises:
        UserError: `no_access` where the caller may not read it.
        ConnectionError: the cloud could not be asked at all; it may be another time.
    """
    arn = output(cloud, "AccessTokenSecretArn")
    try:
        secret = cloud.client("secretsmanager").get_secret_value(SecretId=arn)
    except ClientError as error:
        raise UserError(
            "no_access",
            f"The operator's password can't be read: {error.response['Error']['Message']}",
            "It takes the right secretsmanager:GetSecretValue on the stack's secret.",
        ) from error
    except BotoCoreError as error:
        raise ConnectionError(str(error)) from error
    return password_in(secret["SecretString"])


@contextmanager
def running_cloud(stack: str | None) -> Iterator[Cloud]:
    """The stack on AWS, or the local cloud if it runs; no other command takes it down meanwhile.

    Raises:
        UserError: `not_running` where the local cloud is down: its jobs and links sleep with it.
    """
    if stack is not None:
        yield AwsCloud(stack)
        return
    with in_use(cache_folder()):
        cloud = local_cloud()
        if not cloud.is_running():
            raise UserError(
                "not_running",
                "The local cloud is not running.",
                "Start it with `spaceport up`, or name a stack on AWS with --stack.",
            )
        yield cloud


@dataclass
class Loan:
    """A cloud in use; `started` tells that it was started for this use and goes down after it."""

    cloud: Cloud
    started: bool = False

    def keep(self) -> bool:
        """Leave the cloud up when this use ends; returns whether it would have gone down."""
        started, self.started = self.started, False
        return started


@contextmanager
def borrowed(stack: str | None, report: Report) -> Iterator[Loan]:
    """The stack on AWS, or the local cloud: started where it is down, and then left down again.

    It stays up where another command has begun to use it meanwhile.
    """
    if stack is not None:
        yield Loan(AwsCloud(stack))
        return
    with in_use(cache_folder()) as use:
        cloud = local_cloud()
        loan = Loan(cloud, started=not cloud.is_running())
        try:
            if loan.started:
                report("The local cloud is down: starting it for this job.")
                cloud.up(report)
            yield loan
        finally:
            if loan.started and not use.is_only_one() and loan.keep():
                report("The local cloud stays up: another command is using it.")
            if loan.started:
                cloud.down()
