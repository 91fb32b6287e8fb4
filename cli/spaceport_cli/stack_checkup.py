"""What a stack on AWS needs of its account: each thing judged, with the way to mend it in words.

Pure: what AWS answers comes from an `Account`. Nothing is changed by asking.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from spaceport.prices import OWN_MACHINE, price_of
from spaceport_cli.account import ECR_URI, Account, Caller, LogFilter, Mail, Stack, UntoldError

# What the template's parameters are where nobody says otherwise; tests/contract/test_deployment.py compares.
DEFAULTS = {
    "SfmImageUri": "spaceport/sfm:latest",
    "GaussianImageUri": "spaceport/gaussian:latest",
    "CompressorImageUri": "spaceport/compressor:latest",
    "SfmInstanceType": "ml.c6i.4xlarge",
    "SfmFallbackInstanceTypes": "",
    "TrainingInstanceType": "ml.g4dn.xlarge",
    "TrainingFallbackInstanceTypes": "",
    "CompressionInstanceType": "ml.c6i.4xlarge",
    "CompressionFallbackInstanceTypes": "",
    "SpotTraining": "false",
    "MaxRunningJobs": "4",
    "SenderAddress": "",
}
# What the command and the web app read of a stack.
OUTPUTS = (
    *("UploadsBucket", "DataBucket", "StateMachineArn", "SfmImageUri", "GaussianImageUri"),
    *("CompressorImageUri", "WebSocketUrl", "AccessTokenSecretArn", "ApiUrl", "UserPoolId"),
    "UserPoolClientId",
)
LOG_GROUPS = ("/aws/sagemaker/ProcessingJobs", "/aws/sagemaker/TrainingJobs")
FILTERS_A_GROUP = 2  # CloudWatch Logs' quota
READERS_OF_LOGS = "RecordProgress"
# A new account has 10; a job's progress alone keeps three busy, and each caller one.
FUNCTIONS_AT_ONCE = 50
QUOTAS_PAGE = "Service Quotas > AWS services > Amazon SageMaker"

T = TypeVar("T")


@dataclass(frozen=True)
class Finding:
    """One check. `passed` is None where nobody could tell; `mend` is what to do, or empty."""

    name: str
    passed: bool | None
    told: str
    mend: str = ""


@dataclass(frozen=True)
class Settings:
    """What of a stack's parameters matters here."""

    images: Mapping[str, str]  # by the parameter's name
    processing: tuple[str, ...]  # instance types, each once
    training: tuple[str, ...]
    spot: bool
    jobs_at_once: int
    sender: str


def settings_of(parameters: Mapping[str, str]) -> Settings:
    """The settings of a stack with these parameters; what is not there has its default."""
    given = {**DEFAULTS, **parameters}

    def types(*names: str) -> tuple[str, ...]:
        listed = ",".join(given[name] for name in names).split(",")
        return tuple(dict.fromkeys(name.strip() for name in listed if name.strip()))

    return Settings(
        images={name: given[name] for name in ("SfmImageUri", "GaussianImageUri", "CompressorImageUri")},
        processing=types(
            *("SfmInstanceType", "CompressionInstanceType"),
            *("SfmFallbackInstanceTypes", "CompressionFallbackInstanceTypes"),
        ),
        training=types("TrainingInstanceType", "TrainingFallbackInstanceTypes"),
        spot=given["SpotTraining"] == "true",
        jobs_at_once=int(given["MaxRunningJobs"]),
        sender=given["SenderAddress"],
    )


def findings(account: Account, name: str) -> Iterator[Finding]:
    """Everything that the stack `name` needs of the account, one after the other as it is asked for.

    Where there is no such stack yet, what one with the template's defaults would need.
    """
    region = account.region
    yield judged_region(region)
    if region is None:
        return
    try:
        yield judged_caller(account.caller())
    except UntoldError as error:  # and nothing else would be answered
        yield Finding("credentials", False, error.told, error.mend)
        return
    try:
        stack = account.stack(name)
        yield judged_stack(name, region, stack)
    except UntoldError as error:
        stack = None
        yield Finding("stack", None, error.told, error.mend)
    settings = settings_of(stack.parameters if stack else {})
    yield from _quotas(account, settings)
    for parameter, uri in settings.images.items():
        yield _image(account, parameter, uri, region)
    yield from _prices(account, settings, region)
    for group in LOG_GROUPS:
        yield _found(
            "log filters", partial(account.log_filters, group), partial(judged_filters, group, stack=name)
        )
    yield _found("functions", account.concurrent_functions, judged_functions)
    yield _letters(account, settings.sender)
    if stack is not None:
        yield from _resources(account, stack)


def judged_region(region: str | None) -> Finding:
    if region is None:
        return Finding("region", False, "none is set", "Set AWS_DEFAULT_REGION to the stack's.")
    return Finding("region", True, region)


def judged_caller(caller: Caller) -> Finding:
    if caller.account == OWN_MACHINE:
        return Finding("credentials", True, f"{caller.arn}, of a cloud that is not AWS")
    return Finding("credentials", True, f"{caller.arn}, account {caller.account}")


