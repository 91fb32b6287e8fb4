"""`spaceport doctor --stack`: what is judged of an account's answers, and how they are asked for."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import NoCredentialsError
from botocore.stub import Stubber

from spaceport.prices import ON_DEMAND
from spaceport_cli.account import Account, LogFilter, Mail, Stack, UntoldError
from spaceport_cli.stack_checkup import (
    OUTPUTS,
    Finding,
    findings,
    judged_bucket,
    judged_filters,
    judged_functions,
    judged_image,
    judged_mail,
    judged_price,
    judged_quota,
    judged_stack,
    settings_of,
)

REGION, GPU = "us-east-1", "ml.g4dn.xlarge"
DIGEST = f"sha256:{'0' * 64}"
IMAGE = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/spaceport/sfm@{DIGEST}"
GROUP = "/aws/sagemaker/TrainingJobs"
OURS = LogFilter("ours", "arn:aws:lambda:us-east-1:123456789012:function:drones-RecordProgress-AbC1")
THEIRS = LogFilter("theirs", "arn:aws:lambda:us-east-1:123456789012:function:other-RecordProgress-AbC1")


class StubbedSession:
    """A boto3 session whose clients answer what they are told to, in this order, checked by AWS's models."""

    region_name: str | None = REGION

    def __init__(self) -> None:
        self.clients: dict[str, Any] = {}
        self.stubs: dict[str, Stubber] = {}

    def stub(self, service: str) -> Stubber:
        if service not in self.stubs:
            self.clients[service] = boto3.client(
                service, region_name=REGION, aws_access_key_id="any", aws_secret_access_key="any"
            )
            self.stubs[service] = Stubber(self.clients[service])
            self.stubs[service].activate()
        return self.stubs[service]

    def client(self, service: str, region_name: str | None = None) -> Any:
        self.stub(service)
        return self.clients[service]


@pytest.fixture
def session() -> StubbedSession:
    return StubbedSession()


@pytest.fixture
def account(session) -> Account:
    return Account(session)


# ---- what is judged ----------------------------------------


@pytest.mark.parametrize(
    ("value", "passed", "word", "mends"),
    [
        (None, False, "not offered", True),
        (0, False, "no job can run", True),
        (1, True, "the others wait", True),
        (4, True, ": 4", False),
    ],
)
def test_a_quota_must_let_a_job_run_and_says_what_to_ask_for(value, passed, word, mends):
    found = judged_quota(f"{GPU} for training job usage", value, 4)
    assert (found.passed, bool(found.mend)) == (passed, mends)
    assert word in found.told
    if value is not None and mends:
        assert f"{GPU} for training job usage" in found.mend
        assert "Ask for 4" in found.mend


@pytest.mark.parametrize(
    ("stack", "passed", "word"),
    [
        (None, False, "there is no drones"),
        (Stack("UPDATE_IN_PROGRESS", {}, {}), None, "is changing"),
        (Stack("ROLLBACK_COMPLETE", {}, {}), False, "delete it"),
        (Stack("UPDATE_ROLLBACK_FAILED", {}, {}), False, "continue-update-rollback"),
        (Stack("CREATE_COMPLETE", {}, {}), False, "no output UploadsBucket"),
        (Stack("UPDATE_ROLLBACK_COMPLETE", dict.fromkeys(OUTPUTS, "x"), {}), True, "drones"),
    ],
)
def test_a_stack_must_be_there_whole_and_of_this_version(stack, passed, word):
    found = judged_stack("drones", REGION, stack)
    assert found.passed is passed
    assert word in found.told + found.mend


@pytest.mark.parametrize(
    ("uri", "is_there", "passed", "word"),
    [
        ("spaceport/sfm:latest", None, False, "not in ECR"),
        (IMAGE.replace(REGION, "eu-west-1"), None, False, "its own region"),
        (IMAGE, False, False, "ECR has no"),
        (IMAGE, True, True, DIGEST),
        (IMAGE.replace(f"@{DIGEST}", ":1"), True, True, "by a tag"),
    ],
)
def test_an_image_must_be_in_ecr_of_the_region(uri, is_there, passed, word):
    found = judged_image("SfmImageUri", uri, REGION, is_there)
    assert found.passed is passed
    assert word in found.told


@pytest.mark.parametrize(
    ("told", "passed", "word"),
    [
        (None, True, "not there yet"),
        ([OURS, THEIRS], True, "one is the stack's"),
        ([THEIRS], True, "1 of 2 taken"),
        ([THEIRS, THEIRS], False, "theirs"),
    ],
)
def test_a_log_group_must_have_the_stacks_filter_or_room_for_it(told, passed, word):
    found = judged_filters(GROUP, told, stack="drones")
    assert found.passed is passed
    assert word in found.told
    assert ("delete-subscription-filter" in found.mend) is (passed is False)


