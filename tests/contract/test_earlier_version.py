"""A stack of the earlier version can be updated to this template without losing what it holds.

Read in the two templates; `tests/integration/test_update.py` does it. Which properties replace a resource is
AWS's "Update requires: Replacement" of each, in the CloudFormation template reference.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from earlier_version import unpack

from spaceport_local.template import read_template

ROOT = Path(__file__).resolve().parents[2]
# By the types of what holds data, accounts, or addresses that others keep: the properties that a change of
# would replace it, can't change, or that make its secret anew.
LASTING: dict[str, tuple[str, ...]] = {
    "AWS::DynamoDB::Table": ("TableName", "KeySchema", "LocalSecondaryIndexes", "ImportSourceSpecification"),
    "AWS::S3::Bucket": ("BucketName", "ObjectLockEnabled"),
    "AWS::Cognito::UserPool": (
        "UserPoolName", "AliasAttributes", "UsernameAttributes", "UsernameConfiguration", "Schema",
    ),
    "AWS::Cognito::UserPoolClient": ("UserPoolId", "GenerateSecret"),
    "AWS::Cognito::UserPoolUser": ("UserPoolId", "Username"),
    "AWS::SecretsManager::Secret": ("Name", "GenerateSecretString"),
    "AWS::Logs::LogGroup": ("LogGroupName",),
    "AWS::SQS::Queue": ("QueueName", "FifoQueue"),
    "AWS::SNS::Topic": ("TopicName", "FifoTopic"),
    "AWS::ApiGatewayV2::Api": ("ProtocolType",),
    "AWS::Serverless::HttpApi": ("StageName",),
    "AWS::Serverless::StateMachine": ("Name", "Type"),
    "AWS::CloudFront::Distribution": (),
}  # fmt: skip
NOW: dict[str, Any] = read_template(ROOT / "template.yaml").document["Resources"]


@pytest.fixture(scope="module")
def earlier(tmp_path_factory) -> dict[str, Any]:
    """The earlier template's resources that last."""
    folder = unpack(tmp_path_factory.mktemp("earlier"), ROOT / "node_modules")
    resources = read_template(folder / "template.yaml").document["Resources"]
    return {name: resource for name, resource in resources.items() if resource["Type"] in LASTING}


def test_what_lasts_has_its_logical_id_type_and_condition_still(earlier):
    told = {name: (NOW.get(name, {}).get("Type"), NOW.get(name, {}).get("Condition")) for name in earlier}
    assert told == {name: (old["Type"], old.get("Condition")) for name, old in earlier.items()}


def test_no_property_that_would_replace_it_has_changed(earlier):
    for name, old in earlier.items():
        for changed in LASTING[old["Type"]]:
            before, now = (one.get("Properties", {}).get(changed) for one in (old, NOW[name]))
            assert now == before, f"{name}.{changed}"


def test_a_key_has_its_type_still_and_one_update_makes_or_deletes_one_index_of_a_table(earlier):
    for name, old in earlier.items():
        if old["Type"] != "AWS::DynamoDB::Table":
            continue
        before, now = old["Properties"], NOW[name]["Properties"]
        types = {one["AttributeName"]: one["AttributeType"] for one in before["AttributeDefinitions"]}
        kept = {one["AttributeName"]: one["AttributeType"] for one in now["AttributeDefinitions"]}
        assert {**types, **kept} == {**kept, **types}, name
        # CloudFormation makes or deletes one a time, and a changed one is both
        old_ones, new_ones = (
            {index["IndexName"]: index for index in table.get("GlobalSecondaryIndexes", ())}
            for table in (before, now)
        )
        assert len(old_ones.keys() ^ new_ones.keys()) <= 1, name
        assert all(old_ones[index] == new_ones[index] for index in old_ones.keys() & new_ones.keys()), name


def test_what_an_update_would_replace_or_remove_is_retained(earlier):
    for name in ("JobsTable", "HistoryTable", "UploadsBucket", "DataBucket", "UserPool"):
        for template in (earlier, NOW):
            assert template[name]["DeletionPolicy"] == template[name]["UpdateReplacePolicy"] == "Retain"
