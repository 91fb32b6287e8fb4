"""`make deploy`: the stack of an environment in samconfig.toml, with its web app, and what comes next.

`python deploy/deploy_stack.py --env dev [Name=value ...]`. It needs an account's credentials and the images
that `make images` has pushed. Run again, it changes what has changed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spaceport.errors import UserError
from spaceport_cli.account import Account, Stack, UntoldError
from spaceport_cli.clouds import AwsCloud
from spaceport_cli.commands.publish_web import publish

ROOT = Path(__file__).resolve().parents[1]
IMAGES = Path("build", "images.json")  # written by `make images`: the three parameters by name
IMAGE_PARAMETERS = ("SfmImageUri", "GaussianImageUri", "CompressorImageUri")
RUNTIME = "python3.12"  # of the template: sam builds with this interpreter and no other
SITE_ADDRESS, ORIGIN = "WebAppUrl", "WebOrigin"


@dataclass(frozen=True)
class Plan:
    """What is deployed: a stack's name, and the parameters that are not to have their defaults."""

    environment: str
    stack: str
    parameters: Mapping[str, str]

    def sam_words(self, *, ask: bool) -> list[str]:
        """`sam deploy`'s words. Parameters that are not named keep what the stack has, or their defaults."""
        overrides = [f"{name}={value}" for name, value in self.parameters.items()]
        words = ["deploy", "--config-env", self.environment, "--no-fail-on-empty-changeset"]
        words += [] if ask else ["--no-confirm-changeset"]
        return [*words, "--parameter-overrides", *overrides] if overrides else words


def plan_of(
    config: Mapping[str, Any], environment: str, images: Mapping[str, str], given: Mapping[str, str]
) -> Plan:
    """The plan of an environment: what is given beats the images, and both beat samconfig.toml.

    Raises:
        UserError: `no_environment`.
    """
    known = _environments(config)
    if environment not in known:
        raise UserError(
            "no_environment", f"samconfig.toml has no {environment}.", f"It has: {', '.join(known)}."
        )
    settings = known[environment]
    configured = dict(entry.split("=", 1) for entry in settings.get("parameter_overrides", []))
    return Plan(environment, settings["stack_name"], {**configured, **images, **given})


def _environments(config: Mapping[str, Any]) -> dict[str, Any]:
    """How samconfig.toml deploys each of its stacks, but for the registry's, which has another template."""
    sections = {name: section for name, section in config.items() if isinstance(section, dict)}
    found = {name: has["deploy"]["parameters"] for name, has in sections.items() if "deploy" in has}
    return {name: has for name, has in found.items() if "stack_name" in has and "template_file" not in has}


def check_images(plan: Plan, stack: Stack | None) -> None:
    """Refuse to deploy a stack whose jobs could not start. Raises UserError `no_images`.

    A stack that is there already keeps the images that it has.
    """
    kept = stack.parameters if stack else {}
    missing = [
        name for name in IMAGE_PARAMETERS if ".dkr.ecr." not in plan.parameters.get(name, kept.get(name, ""))
    ]
    if missing:
        raise UserError(
            "no_images",
            f"There is no image in ECR for {', '.join(missing)}.",
            f"Run `make images` first: it builds and pushes them, and writes {IMAGES}. Or name your own: "
            f'make deploy PARAMETERS="{missing[0]}=123456789012.dkr.ecr.REGION.amazonaws.com/..."',
        )


def origin_to_allow(plan: Plan, outputs: Mapping[str, str]) -> str | None:
    """The site's origin, where its page may not call the API yet: its name is known only now.

    Who names a WebOrigin of their own wants that one.
    """
    address = outputs.get(SITE_ADDRESS)
    if address is None or ORIGIN in plan.parameters or outputs.get(ORIGIN) == address.rstrip("/"):
        return None
    return address.rstrip("/")


def next_steps(plan: Plan, outputs: Mapping[str, str]) -> str:
    """What to do with a stack that is there, line by line."""
    name = plan.stack
    lines = [
        f"{name} is deployed. What comes next:",
        f"  spaceport doctor --stack {name}           what the account still lacks, like a quota of GPUs",
        f"  spaceport run photos.zip --stack {name}   a first job",
        f"  aws s3 cp photos.zip s3://{outputs['UploadsBucket']}/   or a drop: it starts by itself",
    ]
    if SITE_ADDRESS in outputs:
        lines.append(f"  {outputs[SITE_ADDRESS]}   the web app; users are made as README.md says")
    if outputs.get("SiteHost") and plan.parameters.get("DomainName"):
        lines.append(f"  point {plan.parameters['DomainName']} at {outputs['SiteHost']} by a CNAME")
    return "\n".join(lines)


