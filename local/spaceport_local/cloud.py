"""The one-machine cloud as the `spaceport` command sees it: found by the entry point `spaceport.clouds`."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from spaceport.errors import UserError
from spaceport.operator_account import make_ready, password_in
from spaceport_local import site
from spaceport_local.checkup import Check, Checkup
from spaceport_local.deploy import Deployment, Report
from spaceport_local.endpoint import Endpoint
from spaceport_local.folders import TEMPLATE, DataFolder, default_data_folder, find_project
from spaceport_local.launcher import Launcher

PORT_VARIABLE, PARAMETERS_VARIABLE = "SPACEPORT_PORT", "SPACEPORT_PARAMETERS"
USER_POOL_OUTPUT, PASSWORD_OUTPUT = "UserPoolId", "AccessTokenSecretArn"
WEBSOCKET_OUTPUT, API_OUTPUT, STAGE = "WebSocketApiId", "ApiId", "prod"


class LocalCloud:
    """A cloud on this machine, its data in one folder.

    Args:
        data_dir: the folder; default `$SPACEPORT_HOME` or `.spaceport/` in the checkout.
        project: the checkout whose template is deployed; default: found from the working folder upwards.
        port: where the engine listens; default `$SPACEPORT_PORT`, else where it did the last time, else
            4566 or the next free port.
        options: further command-line arguments of the engine.
        enforce_iam: whether roles may do only what their policies allow, for an engine that this starts;
            default: `$SPACEPORT_ENFORCE_IAM` is 1.
        parameters: of the template, where they are not to have their defaults; default:
            `$SPACEPORT_PARAMETERS`, as `Name=value Name=value`.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        project: Path | None = None,
        port: int | None = None,
        options: Sequence[str] = (),
        enforce_iam: bool | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        self._project = project or find_project()
        folder = DataFolder((data_dir or default_data_folder(self._project)).resolve())
        self._folder = folder
        if enforce_iam is not None:
            options = (*options, "--enforce-iam" if enforce_iam else "--no-enforce-iam")
        self._enforce_iam = enforce_iam
        self._parameters = _parameters_setting() if parameters is None else parameters
        self._launcher = Launcher(folder, self._project, port or _port_setting(), options)

    def is_running(self) -> bool:
        """Whether the engine runs; where a command is bringing it up, once the stack is there too."""
        if not self._folder.deployment_lock.exists():
            return self._launcher.running() is not None
        with self._nobody_deploying():
            return self._launcher.running() is not None

    def up(self, report: Report = lambda line: None) -> None:
        """Start the engine if none runs, and deploy the template if it or the code changed.

        After it the operator can sign in, with the password in the stack's secret.

        Raises:
            UserError: what the user can mend, from the engine (`port_in_use`) or the deployment;
                `enforces_otherwise`, where one runs that enforces IAM and shall not, or the other way round.
        """
        with self._nobody_deploying():
            running, before = self._launcher.running(), self._folder.read_last_port()
            endpoint = running or self._launcher.start()
            enforced = self._launcher.enforces_iam()
            if self._enforce_iam not in (None, enforced):
                raise UserError(
                    "enforces_otherwise",
                    f"The local cloud runs, and {'enforces IAM' if enforced else 'does not enforce IAM'}.",
                    "Stop it with `spaceport down` and start it again.",
                )
            how = ", IAM enforced" if enforced else ""
            report(f"local cloud {'runs' if running else 'started'} at {endpoint.url}{how}")
            if before not in (None, endpoint.port):
                report(
                    f"It was at port {before} before: links of models made there lead nowhere now. To mend "
                    f"that free it, then `spaceport down` and `{PORT_VARIABLE}={before} spaceport up`."
                )
            deployment = Deployment(endpoint, self._project / TEMPLATE, self._parameters)
            deployment.run(report)
            _make_operator_ready(endpoint, deployment.outputs())

    def down(self) -> bool:
        """Stop the engine and every job of it; whether one ran. Its data stay."""
        return self._launcher.stop()

    def checks(self) -> Iterator[Check]:
        """What this cloud needs of the machine, each checked when it is asked for."""
        return Checkup(self._project, self._folder, self._launcher, self._parameters).run()

    def client(self, service: str) -> Any:
        """A boto3 client of the running engine. Raises UserError `not_running`."""
        return self._endpoint().client(service)

    @property
    def outputs(self) -> Mapping[str, str]:
        """The stack's outputs. Raises UserError `not_running`, `not_deployed`, `engine_broken`."""
        try:
            outputs = Deployment(self._endpoint(), self._project / TEMPLATE).outputs()
        except (BotoCoreError, ClientError) as error:  # it was killed this instant, or is out of order
            raise UserError(
                "engine_broken",
                f"The local cloud can't be asked: {error}",
                f"Stop it with `spaceport down` and start it again; its log is {self._folder.log}.",
            ) from error
        if not outputs:
            raise UserError("not_deployed", "The local cloud has no stack yet.", "Run `spaceport up`.")
        return outputs

    def websocket_url(self) -> str:
        return self._endpoint().websocket(self.outputs[WEBSOCKET_OUTPUT], STAGE)

    def api_url(self) -> str:
        return self._endpoint().api_url(self.outputs[API_OUTPUT], STAGE)

    def app_url(self) -> str:
        return f"{self._endpoint().url}{site.PATH}"

    def web_url(self, s3_bucket: str, key: str) -> str:
        """The address of an object in a browser."""
        return self._endpoint().object_url(s3_bucket, key)

    @contextmanager
    def _nobody_deploying(self) -> Iterator[None]:
        """A time in which no other command brings this cloud up; waits for one that does."""
        self._folder.root.mkdir(parents=True, exist_ok=True)
        with self._folder.deployment_lock.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _endpoint(self) -> Endpoint:
        endpoint = self._launcher.running()
        if endpoint is None:
            raise UserError("not_running", "The local cloud does not run.", "Start it with `spaceport up`.")
        return endpoint


def _make_operator_ready(endpoint: Endpoint, outputs: Mapping[str, str]) -> None:
    """Let the operator sign in, where the stack has users: a template of somebody's own may have none."""
    if USER_POOL_OUTPUT not in outputs:
        return
    secret = endpoint.client("secretsmanager").get_secret_value(SecretId=outputs[PASSWORD_OUTPUT])
    make_ready(endpoint.client("cognito-idp"), outputs[USER_POOL_OUTPUT], password_in(secret["SecretString"]))


def _parameters_setting() -> dict[str, str]:
    words = os.environ.get(PARAMETERS_VARIABLE, "").split()
    for word in words:
        if "=" not in word:
            raise UserError(
                "bad_parameter", f"{PARAMETERS_VARIABLE} says {word!r}.", "It must be Name=value Name=value."
            )
    return dict(word.split("=", 1) for word in words)


def _port_setting() -> int | None:
    setting = os.environ.get(PORT_VARIABLE)
    if setting is None:
        return None
    if not setting.isdigit() or not 0 < int(setting) < 65536:
        raise UserError("bad_port", f"{PORT_VARIABLE} is {setting!r}.", "It must be a number, 1 to 65535.")
    return int(setting)
