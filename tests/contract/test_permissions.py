"""Who may call what, where only AWS itself checks it: read in the template that SAM makes of ours.

What the local engine checks, it is asked for (`tests/integration/test_least_privilege.py`). It checks neither
who may invoke a function or send to a queue, nor what a role's trust says, nor how often an API is called.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from samtranslator.translator.transform import transform

from spaceport_local.template import read_template

ROOT = Path(__file__).resolve().parents[2]

# The AWS managed policies that a role may have, and why each is wider than ours.
MANAGED = {
    "AWSLambdaBasicExecutionRole": "SAM gives it to every function: logs of its own account",
    "AWSLambdaVPCAccessExecutionRole": "SAM gives it to every function that may be in a network",
    "AWSLambdaDynamoDBExecutionRole": "SAM gives it to every reader of a stream",
    "AWSXrayWriteOnlyAccess": "SAM gives it where traces are on; X-Ray knows no resources",
    "AmazonAPIGatewayPushToCloudWatchLogs": "the one role by which API Gateway logs for the whole account",
}
# Roles whose trust has no condition, and why: who can pass such a role to the service is who may use it.
BOUND_TO_ITS_RESOURCE = {
    "lambda.amazonaws.com": "a function's role is passed to it when it is made, by whoever deploys",
    "states.amazonaws.com": "so is a state machine's",
    "apigateway.amazonaws.com": "API Gateway tells no source when it sets the account's log role",
}


class ManagedPolicies:
    """What SAM asks AWS for: the ARNs of managed policies, by their names."""

    def load(self) -> dict[str, str]:
        return {name: f"arn:aws:iam::aws:policy/{name}" for name in MANAGED}


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    """Logical id → resource, of the transformed template."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        packaged = read_template(ROOT / "template.yaml").packaged(
            lambda name, content: {"Bucket": "artifacts", "Key": name}
        )
        found: dict[str, Any] = transform(packaged, {}, ManagedPolicies())["Resources"]
    return found


def of_type(resources: dict[str, Any], kind: str) -> dict[str, Any]:
    return {name: found["Properties"] for name, found in resources.items() if found["Type"] == kind}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def function_in(target: Any) -> str:
    """The logical id that a target, an integration's address or a permission's function names."""
    names = re.findall(r"(\w+)\.Arn|\"(\w+)\", \"Arn\"|\"Ref\": \"(\w+)\"", json.dumps(target))
    return next(name for found in names for name in found if name)


def plain(source: Any) -> str:
    """A SourceArn as one text, whatever function of CloudFormation it is made with."""
    if "Fn::GetAtt" in source:
        return f"${{{'.'.join(source['Fn::GetAtt'])}}}"
    text = source["Fn::Sub"]
    if isinstance(text, str):
        return text
    text, variables = text
    for name, value in variables.items():
        given = f"${{{value['Ref']}}}" if isinstance(value, dict) else value
        text = text.replace(f"${{{name}}}", given)
    return str(text)


ACCOUNT_OF_API = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:"
LOG_GROUP = "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:"
Invocation = tuple[str, str, str]  # function, service, source


def invocations(resources: dict[str, Any]) -> Iterator[Invocation]:
    """Who invokes which function, by what the template connects."""
    for name, rule in of_type(resources, "AWS::Events::Rule").items():
        for target in rule["Targets"]:
            yield function_in(target["Arn"]), "events.amazonaws.com", f"${{{name}.Arn}}"
    for subscription in of_type(resources, "AWS::Logs::SubscriptionFilter").values():
        source = f"{LOG_GROUP}{subscription['LogGroupName']}:*"
        yield function_in(subscription["DestinationArn"]), "logs.amazonaws.com", source
    for integration in of_type(resources, "AWS::ApiGatewayV2::Integration").values():
        source = f"{ACCOUNT_OF_API}${{{integration['ApiId']['Ref']}}}/*"
        yield function_in(integration["IntegrationUri"]), "apigateway.amazonaws.com", source
    for authorizer in of_type(resources, "AWS::ApiGatewayV2::Authorizer").values():
        source = f"{ACCOUNT_OF_API}${{{authorizer['ApiId']['Ref']}}}/authorizers/*"
        yield function_in(authorizer["AuthorizerUri"]), "apigateway.amazonaws.com", source
    for name, api in of_type(resources, "AWS::ApiGatewayV2::Api").items():
        for path, operations in api.get("Body", {}).get("paths", {}).items():
            for method, operation in operations.items():
                if method == "options":
                    continue  # a preflight, which the API answers itself
                asked = f"{method.upper()}{re.sub(r'{[^}]+}', '*', path)}"
                source = f"{ACCOUNT_OF_API}${{{name}}}/*/{asked}"
                uri = operation["x-amazon-apigateway-integration"]["uri"]
                yield function_in(uri), "apigateway.amazonaws.com", source


