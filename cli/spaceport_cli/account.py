"""What an AWS account and its services answer about a stack: the edge of `spaceport doctor --stack`.

Each method asks one thing and returns plain data. What could not be asked is an `UntoldError`, which names
the right that is missing: a doctor who may not see something says so, and goes on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from spaceport_cli.aws_session import own_session

# As the services call a right that is missing.
DENIED = {
    *("403", "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationErrorException")
}
PRICE_LIST_REGION = "us-east-1"  # the Price List is answered in three regions only; it tells of all
ECR_URI = re.compile(
    r"(?P<registry>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/"
    r"(?P<repository>[a-z0-9._/-]+)(@(?P<digest>sha256:[0-9a-f]{64})|:(?P<tag>[\w.-]+))"
)

T = TypeVar("T")


class UntoldError(Exception):
    """A question that nobody answered: what is told of it, and what would get an answer."""

    def __init__(self, told: str, mend: str = "") -> None:
        super().__init__(told)
        self.told, self.mend = told, mend


@dataclass(frozen=True)
class Caller:
    """Who asks: the account's number and the caller's ARN."""

    account: str
    arn: str


@dataclass(frozen=True)
class Stack:
    """A deployed stack as CloudFormation tells it."""

    status: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class LogFilter:
    """A subscription filter of a log group: its name and the ARN that it sends to."""

    name: str
    destination: str


@dataclass(frozen=True)
class Mail:
    """What SES lets the account send. `verified` is of the sender; None where SES knows no such sender."""

    may_send: bool
    in_sandbox: bool
    verified: bool | None


class Account:
    """An account and a region: those of a boto3 session, the caller's own where none is given.

    Every method raises UntoldError.
    """

    def __init__(self, session: Any = None) -> None:  # boto3's stubs know services by literal names only
        self._session = session or own_session()

    @property
    def region(self) -> str | None:
        """The region's name; None where none is set."""
        name: str | None = self._session.region_name
        return name

    def caller(self) -> Caller:
        sts = self._client("sts")
        return _asked("sts:GetCallerIdentity", lambda: _caller(sts.get_caller_identity()))

    def stack(self, name: str) -> Stack | None:
        """The stack `name`; None where there is none."""
        formation = self._client("cloudformation")
        try:
            told = _asked(
                "cloudformation:DescribeStacks",
                lambda: formation.describe_stacks(StackName=name)["Stacks"][0],
            )
        except _RefusalError as refusal:
            if "does not exist" in refusal.told:
                return None
            raise
        return Stack(
            told["StackStatus"],
            {entry["OutputKey"]: entry["OutputValue"] for entry in told.get("Outputs", [])},
            {entry["ParameterKey"]: entry.get("ParameterValue", "") for entry in told.get("Parameters", [])},
        )

    def sagemaker_quotas(self) -> Mapping[str, float]:
        """SageMaker's quotas of this account and region by their names.

        AWS tells the account's own only where they are known apart from the defaults: both are asked for.
        """
        return {
            **self._quotas("list_aws_default_service_quotas", "servicequotas:ListAWSDefaultServiceQuotas"),
            **self._quotas("list_service_quotas", "servicequotas:ListServiceQuotas"),
        }

    def _quotas(self, call: str, right: str) -> dict[str, float]:
        pages = self._client("service-quotas").get_paginator(call)
        return _asked(
            right,
            lambda: {
                quota["QuotaName"]: quota["Value"]
                for page in pages.paginate(ServiceCode="sagemaker")
                for quota in page["Quotas"]
            },
        )

    def has_image(self, uri: str) -> bool:
        """Whether ECR has the image of a URI that ECR_URI matches."""
        found = ECR_URI.fullmatch(uri)
        assert found is not None, uri
        image = {"imageDigest": found["digest"]} if found["digest"] else {"imageTag": found["tag"]}
        ecr = self._client("ecr", found["region"])
        try:
            return bool(
                _asked(
                    "ecr:DescribeImages",
                    lambda: ecr.describe_images(
                        registryId=found["registry"], repositoryName=found["repository"], imageIds=[image]
                    )["imageDetails"],
                )
            )
        except _RefusalError as refusal:
            if refusal.code in {"ImageNotFoundException", "RepositoryNotFoundException"}:
                return False
            raise

    def log_filters(self, group: str) -> list[LogFilter] | None:
        """The subscription filters of a log group; None where there is no such group."""
        logs = self._client("logs")
        try:
            told = _asked(
                "logs:DescribeSubscriptionFilters",
                lambda: logs.describe_subscription_filters(logGroupName=group)["subscriptionFilters"],
            )
        except _RefusalError as refusal:
            if refusal.code == "ResourceNotFoundException":
                return None
            raise
        return [LogFilter(one["filterName"], one.get("destinationArn", "")) for one in told]

    def mail(self, sender: str) -> Mail:
        """What SES says of the account, and of the address or else of its domain."""
        ses = self._client("sesv2")
        told = _asked("ses:GetAccount", ses.get_account)
        known = [self._verified(name) for name in (sender, sender.rpartition("@")[2])]
        verified = None if known == [None, None] else True in known
        return Mail(
            told.get("SendingEnabled", True), not told.get("ProductionAccessEnabled", False), verified
        )

    def _verified(self, identity: str) -> bool | None:
        ses = self._client("sesv2")
        try:
            told = _asked("ses:GetEmailIdentity", lambda: ses.get_email_identity(EmailIdentity=identity))
        except _RefusalError as refusal:
            if refusal.code == "NotFoundException":
                return None
            raise
        return bool(told.get("VerifiedForSendingStatus", False))

    def concurrent_functions(self) -> int:
        """How many Lambda functions may run at once in the account and region."""
        functions = self._client("lambda")
        return _asked(
            "lambda:GetAccountSettings",
            lambda: int(functions.get_account_settings()["AccountLimit"]["ConcurrentExecutions"]),
        )

    def state_machine_status(self, arn: str) -> str:
        steps = self._client("stepfunctions")
        told = _asked(
            "states:DescribeStateMachine", lambda: steps.describe_state_machine(stateMachineArn=arn)
        )
        return str(told["status"])

    def has_bucket(self, bucket: str) -> bool:
        """Whether there is a bucket of this name that the caller may see."""
        s3 = self._client("s3")
        try:
            _asked("s3:ListBucket", lambda: s3.head_bucket(Bucket=bucket))
        except _RefusalError as refusal:
            if refusal.code in {"404", "NoSuchBucket"}:
                return False
            raise
        return True

    def sends_events(self, bucket: str) -> bool:
        """Whether a bucket tells EventBridge of its objects."""
        s3 = self._client("s3")
        told = _asked(
            "s3:GetBucketNotification",
            lambda: s3.get_bucket_notification_configuration(Bucket=bucket),
        )
        return "EventBridgeConfiguration" in told

    def list_price(self, instance: str, component: str) -> float | None:
        """USD an hour on demand by AWS's Price List, in this region; None where it does not tell one price.

        Args:
            instance: like ml.g4dn.xlarge.
            component: `Training` or `Processing`.
        """
        about = {"regionCode": self.region or "", "instanceName": instance, "component": component}
        wanted = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in about.items()]
        pricing = self._client("pricing", PRICE_LIST_REGION)
        listed = _asked(
            "pricing:GetProducts",
            lambda: pricing.get_products(ServiceCode="AmazonSageMaker", Filters=wanted)["PriceList"],
        )
        prices = {price for product in listed for price in _hourly(json.loads(product))}
        return prices.pop() if len(prices) == 1 else None

    def _client(self, service: str, region: str | None = None) -> Any:
        try:
            return self._session.client(service, region_name=region)
        except NoRegionError as error:
            raise UntoldError("no region is set", "Set AWS_DEFAULT_REGION to the stack's.") from error


