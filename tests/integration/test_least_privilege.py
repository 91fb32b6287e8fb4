"""What each role of the stack may not do: asked of an engine that enforces IAM, in the role's own name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from botocore.exceptions import ClientError

from spaceport_local.cloud import LocalCloud
from spaceport_local.endpoint import REGION, Credentials, Endpoint

pytestmark = pytest.mark.engine
DENIALS = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "ForbiddenException", "403"}
# Nothing of it is there: a role that may make a call gets another error, or nothing happens.
JOB, KEY = "no-such-job", {"jobId": {"S": "no-such-job"}}


@dataclass(frozen=True)
class Place:
    """The names of the stack's things."""

    resource: Callable[[str], str]

    def arn(self, service: str, rest: str) -> str:
        return f"arn:aws:{service}:{REGION}:000000000000:{rest}"


@dataclass(frozen=True)
class Deed:
    """A call, and who alone may make it, of the roles that the stack has."""

    service: str
    operation: str
    parameters: Callable[[Place], dict[str, Any]]
    allowed: frozenset[str] = frozenset()


def deed(service: str, operation: str, parameters: Callable[[Place], dict[str, Any]], *allowed: str) -> Deed:
    return Deed(service, operation, parameters, frozenset(allowed))


DEEDS: dict[str, Deed] = {
    "read somebody's photos": deed(
        "s3",
        "get_object",
        lambda at: {"Bucket": at.resource("UploadsBucket"), "Key": "uploads/alice/beach.zip"},
        *("IngestUpload", "IngestBatch", "ServeApi", "JobRole"),
    ),
    "list all uploads": deed("s3", "list_objects_v2", lambda at: {"Bucket": at.resource("UploadsBucket")}),
    "list all results": deed("s3", "list_objects_v2", lambda at: {"Bucket": at.resource("DataBucket")}),
    "list what is beside the jobs' results": deed(
        "s3", "list_objects_v2", lambda at: {"Bucket": at.resource("DataBucket"), "Prefix": "trail/"}
    ),
    "read a result": deed(
        "s3",
        "get_object",
        lambda at: {"Bucket": at.resource("DataBucket"), "Key": f"jobs/{JOB}/gaussian/model.ply"},
        *("CheckScene", "PublishResult", "JobRole"),
    ),
    "write beside the jobs' results": deed(
        "s3", "put_object", lambda at: {"Bucket": at.resource("DataBucket"), "Key": "elsewhere", "Body": b""}
    ),
    "read what a link shows": deed(
        "s3",
        "get_object",
        lambda at: {"Bucket": at.resource("DataBucket"), "Key": "shared/none/none/model.sog"},
        "ServeShared",
    ),
    "take back links": deed(
        "dynamodb",
        "delete_item",
        lambda at: {"TableName": at.resource("LinksTable"), "Key": {**KEY, "digest": {"S": "none"}}},
        *("ShareResults", "ForgetJob"),
    ),
    "read links": deed("dynamodb", "scan", lambda at: {"TableName": at.resource("LinksTable")}),
    "delete a result": deed(
        "s3",
        "delete_object",
        lambda at: {"Bucket": at.resource("DataBucket"), "Key": f"jobs/{JOB}/nothing"},
        *("PublishResult", "SettleExecution", "ReconcileJobs", "ForgetJob", "TidyJobs"),
    ),
    "open a bucket to the public": deed(
        "s3", "put_bucket_policy", lambda at: {"Bucket": at.resource("DataBucket"), "Policy": "{}"}
    ),
    "read all rows": deed("dynamodb", "scan", lambda at: {"TableName": at.resource("JobsTable")}),
    "delete a row": deed(
        "dynamodb", "delete_item", lambda at: {"TableName": at.resource("JobsTable"), "Key": KEY}
    ),
    "delete the rows' table": deed(
        "dynamodb", "delete_table", lambda at: {"TableName": at.resource("JobsTable")}
    ),
    "use up a ticket": deed(
        "dynamodb",
        "delete_item",
        lambda at: {"TableName": at.resource("TicketsTable"), "Key": {"digest": {"S": "none"}}},
        "AuthorizeSocket",
    ),
    "read tickets": deed("dynamodb", "scan", lambda at: {"TableName": at.resource("TicketsTable")}),
    "start an execution": deed(
        "stepfunctions",
        "start_execution",
        # Refused by its name, where it isn't by the policy.
        lambda at: {"stateMachineArn": at.resource("Pipeline"), "name": "no name"},
        "DispatchJobs",
    ),
    "change the state machine": deed(
        "stepfunctions", "update_state_machine", lambda at: {"stateMachineArn": at.resource("Pipeline")}
    ),
    "run a job with a role of its choice": deed(
        "sagemaker",
        "create_processing_job",
        lambda at: {
            "ProcessingJobName": JOB,
            "RoleArn": at.arn("iam", f"role/{at.resource('JobRole')}"),
            "AppSpecification": {"ImageUri": "none:latest"},
            "ProcessingResources": {
                "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.c6i.4xlarge", "VolumeSizeInGB": 30}
            },
        },
        "PipelineRole",  # which passes it no role but the job's, and to nobody but SageMaker
    ),
    "stop a job": deed(
        "sagemaker",
        "stop_training_job",
        lambda at: {"TrainingJobName": JOB},
        *("ClassifyFailure", "SettleExecution", "ReconcileJobs", "ServeApi", "PipelineRole"),
    ),
    "read the operator's password": deed(
        "secretsmanager", "get_secret_value", lambda at: {"SecretId": at.resource("AccessToken")}
    ),
    "make itself an admin": deed(
        "cognito-idp",
        "admin_add_user_to_group",
        lambda at: {"UserPoolId": at.resource("UserPool"), "Username": "x", "GroupName": "admins"},
    ),
    "give itself rights": deed(
        "iam",
        "put_role_policy",
        lambda at: {"RoleName": at.resource("JobRole"), "PolicyName": "all", "PolicyDocument": "{}"},
    ),
    "call a function": deed(
        "lambda",
        "invoke",
        # Asked only whether it might: a dry run calls nothing.
        lambda at: {"FunctionName": at.resource("PublishResult"), "InvocationType": "DryRun"},
        "PipelineRole",
    ),
    "change a function": deed(
        "lambda",
        "update_function_configuration",
        lambda at: {"FunctionName": at.resource("ServeApi"), "Timeout": 31},
    ),
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    cloud = LocalCloud(data_dir=tmp_path_factory.mktemp("cloud"), enforce_iam=True)
    cloud.up()
    yield cloud
    cloud.down()