def test_a_function_is_invoked_by_those_whom_the_template_connects_and_nobody_else(resources):
    permissions = of_type(resources, "AWS::Lambda::Permission").values()
    allowed = {(function_in(p["FunctionName"]), p["Principal"], plain(p["SourceArn"])) for p in permissions}
    assert allowed == set(invocations(resources))
    assert len(allowed) == len(permissions), "the same twice"


def test_every_permission_names_the_account_in_its_source_or_beside_it(resources):
    """A source without an account could be anybody's of that name."""
    for name, permission in of_type(resources, "AWS::Lambda::Permission").items():
        source = plain(permission["SourceArn"])
        # A resource of this stack is of this account.
        assert "${AWS::AccountId}" in source or source.endswith(".Arn}"), name
        if name in read_template(ROOT / "template.yaml").document["Resources"]:  # ours; SAM's name the source
            assert permission["SourceAccount"] == {"Ref": "AWS::AccountId"}, name


# ---- roles ----------------------------------------


def statements(document: dict[str, Any]) -> list[dict[str, Any]]:
    """A policy's statements, those under a condition of the template among them."""
    return [found["Fn::If"][1] if "Fn::If" in found else found for found in listed(document["Statement"])]


def own_statements(role: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for policy in role.get("Policies", []):
        yield from statements(policy["PolicyDocument"])


def test_a_role_is_for_one_service_of_this_account(resources):
    for name, role in of_type(resources, "AWS::IAM::Role").items():
        (trust,) = statements(role["AssumeRolePolicyDocument"])
        assert set(trust["Principal"]) == {"Service"}, name
        (service,) = listed(trust["Principal"]["Service"])
        assert listed(trust["Action"]) == ["sts:AssumeRole"], name
        if service not in BOUND_TO_ITS_RESOURCE:
            assert trust["Condition"]["StringEquals"]["aws:SourceAccount"] == {"Ref": "AWS::AccountId"}, name


def test_no_role_has_a_managed_policy_without_a_reason(resources):
    for name, role in of_type(resources, "AWS::IAM::Role").items():
        for arn in role.get("ManagedPolicyArns", []):
            text = arn if isinstance(arn, str) else arn["Fn::Sub"]
            assert text.rpartition("/")[2] in MANAGED, name


def test_no_policy_allows_a_family_of_actions_or_what_is_not_named(resources):
    for name, role in of_type(resources, "AWS::IAM::Role").items():
        for statement in own_statements(role):
            assert statement["Effect"] == "Allow", name
            assert not {"NotAction", "NotResource"} & set(statement), name
            assert not [action for action in listed(statement["Action"]) if "*" in action], name


def test_a_role_is_passed_to_a_named_service_only(resources):
    passing = [
        statement
        for role in of_type(resources, "AWS::IAM::Role").values()
        for statement in own_statements(role)
        if "iam:PassRole" in listed(statement["Action"])
    ]
    assert [s["Resource"] for s in passing] == [{"Fn::GetAtt": ["JobRole", "Arn"]}]
    assert passing[0]["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}


def test_what_a_function_fails_on_may_go_to_the_queue_of_lost_events(resources):
    """Lambda sends it in the function's name; a queue's policy lets in nobody but EventBridge."""
    given_up = {
        function_in(mapping["FunctionName"]): mapping["DestinationConfig"]["OnFailure"]["Destination"]
        for mapping in of_type(resources, "AWS::Lambda::EventSourceMapping").values()
    } | {
        name: function["DeadLetterConfig"]["TargetArn"]
        for name, function in of_type(resources, "AWS::Lambda::Function").items()
        if "DeadLetterConfig" in function
    }
    assert len(given_up) >= 5
    for function, queue in given_up.items():
        sends = [
            statement["Resource"]
            for statement in own_statements(resources[f"{function}Role"]["Properties"])
            if "sqs:SendMessage" in listed(statement["Action"])
        ]
        assert queue in sends, function


def test_what_a_rule_can_not_deliver_may_go_to_the_queue_of_lost_events(resources):
    senders = {
        (target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0], name)
        for name, rule in of_type(resources, "AWS::Events::Rule").items()
        for target in rule["Targets"]
    }
    let_in = {
        (queue["Ref"], rule["Fn::GetAtt"][0])
        for policy in of_type(resources, "AWS::SQS::QueuePolicy").values()
        for statement in statements(policy["PolicyDocument"])
        for queue in policy["Queues"]
        if statement["Effect"] == "Allow" and statement["Principal"] == {"Service": "events.amazonaws.com"}
        for rule in statement["Condition"]["ArnEquals"]["aws:SourceArn"]
    }
    assert senders
    assert senders == let_in


def test_no_bucket_is_listed_as_a_whole(resources):
    for name, role in of_type(resources, "AWS::IAM::Role").items():
        for statement in own_statements(role):
            if "s3:ListBucket" in listed(statement["Action"]):
                prefixes = listed(statement["Condition"]["StringLike"]["s3:prefix"])
                assert prefixes, name
                assert not {"", "*"} & set(prefixes), name


def test_every_resource_star_has_its_reason_beside_it():
    lines = (ROOT / "template.yaml").read_text().splitlines()
    stars = [line for line in lines if re.search(r"Resource: *(\[ *)?'\*'", line)]
    assert stars
    assert [line for line in stars if "#" not in line] == []


# ---- stores, topics and APIs ----------------------------------------

POLICIES = {
    "AWS::S3::BucketPolicy": ("AWS::S3::Bucket", lambda policy: [policy["Bucket"]]),
    "AWS::SQS::QueuePolicy": ("AWS::SQS::Queue", lambda policy: policy["Queues"]),
    "AWS::SNS::TopicPolicy": ("AWS::SNS::Topic", lambda policy: policy["Topics"]),
}


@pytest.mark.parametrize("kind", POLICIES)
def test_a_store_takes_nothing_but_tls(resources, kind):
    store, named = POLICIES[kind]
    over_tls = {
        subject["Ref"]
        for policy in of_type(resources, kind).values()
        for statement in statements(policy["PolicyDocument"])
        for subject in named(policy)
        if (statement["Effect"], statement["Principal"]) == ("Deny", "*")
        and str(statement["Condition"]["Bool"]["aws:SecureTransport"]).lower() == "false"
    }
    assert over_tls == set(of_type(resources, store))


@pytest.mark.parametrize("kind", POLICIES)
def test_a_store_is_open_to_services_of_this_account_only(resources, kind):
    for name, policy in of_type(resources, kind).items():
        for statement in statements(policy["PolicyDocument"]):
            if statement["Effect"] == "Deny":
                continue
            assert set(statement["Principal"]) == {"Service"}, name
            if "ArnEquals" in statement["Condition"]:  # resources of the stack itself
                arns = statement["Condition"]["ArnEquals"]["aws:SourceArn"]
                assert {arn["Fn::GetAtt"][0] for arn in arns} <= set(resources), name
                continue
            tests = statement["Condition"]["StringEquals"]
            source = tests.get("aws:SourceAccount") or tests.get("AWS:SourceArn") or tests["aws:SourceArn"]
            assert "AWS::AccountId" in json.dumps(source), name


def test_every_bucket_is_closed_to_the_public(resources):
    buckets = of_type(resources, "AWS::S3::Bucket")
    assert len(buckets) >= 2
    for name, bucket in buckets.items():
        block = bucket["PublicAccessBlockConfiguration"]
        assert set(block.values()) == {True}, name
        assert len(block) == 4, name


def test_no_api_is_called_without_a_limit(resources):
    stages = of_type(resources, "AWS::ApiGatewayV2::Stage")
    assert len(stages) == len(of_type(resources, "AWS::ApiGatewayV2::Api"))
    for name, stage in stages.items():
        limits = stage["DefaultRouteSettings"]
        assert 0 < limits["ThrottlingRateLimit"] <= limits["ThrottlingBurstLimit"] <= 1000, name