class _RefusalError(UntoldError):
    """A service's own error; some of them are answers."""

    def __init__(self, code: str, told: str) -> None:
        super().__init__(told, "")
        self.code = code


def _asked(right: str, ask: Callable[[], T]) -> T:
    """What `ask` returns. Raises UntoldError, by the name of the IAM action where that is what is missing."""
    try:
        return ask()
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        if code in DENIED:
            mend = f"Allow {right} to who runs this, or ask someone who may."
            raise UntoldError(f"not told: the right {right} is missing", mend) from error
        raise _RefusalError(code, f"not told: {message or f'{right} is answered with {code}'}") from error
    except NoCredentialsError as error:
        raise UntoldError(
            "no credentials were found", "Sign in, for example with `aws sso login`, or set AWS_PROFILE."
        ) from error
    except BotoCoreError as error:
        raise UntoldError(f"not told: {error}") from error
    except (KeyError, ValueError) as error:  # a cloud that is not quite AWS
        raise UntoldError(f"not told: the answer to {right} is not one of AWS's") from error


def _caller(told: Mapping[str, Any]) -> Caller:
    return Caller(told["Account"], told["Arn"])


def _hourly(product: Mapping[str, Any]) -> list[float]:
    """The prices by the hour in an entry of the Price List, those of reservations left out."""
    return [
        float(dimension["pricePerUnit"]["USD"])
        for term in product["terms"].get("OnDemand", {}).values()
        for dimension in term["priceDimensions"].values()
        if dimension["unit"] == "Hrs"
    ]