def runtime_folder() -> Path:
    """The folder of a working interpreter of the template's runtime: on PATH, else one of pyenv's.

    Raises:
        UserError: `no_runtime`.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    on_path = shutil.which(RUNTIME)
    candidates = [Path(on_path)] if on_path else []
    candidates += sorted(pyenv.glob(f"versions/{RUNTIME.removeprefix('python')}*/bin/{RUNTIME}"))
    for python in candidates:
        # pyenv's own shim is on PATH even where the version is not active: it must run.
        tried = subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False)
        if tried.returncode == 0:
            return python.parent
    raise UserError(
        "no_runtime",
        f"`sam build` needs {RUNTIME} with pip, which is Lambda's, on PATH or in {pyenv}/versions.",
        f"Install it, for example with `pyenv install {RUNTIME.removeprefix('python')}`.",
    )


def deploy(plan: Plan, account: Account, sam: Path, *, ask: bool) -> None:
    """Build, deploy, publish the web app, and tell what comes next.

    Raises:
        UserError: what the user can mend.
    """
    check_images(plan, _stack(account, plan.stack))
    _run(sam, "build", "--config-env", plan.environment)
    _run(sam, *plan.sam_words(ask=ask))
    outputs = _deployed(account, plan.stack).outputs
    if origin := origin_to_allow(plan, outputs):
        print(f"Letting the page at {origin} call its API: a second, small deployment.")
        plan = Plan(plan.environment, plan.stack, {**plan.parameters, ORIGIN: origin})
        _run(sam, *plan.sam_words(ask=False))
        outputs = _deployed(account, plan.stack).outputs
    if SITE_ADDRESS in outputs:
        publish(AwsCloud(plan.stack), ROOT)
    print(next_steps(plan, outputs))


def _stack(account: Account, name: str) -> Stack | None:
    try:
        return account.stack(name)
    except UntoldError as error:
        raise UserError("aws_refuses", f"The stack {name} is {error.told}.", error.mend) from error


def _deployed(account: Account, name: str) -> Stack:
    stack = _stack(account, name)
    if stack is None:  # the change set was declined
        raise UserError("not_deployed", f"There is no stack {name}: nothing was deployed.")
    return stack


def check_account(account: Account) -> None:
    """Raise UserError `no_account` where there is nobody to deploy for."""
    if account.region is None:
        raise UserError(
            "no_account", "No AWS region is set.", "Set AWS_DEFAULT_REGION, for example to us-east-1."
        )
    try:
        caller = account.caller()
    except UntoldError as error:
        raise UserError(
            "no_account",
            f"This deploys to an AWS account, and {error.told}.",
            f"{error.mend} To try Spaceport without an account: `make demo`.".strip(),
        ) from error
    print(f"Deploying to account {caller.account} in {account.region} as {caller.arn}.")


def _run(sam: Path, *words: str) -> None:
    environment = {
        **os.environ,
        # The layer's Makefile says `python3`: that of the runtime.
        "PATH": f"{runtime_folder()}{os.pathsep}{os.environ.get('PATH', '')}",
        "SAM_CLI_TELEMETRY": "0",
    }
    if subprocess.run([sam, *words], cwd=ROOT, env=environment, check=False).returncode:
        raise UserError(
            "sam_failed",
            f"`sam {words[0]}` failed, as it says above.",
            "What the stack was before, it is still: CloudFormation goes back from what fails.",
        )


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not Name=value")
    return name, value


def main(argv: Sequence[str] | None = None) -> int:
    """Deploy as the words say; 0, or 1 with what to mend on standard error."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--env", default="dev", help="of samconfig.toml: dev, the default, or prod")
    parser.add_argument("--sam", type=Path, default=ROOT / "build" / "sam" / "bin" / "sam")
    parser.add_argument("--check", action="store_true", help="only see whether there is all that it needs")
    parser.add_argument("--yes", action="store_true", help="deploy without asking, as a machine must")
    parser.add_argument("parameters", metavar="NAME=VALUE", type=_assignment, nargs="*")
    words = parser.parse_args(argv)
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    images = json.loads((ROOT / IMAGES).read_text()) if (ROOT / IMAGES).exists() else {}
    try:
        plan = plan_of(config, words.env, images, dict(words.parameters))
        account = Account()
        check_account(account)
        if words.check:
            runtime_folder()
            check_images(plan, _stack(account, plan.stack))
            return 0
        confirms = bool(config[words.env]["deploy"]["parameters"].get("confirm_changeset"))
        deploy(plan, account, words.sam, ask=confirms and not words.yes)
    except UserError as error:
        print(f"{error.message}\n{error.hint}".strip(), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