@pytest.mark.parametrize(
    ("mail", "passed", "word"),
    [
        (Mail(True, True, None), False, "not known to SES"),
        (Mail(True, True, False), False, "not verified"),
        (Mail(False, False, True), False, "paused"),
        (Mail(True, True, True), False, "sandbox"),
        (Mail(True, False, True), True, "from pilot@"),
    ],
)
def test_letters_need_a_verified_sender_and_an_account_out_of_the_sandbox(mail, passed, word):
    found = judged_mail("pilot@example.org", mail)
    assert found.passed is passed
    assert word in found.told
    assert bool(found.mend) is (not passed)


@pytest.mark.parametrize(
    ("table", "listed", "passed", "mends"),
    [
        (0.7364, 0.7364, True, False),
        (0.7364, None, True, False),
        (0.7364, 0.8, False, True),
        (None, 0.816, True, True),
        (None, None, None, False),
    ],
)
def test_prices_of_our_table_are_held_against_aws_own(table, listed, passed, mends):
    found = judged_price(GPU, REGION, table, listed)
    assert (found.passed, bool(found.mend)) == (passed, mends)
    if mends:
        assert f'"{GPU}": {listed:.4g}' in found.mend


def test_ten_functions_at_once_are_few():
    few = judged_functions(10)
    assert (few.passed, bool(few.mend)) == (False, True)
    assert judged_functions(50).passed
    assert not judged_functions(1000).mend


def test_settings_are_the_stacks_own_and_else_the_defaults():
    settings = settings_of({"TrainingFallbackInstanceTypes": f"ml.g5.xlarge, {GPU}", "SpotTraining": "true"})
    assert settings.training == (GPU, "ml.g5.xlarge")
    assert settings.processing == ("ml.c6i.4xlarge",)
    assert settings.spot
    assert settings.jobs_at_once == 4


# ---- how it is asked ----------------------------------------


def test_quotas_are_the_defaults_and_over_them_the_accounts_own_page_by_page(session, account):
    quotas = session.stub("service-quotas")
    for call, name, value, token in (
        ("list_aws_default_service_quotas", "one", 0.0, {"NextToken": "more"}),
        ("list_aws_default_service_quotas", "two", 0.0, {}),
        ("list_service_quotas", "one", 4.0, {}),
    ):
        quotas.add_response(call, {"Quotas": [{"QuotaName": name, "Value": value}], **token})
    assert account.sagemaker_quotas() == {"one": 4.0, "two": 0.0}


def test_a_stack_that_is_not_there_is_an_answer(session, account):
    formation = session.stub("cloudformation")
    formation.add_client_error("describe_stacks", "ValidationError", "Stack with id x does not exist")
    assert account.stack("x") is None


@pytest.mark.parametrize("code", ["ImageNotFoundException", "RepositoryNotFoundException"])
def test_an_image_that_is_not_there_is_an_answer(session, account, code):
    wanted = {
        "registryId": "123456789012",
        "repositoryName": "spaceport/sfm",
        "imageIds": [{"imageDigest": DIGEST}],
    }
    session.stub("ecr").add_client_error("describe_images", code, expected_params=wanted)
    assert account.has_image(IMAGE) is False


def test_filters_and_a_group_that_is_not_there(session, account):
    logs = session.stub("logs")
    logs.add_response(
        "describe_subscription_filters",
        {"subscriptionFilters": [{"filterName": "ours", "destinationArn": OURS.destination}]},
    )
    logs.add_client_error("describe_subscription_filters", "ResourceNotFoundException")
    assert account.log_filters(GROUP) == [OURS]
    assert account.log_filters(GROUP) is None


def test_a_sender_is_verified_by_its_address_or_its_domain(session, account):
    ses = session.stub("sesv2")
    ses.add_response("get_account", {"SendingEnabled": True, "ProductionAccessEnabled": True})
    ses.add_client_error("get_email_identity", "NotFoundException")
    ses.add_response(
        "get_email_identity", {"VerifiedForSendingStatus": True}, {"EmailIdentity": "example.org"}
    )
    assert account.mail("pilot@example.org") == Mail(may_send=True, in_sandbox=False, verified=True)