def judged_stack(name: str, region: str, stack: Stack | None) -> Finding:
    """Whether the stack is there, whole, and of this version."""
    if stack is None:
        return Finding(
            "stack",
            False,
            f"there is no {name} in {region}; what follows is of the template's defaults",
            "Deploy it with `make deploy`, or check the name, AWS_DEFAULT_REGION and AWS_PROFILE.",
        )
    if stack.status.endswith("_IN_PROGRESS"):
        return Finding("stack", None, f"{name} is changing: {stack.status}", "Ask again when it has ended.")
    if "FAILED" in stack.status or stack.status == "ROLLBACK_COMPLETE":
        return Finding(
            "stack",
            False,
            f"{name} is in {stack.status}",
            f"`aws cloudformation describe-stack-events --stack-name {name}` says why. "
            + (
                "It never was: delete it, then deploy again."
                if stack.status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED")
                else "`aws cloudformation continue-update-rollback` brings back what was."
            ),
        )
    if missing := [output for output in OUTPUTS if output not in stack.outputs]:
        return Finding(
            "stack",
            False,
            f"{name} has no output {missing[0]}: it is no Spaceport stack, or of another version",
            "Deploy this version over it with `make deploy`.",
        )
    return Finding("stack", True, f"{name}, {stack.status}")


def judged_quota(quota: str, value: float | None, jobs_at_once: int) -> Finding:
    """Whether a quota of machines lets this many jobs run.

    Args:
        quota: its name, as Service Quotas has it.
        value: how many; None where there is no quota of that name.
    """
    instance = quota.split(" ", 1)[0]
    if value is None:
        return Finding(
            "quota",
            False,
            f"there is no “{quota}” here: {instance} is not offered in this region",
            "Deploy with another instance type (the template's …InstanceType parameters), or elsewhere.",
        )
    ask = f"Ask for {jobs_at_once}: {QUOTAS_PAGE} > {quota} > Request increase. It can take days."
    if value < 1:
        return Finding("quota", False, f"{quota}: 0, so no job can run", ask)
    told = f"{quota}: {value:.0f}"
    if value < jobs_at_once:
        return Finding("quota", True, f"{told}; of {jobs_at_once} jobs at once the others wait", ask)
    return Finding("quota", True, told)


def judged_image(parameter: str, uri: str, region: str, is_there: bool | None = None) -> Finding:
    """Whether SageMaker can take an image. `is_there` is what ECR says of it, None where it was not asked."""
    found = ECR_URI.fullmatch(uri)
    deploy = f"Build and push it with `make images`, and deploy with {parameter}=<its URI by digest>."
    if found is None:
        return Finding("image", False, f"{parameter} is {uri}, which is not in ECR", deploy)
    if found["region"] != region:
        told = f"{parameter} is in {found['region']}, and SageMaker takes images of its own region only"
        return Finding("image", False, told, f"Push it to {region}, and deploy with its URI there.")
    if is_there is False:
        return Finding("image", False, f"{parameter}: ECR has no {uri}", deploy)
    if found["digest"] is None:
        told = f"{parameter}: {uri}, by a tag"
        return Finding("image", True, told, "Name it by its digest: a tag may become another image.")
    return Finding("image", True, f"{parameter}: {uri}")


def judged_price(instance: str, region: str, table: float | None, listed: float | None) -> Finding:
    """Whether jobs' costs will be told, and rightly: by our table, and AWS's Price List now."""
    if listed is None:
        if table is None:
            return Finding("price", None, f"{instance}: not in our table, and not told by AWS's Price List")
        return Finding("price", True, f"{instance}: ${table:.4g} an hour, by our table")
    mend = (
        "Put it into ON_DEMAND in spaceport/prices.py, with today's date in AS_OF, and deploy: "
        f'"{region}": {{"{instance}": {listed:.4g}}}.'
    )
    if table is None:
        told = (
            f"{instance} costs ${listed:.4g} an hour; our table has none, so jobs' costs are told as unknown"
        )
        return Finding("price", True, told, mend)
    if abs(table - listed) >= 0.0005:  # USD; the list has four places
        told = (
            f"{instance} costs ${listed:.4g} an hour, our table says ${table:.4g}: jobs' costs are told wrong"
        )
        return Finding("price", False, told, mend)
    return Finding("price", True, f"{instance}: ${table:.4g} an hour, as AWS lists it")


def judged_filters(group: str, told: list[LogFilter] | None, *, stack: str) -> Finding:
    """Whether a log group carries the jobs' progress to the stack, or has room for that."""
    if told is None:
        return Finding("log filters", True, f"{group} is not there yet; the stack makes it")
    if any(f":function:{stack}-{READERS_OF_LOGS}" in one.destination for one in told):
        return Finding("log filters", True, f"{group}: {len(told)} of {FILTERS_A_GROUP}, one is the stack's")
    names = ", ".join(one.name for one in told)
    if len(told) >= FILTERS_A_GROUP:
        return Finding(
            "log filters",
            False,
            f"{group} has {FILTERS_A_GROUP} filters, as many as it may, and none is the stack's: {names}",
            f"Delete one: `aws logs delete-subscription-filter --log-group-name {group} --filter-name NAME`.",
        )
    taken = f": {names}" if names else ""
    return Finding("log filters", True, f"{group}: {len(told)} of {FILTERS_A_GROUP} taken{taken}")