@pytest.fixture(scope="module")
def resources(cloud: LocalCloud) -> dict[str, dict[str, str]]:
    """Logical id → the resource's summary."""
    pages = (
        cloud.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName="spaceport")
    )
    return {entry["LogicalResourceId"]: entry for page in pages for entry in page["StackResourceSummaries"]}


@pytest.fixture(scope="module")
def acting(cloud: LocalCloud, resources: dict[str, Any]) -> dict[str, Callable[[str], Any]]:
    """Who → makes clients with that role's rights. A function's role goes by the function's name."""
    address = cloud.api_url()
    endpoint = Endpoint(int(address.split(":")[2].split("/")[0]))
    sts, iam = cloud.client("sts"), cloud.client("iam")
    everybody = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}

    def clients(role: str) -> Callable[[str], Any]:
        arn = f"arn:aws:iam::000000000000:role/{role}"
        # The roles are for services; this engine is the test's own.
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps({"Statement": [everybody]}))
        made = sts.assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
        keys = Credentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
        return cache(lambda service: endpoint.client(service, credentials=keys))

    roles = {name: found for name, found in resources.items() if found["ResourceType"] == "AWS::IAM::Role"}
    functions = {n for n, found in resources.items() if found["ResourceType"] == "AWS::Lambda::Function"}
    return {
        function if (function := name.removesuffix("Role")) in functions else name: clients(
            found["PhysicalResourceId"]
        )
        for name, found in roles.items()
    }


@pytest.mark.parametrize("what", DEEDS)
def test_only_those_who_must_may(
    what: str, acting: dict[str, Callable[[str], Any]], resources: dict[str, Any]
):
    deed = DEEDS[what]
    parameters = deed.parameters(Place(lambda name: resources[name]["PhysicalResourceId"]))

    def may(client: Any) -> bool:
        try:
            getattr(client, deed.operation)(**parameters)
        except ClientError as error:
            return error.response["Error"]["Code"] not in DENIALS
        return True

    assert {who for who, client in acting.items() if may(client(deed.service))} == deed.allowed


def test_every_role_was_asked(acting: dict[str, Callable[[str], Any]], resources: dict[str, Any]):
    functions = {n for n, found in resources.items() if found["ResourceType"] == "AWS::Lambda::Function"}
    assert functions | {"JobRole", "PipelineRole"} <= set(acting)