def test_a_list_price_is_the_one_by_the_hour(session, account):
    def product(**prices: str) -> str:
        dimensions = {unit: {"unit": unit, "pricePerUnit": {"USD": price}} for unit, price in prices.items()}
        return json.dumps({"terms": {"OnDemand": {"x": {"priceDimensions": dimensions}}, "Reserved": {}}})

    pricing = session.stub("pricing")
    pricing.add_response("get_products", {"PriceList": [product(Hrs="0.7364", GB="2")]})
    pricing.add_response("get_products", {"PriceList": [product(Hrs="0.7"), product(Hrs="0.8")]})
    assert account.list_price(GPU, "Training") == ON_DEMAND[REGION][GPU]
    assert account.list_price(GPU, "Training") is None


def test_a_bucket_that_tells_eventbridge(session, account):
    s3 = session.stub("s3")
    s3.add_response("get_bucket_notification_configuration", {"EventBridgeConfiguration": {}})
    s3.add_response("get_bucket_notification_configuration", {})
    assert account.sends_events("uploads")
    assert not account.sends_events("uploads")


def test_a_bucket_that_is_gone(session, account):
    s3 = session.stub("s3")
    s3.add_response("head_bucket", {})
    s3.add_client_error("head_bucket", "404", http_status_code=404)
    assert [account.has_bucket("data"), account.has_bucket("data")] == [True, False]
    assert judged_bucket("data", True).passed
    gone = judged_bucket("data", False)
    assert (gone.passed, "RUNBOOK.md" in gone.mend) == (False, True)


# ---- together ----------------------------------------

# Every question of a whole check-up, as (service, call), and the right that each needs.
QUESTIONS = {
    ("service-quotas", "list_aws_default_service_quotas"): "servicequotas:ListAWSDefaultServiceQuotas",
    ("ecr", "describe_images"): "ecr:DescribeImages",
    ("pricing", "get_products"): "pricing:GetProducts",
    ("logs", "describe_subscription_filters"): "logs:DescribeSubscriptionFilters",
    ("lambda", "get_account_settings"): "lambda:GetAccountSettings",
    ("sesv2", "get_account"): "ses:GetAccount",
    ("stepfunctions", "describe_state_machine"): "states:DescribeStateMachine",
    ("s3", "head_bucket"): "s3:ListBucket",
    ("s3", "get_bucket_notification_configuration"): "s3:GetBucketNotification",
}
BUCKETS = 2


def test_who_may_ask_nothing_more_is_told_each_right_that_is_missing(session, account):
    # Given a caller who may read the stack, and nothing else
    session.stub("sts").add_response(
        "get_caller_identity", {"Account": "123456789012", "Arn": "arn:aws:iam::1:user/a"}
    )
    told = {"StackName": "drones", "CreationTime": "2026-01-01", "StackStatus": "CREATE_COMPLETE"}
    outputs = [{"OutputKey": name, "OutputValue": name.lower()} for name in OUTPUTS]
    given = {"SenderAddress": "pilot@example.org"} | dict.fromkeys(
        ("SfmImageUri", "GaussianImageUri", "CompressorImageUri"), IMAGE
    )
    parameters = [{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()]
    session.stub("cloudformation").add_response(
        "describe_stacks", {"Stacks": [{**told, "Outputs": outputs, "Parameters": parameters}]}
    )
    for service, call in QUESTIONS:
        for _ in range(BUCKETS if call == "head_bucket" else 3):
            session.stub(service).add_client_error(call, "AccessDeniedException")

    # When the whole is looked at
    found = list(findings(account, "drones"))

    # Then nothing crashes, what could be told is, and every other line names its right
    assert [one.name for one in found if one.passed] == ["region", "credentials", "stack"]
    untold = [one for one in found if not one.passed]
    assert all(one.passed is None for one in untold)
    for right in QUESTIONS.values():
        assert any(right in one.told and right in one.mend for one in untold), right


def test_without_a_region_or_credentials_nothing_else_is_asked(session, account, monkeypatch):
    def nobody(**_: Any) -> None:
        raise NoCredentialsError

    session.stub("sts")
    monkeypatch.setattr(session.clients["sts"], "get_caller_identity", nobody)
    *_, last = findings(account, "drones")
    assert last == Finding("credentials", False, "no credentials were found", last.mend)
    assert "aws sso login" in last.mend

    session.region_name = None
    (only,) = findings(account, "drones")
    assert (only.name, only.passed) == ("region", False)


def test_an_answer_that_is_not_aws_own_is_told_as_that(session, account, monkeypatch):
    session.stub("lambda")
    monkeypatch.setattr(session.clients["lambda"], "get_account_settings", dict)
    with pytest.raises(UntoldError, match="not one of AWS's"):
        account.concurrent_functions()