def judged_functions(at_once: int) -> Finding:
    told = f"{at_once} Lambda functions may run at once"
    if at_once < FUNCTIONS_AT_ONCE:
        ask = "Service Quotas > AWS Lambda > Concurrent executions > Request increase, to 1000."
        return Finding(
            "functions", False, f"{told}: callers and viewers of links may starve the pipeline", ask
        )
    return Finding("functions", True, told)


def judged_mail(sender: str, mail: Mail) -> Finding:
    """Whether letters from `sender` reach the jobs' owners."""
    if not mail.verified:
        state = "is not verified in SES" if mail.verified is False else "is not known to SES"
        return Finding(
            "letters",
            False,
            f"{sender} {state}: it refuses its letters",
            f"`aws sesv2 create-email-identity --email-identity {sender}`, then the link in its letter.",
        )
    if not mail.may_send:
        told = "SES has paused this account's sending"
        return Finding("letters", False, told, "SES > Reputation metrics says why, and how to appeal.")
    if mail.in_sandbox:
        return Finding(
            "letters",
            False,
            "SES is in its sandbox: letters reach verified addresses only",
            "SES > Account dashboard > Request production access.",
        )
    return Finding("letters", True, f"from {sender}")


def judged_state_machine(status: str) -> Finding:
    if status != "ACTIVE":
        return Finding("state machine", False, f"it is {status}", "Deploy the stack again.")
    return Finding("state machine", True, status)


def judged_bucket(bucket: str, is_there: bool) -> Finding:
    if not is_there:
        return Finding(
            "bucket",
            False,
            f"{bucket} is gone: whatever reads or writes it fails",
            "RUNBOOK.md, “A bucket is gone”, says how it is made again.",
        )
    return Finding("bucket", True, bucket)


def judged_notifications(bucket: str, sends: bool) -> Finding:
    """Whether a dropped zip becomes a job."""
    if not sends:
        return Finding(
            "notifications",
            False,
            f"{bucket} tells EventBridge nothing: a dropped zip starts no job",
            f"`aws s3api put-bucket-notification-configuration --bucket {bucket} "
            "--notification-configuration EventBridgeConfiguration={}`, or deploy the stack again.",
        )
    return Finding("notifications", True, f"{bucket} tells EventBridge of each zip")


def _quotas(account: Account, settings: Settings) -> Iterator[Finding]:
    wanted = [f"{instance} for processing job usage" for instance in settings.processing]
    wanted += [f"{instance} for training job usage" for instance in settings.training]
    if settings.spot:  # on demand, too: where there is none within a day
        wanted += [f"{instance} for spot training job usage" for instance in settings.training]
    try:
        quotas = account.sagemaker_quotas()
    except UntoldError as error:
        yield Finding("quotas", None, error.told, error.mend or f"Look yourself: {QUOTAS_PAGE}.")
        return
    for quota in wanted:
        yield judged_quota(quota, quotas.get(quota), settings.jobs_at_once)


def _image(account: Account, parameter: str, uri: str, region: str) -> Finding:
    unasked = judged_image(parameter, uri, region)
    if unasked.passed is False:
        return unasked
    return _found("image", partial(account.has_image, uri), partial(judged_image, parameter, uri, region))


def _prices(account: Account, settings: Settings, region: str) -> Iterator[Finding]:
    kinds = {
        **dict.fromkeys(settings.processing, "Processing"),
        **dict.fromkeys(settings.training, "Training"),
    }
    for instance, component in kinds.items():
        table = price_of(instance, region)
        try:
            listed = account.list_price(instance, component)
        except UntoldError as error:
            ours = "is not in our table" if table is None else f"${table:.4g} an hour by our table"
            yield Finding("price", None, f"{instance} {ours}; AWS's Price List: {error.told}", error.mend)
            return
        yield judged_price(instance, region, table, listed)


def _letters(account: Account, sender: str) -> Finding:
    if not sender:
        return Finding("letters", True, "none are sent: the parameter SenderAddress is empty")
    return _found("letters", partial(account.mail, sender), partial(judged_mail, sender))


def _resources(account: Account, stack: Stack) -> Iterator[Finding]:
    if arn := stack.outputs.get("StateMachineArn"):
        yield _found("state machine", partial(account.state_machine_status, arn), judged_state_machine)
    for name in ("UploadsBucket", "DataBucket"):
        if bucket := stack.outputs.get(name):
            yield _found("bucket", partial(account.has_bucket, bucket), partial(judged_bucket, bucket))
    if bucket := stack.outputs.get("UploadsBucket"):
        yield _found(
            "notifications", partial(account.sends_events, bucket), partial(judged_notifications, bucket)
        )


def _found(name: str, ask: Callable[[], T], judge: Callable[[T], Finding]) -> Finding:
    """What is judged of an answer; where there is none, why."""
    try:
        return judge(ask())
    except UntoldError as error:
        return Finding(name, None, error.told, error.mend)
