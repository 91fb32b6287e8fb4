"""How a service acts with a role where IAM is enforced: what the role allows, and the session it calls with.

MiniStack calls from one service into another without asking any role: Step Functions' tasks, and our
SageMaker's jobs. The questions are put to MiniStack's own evaluator.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from ministack.core import iam_actions, iam_evaluator
from ministack.services import iam, sts

from spaceport_local.endpoint import Credentials
from spaceport_local.patches.seams import Seam

SEAMS = (
    Seam("core.iam_evaluator:_gather_role_policies", "d83d1661b865"),
    Seam("core.iam_evaluator:evaluate", "2a5dd6932d1a"),
    Seam("core.iam_evaluator:evaluate_resource_policy", "e49ce7161ad6"),
    Seam("core.iam_evaluator:EvalContext", "f5769904b3fa"),
    Seam("core.iam_actions:identity_denial_message", "82f77b7767c6"),
    Seam("services.sts:register_session", "a84ec986ec01"),
)
ASSUME = "sts:AssumeRole"


class DeniedError(Exception):
    """The role doesn't let the service do what it was about to do. The message is worded as AWS's."""


@dataclass(frozen=True)
class Service:
    """A service that acts with roles: its principal, and what it calls its sessions."""

    principal: str
    session: str


@dataclass(frozen=True)
class Need:
    """A call that a role must allow. `context` holds condition keys in lower case."""

    action: str
    resource: str
    context: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Role:
    """A role by its ARN, `arn:aws:iam::{account}:role/{path}{name}`."""

    arn: str

    @property
    def account(self) -> str:
        return self.arn.split(":")[4]

    @property
    def name(self) -> str:
        return self.arn.rsplit("/", 1)[-1]

    def session_arn(self, service: Service) -> str:
        return f"arn:aws:sts::{self.account}:assumed-role/{self.name}/{service.session}"


def require(role: Role, service: Service, need: Need, region: str) -> None:
    """Raises DeniedError unless the service may assume the role, and the role's policies allow the call."""
    require_trust(role, service, region)
    principal = role.session_arn(service)
    asked = iam_evaluator.EvalContext(
        principal_arn=principal,
        principal_type="AssumedRole",
        principal_account=role.account,
        action=need.action,
        resource_arn=need.resource,
        region=region,
        service_context=need.context,
    )
    policies = iam_evaluator._gather_role_policies(role.name, role.account)
    decision = iam_evaluator.evaluate(asked, policies).decision
    if decision != "Allow":
        raise DeniedError(
            iam_actions.identity_denial_message(need.action, principal, need.resource, decision == "Deny")
        )


def require_trust(role: Role, service: Service, region: str) -> None:
    """Raises DeniedError unless the role is there and its trust policy names the service."""
    found = iam._roles.get_scoped(role.account, None, role.name)
    trust = json.loads(found["AssumeRolePolicyDocument"]) if found else {}
    asked = iam_evaluator.EvalContext(
        principal_arn=service.principal,
        principal_type="Service",
        principal_account=role.account,
        action=ASSUME,
        resource_arn=role.arn,
        region=region,
        service_context={"aws:sourceaccount": role.account},
    )
    if iam_evaluator.evaluate_resource_policy(trust, asked, service.principal).decision != "Allow":
        raise DeniedError(f"{service.principal} may not assume the role {role.arn}.")


def session(role: Role, service: Service, region: str) -> Credentials:
    """Credentials with which the service's calls are checked as the role's. Raises DeniedError."""
    require_trust(role, service, region)
    # The same ones each time: MiniStack keeps sessions without an end.
    digest = hashlib.sha256(role.session_arn(service).encode()).hexdigest()
    secret, token = (hashlib.sha256(f"{kind}:{digest}".encode()).hexdigest() for kind in ("secret", "token"))
    credentials = Credentials(f"ASIA{digest[:16].upper()}", secret, token)
    sts.register_session(
        credentials.key,
        {
            "Arn": role.session_arn(service),
            "UserId": f"{role.name}:{service.session}",
            "SecretAccessKey": secret,
            "SessionToken": token,
        },
    )
    return credentials
