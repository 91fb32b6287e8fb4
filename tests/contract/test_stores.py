"""Whatever is kept is encrypted, not public, reached by TLS only, and gone when it has served its time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spaceport.links import MAX_DAYS
from spaceport_local.patches.open_results import RESULTS
from spaceport_local.site import POLICY
from spaceport_local.template import read_template

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = read_template(ROOT / "template.yaml").document
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    return {name: resource["Properties"] for name, resource in RESOURCES.items() if resource["Type"] == kind}


BUCKETS, TABLES = of_type("AWS::S3::Bucket"), of_type("AWS::DynamoDB::Table")
# Tables whose rows are a job's: what else a table holds is gone within hours by itself.
KEPT = {"JobsTable", "HistoryTable"}
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"  # AWS's Managed-CachingDisabled
# Days until a bucket's rule deletes what is in it.
LIFECYCLE = {
    "UploadsBucket": {"uploads": {"ExpirationInDays": 7}, "unfinished": {"DaysAfterInitiation": 1}},
    "DataBucket": {"unfinished": {"DaysAfterInitiation": 1}, "shared": {"ExpirationInDays": MAX_DAYS + 1}},
    "TrailBucket": {"year": {"ExpirationInDays": 365}},
}


def insecure_refusals(kind: str, names: str, prefix: str) -> dict[str, list[Any]]:
    """By what each policy of this kind is about: the resources on which all insecure calls are refused."""
    found: dict[str, list[Any]] = {}
    for policy in of_type(kind).values():
        about = policy[names][0]["Ref"] if isinstance(policy[names], list) else policy[names]["Ref"]
        for statement in policy["PolicyDocument"]["Statement"]:
            if statement.get("Effect") == "Deny":
                assert statement["Principal"] == "*"
                assert statement["Action"].startswith(prefix)
                assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
                found[about] = statement["Resource"]
    return found


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_bucket_is_encrypted_and_not_public(bucket: str):
    properties = BUCKETS[bucket]
    (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    blocked = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    assert properties["PublicAccessBlockConfiguration"] == dict.fromkeys(blocked, True)


def test_buckets_queues_and_topics_are_reached_by_tls_only():
    objects = {name: [{"Fn::GetAtt": [name, "Arn"]}, {"Fn::Sub": f"${{{name}.Arn}}/*"}] for name in BUCKETS}
    assert insecure_refusals("AWS::S3::BucketPolicy", "Bucket", "s3:*") == objects
    queues = {name: {"Fn::GetAtt": [name, "Arn"]} for name in of_type("AWS::SQS::Queue")}
    assert insecure_refusals("AWS::SQS::QueuePolicy", "Queues", "sqs:*") == queues
    topics = {name: {"Ref": name} for name in of_type("AWS::SNS::Topic")}
    assert insecure_refusals("AWS::SNS::TopicPolicy", "Topics", "sns:") == topics


def test_what_a_bucket_holds_for_a_time_only_is_deleted_in_time():
    for bucket, rules in LIFECYCLE.items():
        told = {rule["Id"]: rule for rule in BUCKETS[bucket]["LifecycleConfiguration"]["Rules"]}
        for name, days in rules.items():
            assert told[name]["Status"] == "Enabled"
            assert (
                days.items() <= {**told[name], **told[name].get("AbortIncompleteMultipartUpload", {})}.items()
            )


@pytest.mark.parametrize("table", TABLES)
def test_a_table_is_encrypted_and_either_kept_or_gone_by_itself(table: str):
    properties = TABLES[table]
    assert properties["SSESpecification"] == {"SSEEnabled": True}
    if table in KEPT:
        assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert properties["DeletionProtectionEnabled"] == {"Fn::If": ["ProtectsTables", True, False]}
        assert RESOURCES[table]["DeletionPolicy"] == RESOURCES[table]["UpdateReplacePolicy"] == "Retain"
    elif table != "QueueTable":  # one item, which dispatch can make anew from the rows
        assert properties["TimeToLiveSpecification"]["Enabled"]


def test_queues_are_encrypted_and_keep_what_they_got_as_long_as_can_be():
    for queue in of_type("AWS::SQS::Queue").values():
        assert queue["SqsManagedSseEnabled"] is True
        assert queue["MessageRetentionPeriod"] == 14 * 24 * 3600


def test_every_log_is_in_a_group_that_forgets():
    groups = of_type("AWS::Logs::LogGroup")
    assert {group["RetentionInDays"]["Ref"] for group in groups.values()} == {"LogDays"}
    # Functions: all by the default, none by its own
    everywhere = TEMPLATE["Globals"]["Function"]["LoggingConfig"]
    assert everywhere["LogGroup"]["Ref"] in groups
    assert all("LoggingConfig" not in function for function in of_type("AWS::Serverless::Function").values())
    # The state machine tells errors, and no data
    logging = RESOURCES["Pipeline"]["Properties"]["Logging"]
    assert (logging["Level"], logging["IncludeExecutionData"]) == ("ERROR", False)
    # Both APIs
    stages = [RESOURCES[name]["Properties"]["AccessLogSettings"] for name in ("HttpApi", "WebSocketStage")]
    for settings in stages:
        assert settings["DestinationArn"]["Fn::GetAtt"][0] in groups


@pytest.mark.parametrize("api", ["HttpApi", "WebSocketStage"])
def test_an_access_log_never_has_the_query_string_or_the_path(api: str):
    # The WebSocket's has the ticket, a link's path has its token. These are the variables that have them, or
    # the whole request line.
    told = RESOURCES[api]["Properties"]["AccessLogSettings"]["Format"]
    assert "$context.status" in told
    for variable in (
        "querystring",
        "requestOverride",
        "$context.authorizer.ticket",
        "$input",
        "$context.path",
    ):
        assert variable not in told


@pytest.mark.parametrize("api", ["HttpApi", "WebSocketStage"])
def test_an_api_is_throttled(api: str):
    limits = RESOURCES[api]["Properties"]["DefaultRouteSettings"]
    assert 0 < limits["ThrottlingRateLimit"] <= limits["ThrottlingBurstLimit"]


def test_the_site_shows_results_and_nothing_else():
    (allowed,) = [
        part["Fn::If"][1]
        for part in RESOURCES["DataPolicy"]["Properties"]["PolicyDocument"]["Statement"]
        if "Fn::If" in part
    ]
    assert allowed["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    assert allowed["Action"] == "s3:GetObject"
    of_a_job = "${DataBucket.Arn}/jobs/*/"
    assert [resource["Fn::Sub"] for resource in allowed["Resource"]] == [of_a_job + name for name in RESULTS]
    assert allowed["Condition"]["StringEquals"]["aws:SourceArn"]["Fn::Sub"].endswith(
        "distribution/${Distribution}"
    )


def test_what_the_site_shows_is_never_long_out_of_date():
    # A job that is retried, or deleted, has results of the same names
    distribution = RESOURCES["Distribution"]["Properties"]["DistributionConfig"]
    for shown in (distribution["DefaultCacheBehavior"], *distribution["CacheBehaviors"]):
        if shown["CachePolicyId"] != CACHING_DISABLED:
            caching = RESOURCES[shown["CachePolicyId"]["Ref"]]["Properties"]["CachePolicyConfig"]
            assert caching["MinTTL"] <= caching["DefaultTTL"] <= caching["MaxTTL"] <= 60
        headers = RESOURCES[shown["ResponseHeadersPolicyId"]["Ref"]]["Properties"]
        custom = headers["ResponseHeadersPolicyConfig"]["CustomHeadersConfig"]["Items"]
        assert {"Header": "Cache-Control", "Value": "no-cache", "Override": True} in custom


def test_the_app_has_the_policy_that_the_local_cloud_gives_it():
    told = RESOURCES["AppHeaders"]["Properties"]["ResponseHeadersPolicyConfig"]["SecurityHeadersConfig"]
    policy = told["ContentSecurityPolicy"]["ContentSecurityPolicy"]
    # The page itself narrows `https:` and `wss:` to its cloud's hosts (`spaceport publish-web`)
    assert policy == POLICY.format(api=" https:", sockets="https: wss:")


def custom_resources() -> set[str]:
    """The functions behind resources of our own."""
    return {
        resource["Properties"]["ServiceToken"]["Fn::GetAtt"][0]
        for resource in RESOURCES.values()
        if resource["Type"].startswith("Custom::")
    }


def test_the_network_has_no_way_out():
    kinds = {resource["Type"] for resource in RESOURCES.values()}
    assert kinds.isdisjoint({"AWS::EC2::InternetGateway", "AWS::EC2::NatGateway", "AWS::EC2::Route"})
    # Only what posts to the WebSocket API's public address is not in it, what asks Cognito and SES, and what
    # answers CloudFormation itself: it is called when the endpoints are not there yet, or no longer, and a
    # deployment waits an hour for it
    posting, answering = {"BroadcastStatus", "ServeSocket"}, custom_resources()
    outside = {
        name
        for name, function in of_type("AWS::Serverless::Function").items()
        if function.get("VpcConfig") == {"Ref": "AWS::NoValue"}
    }
    assert answering == {"EnsureLogGroups"}
    assert outside == {*posting, *answering, "NotifyOwner"}
    assert {
        RESOURCES[name]["Properties"]["Environment"]["Variables"]["WEBSOCKET_ENDPOINT"]["Fn::Sub"]
        for name in posting
    } == {"https://${WebSocketApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}/prod"}


def test_what_is_on_demand_is_off_by_default():
    defaults = {
        name: TEMPLATE["Parameters"][name]["Default"] for name in ("PrivateNetwork", "Site", "DataEvents")
    }
    assert set(defaults.values()) == {"false"}
    conditions = {resource.get("Condition") for resource in RESOURCES.values()}
    assert {"HasNetwork", "HasSite", "NotesDataEvents"} <= conditions
