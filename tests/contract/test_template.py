"""What holds the template, the state machine, the handlers and the contract package together.

Static: nothing is started. Each test fails when one side changes without the other.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from aws_lambda_powertools.utilities.parser.models import (
    EventBridgeModel,
    S3EventNotificationEventBridgeModel,
)
from pydantic import BaseModel

from spaceport.attempts import MACHINES, SPOT_LIMITS, TRIES_OF_AN_ENTRY, Attempt, Remedy
from spaceport.callers import ADMINS
from spaceport.changes import DETAIL_TYPE, JobChanged
from spaceport.job import OPERATOR, JobInput
from spaceport.plan import Plan
from spaceport.stages import ACTIVE, JOB_STAGES, STAGES, TRAINING, Status

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/app.py"))


class TemplateLoader(yaml.SafeLoader):
    """Reads CloudFormation's tags as one-key maps: `!Ref X` is {"Ref": "X"}."""


def _tag(loader: TemplateLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {suffix: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {suffix: loader.construct_mapping(node, deep=True)}


TemplateLoader.add_multi_constructor("!", _tag)

TEMPLATE = yaml.load((ROOT / "template.yaml").read_text(), TemplateLoader)
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
ASL: dict[str, Any] = json.loads((ROOT / "statemachine" / "pipeline.asl.json").read_text())
STATES: dict[str, Any] = ASL["States"]


def functions_in_template() -> dict[str, dict[str, Any]]:
    """Folder name → the function's properties."""
    return {
        Path(resource["Properties"]["CodeUri"]).name: resource["Properties"]
        for resource in RESOURCES.values()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def settings_of(function: str) -> tuple[set[str], set[str]]:
    """(required, optional) environment variables: the fields of the handler's Settings class."""
    tree = ast.parse((ROOT / "functions" / function / "app.py").read_text())
    required, optional = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == "Settings":
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    (optional if field.value else required).add(field.target.id.upper())
    return required, optional


def actions_of(properties: dict[str, Any]) -> set[str]:
    """The IAM actions that a function's or state machine's inline policies allow."""
    found: set[str] = set()
    for policy in properties.get("Policies", []):
        for statement in policy["Statement"]:
            action = statement["Action"]
            found |= {action} if isinstance(action, str) else set(action)
    return found


# ---- functions ----------------------------------------


def test_every_function_folder_is_in_the_template_and_the_other_way_round():
    assert set(FUNCTIONS) == set(functions_in_template())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_gets_exactly_the_environment_it_reads(function: str):
    given = set(functions_in_template()[function].get("Environment", {}).get("Variables", {}))
    required, optional = settings_of(function)
    assert required <= given, "read, but not set"
    assert given <= required | optional, "set, but not read"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_handler_reads_the_environment_behind_its_settings(function: str):
    source = (ROOT / "functions" / function / "app.py").read_text()
    assert "os.environ" not in source
    assert "getenv" not in source


# What the calls in handlers and adapters need. A new boto3 call makes the test fail until it is listed here.
IAM_OF_CALL = {
    "get_item": "dynamodb:GetItem",
    "batch_get_item": "dynamodb:BatchGetItem",
    "put_item": "dynamodb:PutItem",
    "update_item": "dynamodb:UpdateItem",
    "delete_item": "dynamodb:DeleteItem",
    "query": "dynamodb:Query",
    "create_multipart_upload": "s3:PutObject",
    "upload_part": "s3:PutObject",  # signed for others to call, as get_object is for a link's holder
    "complete_multipart_upload": "s3:PutObject",
    "abort_multipart_upload": "s3:AbortMultipartUpload",
    "list_parts": "s3:ListMultipartUploadParts",
    "head_object": "s3:GetObject",
    "get_object": "s3:GetObject",
    "put_object": "s3:PutObject",
    "copy_object": "s3:PutObject",
    "delete_objects": "s3:DeleteObject",
    "get_paginator": "s3:ListBucket",
    "list_objects_v2": "s3:ListBucket",
    "S3Object": "s3:GetObjectVersion",
    "start_execution": "states:StartExecution",
    "stop_execution": "states:StopExecution",
    "describe_execution": "states:DescribeExecution",
    "stop_training_job": "sagemaker:StopTrainingJob",
    "stop_processing_job": "sagemaker:StopProcessingJob",
    "admin_get_user": "cognito-idp:AdminGetUser",
    "send_email": "ses:SendEmail ses:SendRawEmail",  # by what Content is: Simple, or Raw
    "batch_writer": "dynamodb:BatchWriteItem",
    "delete_object": "s3:DeleteObjectVersion",
    "describe_log_streams": "logs:DescribeLogStreams",
    "delete_log_stream": "logs:DeleteLogStream",
    "put_events": "events:PutEvents",
    "create_log_group": "logs:CreateLogGroup",
    "post_to_connection": "execute-api:ManageConnections",
    "delete_connection": "execute-api:ManageConnections",
}
# Methods of our adapters → the boto3 calls they make.
ADAPTERS = {
    ("jobs", "create"): ["put_item"],
    ("jobs", "get"): ["get_item"],
    ("jobs", "knows"): ["get_item"],
    ("jobs", "many"): ["batch_get_item"],
    ("jobs", "waiting"): ["query"],
    ("jobs", "open_batches"): ["query"],
    ("jobs", "join"): ["update_item"],
    ("jobs", "sum_up"): ["update_item"],
    ("jobs", "place"): ["update_item"],
    ("jobs", "begin"): ["update_item"],
    ("jobs", "progress"): ["update_item"],
    ("jobs", "note_scene"): ["update_item"],
    ("jobs", "complete"): ["update_item"],
    ("jobs", "fail"): ["update_item"],
    ("jobs", "settle"): ["update_item"],
    ("jobs", "request_stop"): ["update_item"],
    ("jobs", "stop_queued"): ["update_item"],
    ("jobs", "reopen"): ["put_item"],
    ("jobs", "discard_artifacts"): ["update_item"],
    ("jobs", "artifacts_discarded"): ["update_item"],
    ("jobs", "page"): ["query", "get_item"],
    ("jobs", "with_status"): ["query"],
    ("jobs", "awaiting_discard"): ["query"],
    ("jobs", "claim_notification"): ["update_item"],
    ("jobs", "notified"): ["update_item"],
    ("addressees", "of"): ["admin_get_user"],
    ("jobs", "delete"): ["update_item"],
    ("jobs", "discard_intermediates"): ["update_item"],
    ("jobs", "intermediates_discarded"): ["update_item"],
    ("jobs", "entomb"): ["put_item"],
    ("jobs", "deleted"): ["query"],
    ("jobs", "all"): ["query", "get_item"],
    ("history", "append"): ["put_item"],
    ("history", "page"): ["query"],
    ("history", "erase"): ["query", "batch_writer"],
    ("connections", "drop"): ["query", "delete_item"],
    ("links", "put"): ["put_item"],
    ("links", "of"): ["query"],
    ("links", "find"): ["query", "get_item"],
    ("links", "remove"): ["delete_item"],
    ("listed_objects", "pages"): ["get_paginator"],
    ("listed_objects", "delete"): ["delete_objects"],
    ("shared_files", "copy"): ["get_paginator", "copy_object"],
    ("shared_files", "erase"): ["get_paginator", "delete_objects"],
    ("shared_files", "page"): ["get_object"],
    ("shared_files", "address"): ["get_object"],
    # A copy reads, too.
    ("sharing", "share"): [
        *("query", "put_item", "get_paginator", "get_object", "copy_object", "get_item"),
        *("delete_objects", "delete_item"),
    ],
    ("sharing", "revoke"): ["query", "delete_item", "get_paginator", "delete_objects"],
    ("visits", "open"): ["query", "get_item"],
    ("artifacts", "discard_folders"): ["get_paginator", "delete_objects"],
    ("erasure", "erase"): [
        *("get_paginator", "delete_objects", "delete_object", "describe_log_streams", "delete_log_stream"),
        *("query", "delete_item", "batch_writer", "put_item"),
    ],
    ("sagemaker_tasks", "stop"): ["stop_training_job", "stop_processing_job"],
    ("artifacts", "discard"): ["get_paginator", "delete_objects"],
    ("artifacts", "discard_older"): ["get_paginator", "delete_objects"],
    ("artifacts", "first_missing"): ["list_objects_v2"],
    ("artifacts", "changed"): ["list_objects_v2"],
    ("slots", "read"): ["get_item"],
    ("slots", "write"): ["put_item"],
    # Put others together.
    ("batches", "take"): ["get_object", "head_object", "S3Object", "get_item", "put_item", "update_item"],
    ("summing", "sum_up"): ["get_item", "batch_get_item", "update_item"],
    ("dispatching", "dispatch"): [
        *("get_item", "put_item", "batch_get_item", "query", "update_item", "start_execution"),
    ],
    ("claiming", "claim"): ["put_item", "get_item", "update_item", "list_objects_v2"],
    ("settlement", "settle"): [
        *("stop_training_job", "stop_processing_job", "update_item", "get_paginator", "delete_objects"),
        "list_objects_v2",
    ],
    ("partial_results", "of"): ["list_objects_v2"],
    ("starting", "start"): ["head_object", "S3Object", "get_item", "put_item"],
    ("stopping", "stop"): [
        *("get_item", "update_item", "stop_execution", "stop_training_job", "stop_processing_job"),
    ],
    ("stopping", "halt"): ["stop_execution", "stop_training_job", "stop_processing_job"],
    ("intake", "judge"): ["head_object", "S3Object"],
    ("intake", "newest_version"): ["head_object"],
    ("executions", "start"): ["start_execution"],
    ("executions", "stop"): ["stop_execution"],
    ("executions", "of"): ["describe_execution"],
    ("connections", "subscribe"): ["query", "put_item"],
    ("connections", "snapshot_sent"): ["put_item"],
    ("connections", "await_snapshot"): ["query"],
    ("connections", "followers"): ["query"],
    ("connections", "unsubscribe"): ["delete_item"],
    ("connections", "forget"): ["query", "delete_item"],
    ("sockets", "post"): ["post_to_connection", "delete_connection"],
    ("tickets", "issue"): ["put_item"],
    ("tickets", "redeem"): ["delete_item"],
    ("uploads", "begin"): ["create_multipart_upload"],
    ("uploads", "addresses"): ["upload_part"],
    ("uploads", "parts"): ["list_parts"],
    ("uploads", "complete"): ["list_parts", "complete_multipart_upload", "abort_multipart_upload"],
    ("uploads", "abort"): ["abort_multipart_upload"],
    ("uploads", "s3_uri"): [],
    ("delivered", "read"): ["get_object"],
    ("delivered", "write"): ["put_object"],
    ("delivered", "link"): [],
    ("delivered", "give_media_types"): ["get_paginator", "copy_object"],
}
CLIENTS = {"s3", "step_functions", "logs", "event_bus", "ses"}


def aws_calls(function: str) -> set[str]:
    """The boto3 calls that a handler makes, directly or through an adapter."""
    calls: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / "functions" / function / "app.py").read_text())):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            owner, method = node.func.value.id, node.func.attr
            if owner in CLIENTS:
                calls.add(method)
            elif owner in {owner for owner, _ in ADAPTERS}:
                calls |= set(ADAPTERS[owner, method])
    return calls


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_may_do_what_it_calls_and_no_more(function: str):
    needed = {action for call in aws_calls(function) for action in IAM_OF_CALL[call].split()}
    allowed = actions_of(functions_in_template()[function])
    failure_destination = {"sqs:SendMessage"}  # the event source mapping's, not the code's
    assert needed <= allowed, "called, but not allowed"
    assert allowed - failure_destination <= needed, "allowed, but not called"


def signed_in(call: ast.Call) -> str | None:
    """The call that an address is signed for, and that whoever has it makes."""
    if not (isinstance(call.func, ast.Attribute) and call.func.attr == "generate_presigned_url"):
        return None
    return str(ast.literal_eval(call.args[0]))


def test_adapters_make_the_calls_that_the_table_says():
    clients = {
        "jobs": "_table", "connections": "_table", "tickets": "_table", "sockets": "_management",
        "executions": "_step_functions", "sagemaker_tasks": "_sagemaker", "intake": "_s3",
        "artifacts": "_s3", "delivered": "_s3", "uploads": "_s3", "history": "_table",
        "slots": "_table", "links": "_table", "shared_files": "_s3", "listed_objects": "_s3",
    }  # fmt: skip
    for module, names in clients.items():
        tree = ast.parse((ROOT / "spaceport" / f"{module}.py").read_text())
        made = {
            signed_in(node) or node.func.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Attribute)
            and (
                node.func.value.attr == names or ast.unparse(node.func.value).endswith(f"{names}.meta.client")
            )
        }
        made |= {
            node.func.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "S3Object"
        }
        if module in {"artifacts", "shared_files"}:
            made |= {
                call for (owner, _), calls in ADAPTERS.items() if owner == "listed_objects" for call in calls
            }
        told = {call for (owner, _), calls in ADAPTERS.items() if owner == module for call in calls}
        assert made == told


def test_every_lambda_that_a_service_invokes_has_a_permission_with_its_source():
    permissions = [r["Properties"] for r in RESOURCES.values() if r["Type"] == "AWS::Lambda::Permission"]
    assert {p["FunctionName"]["Ref"] for p in permissions} == {
        "RecordProgress",
        "ServeSocket",
        "AuthorizeSocket",
    }
    for permission in permissions:
        assert "SourceArn" in permission
        assert "SourceAccount" in permission


# ---- APIs ----------------------------------------


def test_no_event_is_lost_unseen():
    for function, properties in functions_in_template().items():
        for event in properties.get("Events", {}).values():
            source = event["Properties"]
            if event["Type"] in {"EventBridgeRule", "Schedule"}:
                # Two ways to lose it: it never reaches the function, or the function fails on it.
                assert source["DeadLetterConfig"]["Arn"] == {"GetAtt": "LostEvents.Arn"}, function
                assert properties["DeadLetterQueue"]["TargetArn"] == {"GetAtt": "LostEvents.Arn"}, function
            elif event["Type"] != "HttpApi":  # whose caller hears of a failure
                destination = source["DestinationConfig"]["OnFailure"]["Destination"]
                assert destination == {"GetAtt": "LostEvents.Arn"}, function


def test_rules_for_changes_of_jobs_ask_for_what_the_event_tells():
    patterns = [
        event["Properties"]["Pattern"]
        for properties in functions_in_template().values()
        for event in properties.get("Events", {}).values()
        if event["Type"] == "EventBridgeRule"
    ]
    ours = [pattern for pattern in patterns if pattern["detail-type"] == [DETAIL_TYPE]]
    assert ours
    # Another stack of the account has the same bus: each has a source of its own
    told_by = functions_in_template()["publish_changes"]["Environment"]["Variables"]["EVENT_SOURCE"]
    assert "${AWS::StackName}" in told_by["Sub"]
    for pattern in ours:
        assert pattern["source"] == [told_by]
        assert set(pattern["detail"]) <= {
            field.alias or name for name, field in JobChanged.model_fields.items()
        }
        assert set(pattern["detail"].get("status", [])) <= set(Status)


def test_the_stream_has_the_two_readers_that_it_serves_well():
    readers = [
        function
        for function, properties in functions_in_template().items()
        for event in properties.get("Events", {}).values()
        if event["Type"] == "DynamoDB"
    ]
    assert sorted(readers) == ["broadcast_status", "publish_changes"]


def test_no_api_without_an_authorizer():
    connect = [
        r["Properties"] for r in RESOURCES.values() if r.get("Properties", {}).get("RouteKey") == "$connect"
    ]
    assert len(connect) == 1
    assert connect[0]["AuthorizationType"] == "CUSTOM"
    apis = {
        r["Type"]
        for r in RESOURCES.values()
        if r["Type"].startswith("AWS::Serverless") and "Api" in r["Type"]
    }
    assert apis == {"AWS::Serverless::HttpApi"}


# For anybody who has a link, whose token is a part of the path.
OPEN_ROUTES = {"/shared/{token}", "/shared/{token}/{proxy+}"}


def test_every_route_of_the_http_api_takes_only_tokens_of_the_user_pool_or_a_link_s():
    auth = RESOURCES["HttpApi"]["Properties"]["Auth"]
    authorizer = auth["Authorizers"][auth["DefaultAuthorizer"]]
    assert authorizer["IdentitySource"] == "$request.header.Authorization"
    assert authorizer["JwtConfiguration"]["issuer"] == {"Sub": "https://${UserPool.ProviderName}"}
    assert authorizer["JwtConfiguration"]["audience"] == [{"Ref": "UserPoolClient"}]
    # A route of its own API, or with authorization of its own, would not have the default authorizer.
    routes = [
        event["Properties"]
        for properties in functions_in_template().values()
        for event in properties.get("Events", {}).values()
        if event["Type"] in {"HttpApi", "Api"}
    ]
    assert {route["Path"] for route in routes} == {
        "/start-job", "/stop-job", "/jobs", "/jobs/{jobId}", "/jobs/{jobId}/retry",
        "/jobs/{jobId}/events", "/ws-ticket", "/limits",
        "/uploads", "/uploads/{uploadId}", "/uploads/{uploadId}/parts", "/uploads/{uploadId}/complete",
        "/jobs/{jobId}/share", *OPEN_ROUTES,
    }  # fmt: skip
    for route in routes:
        assert set(route) - {"Auth"} == {"ApiId", "Method", "Path"}
        assert route["ApiId"] == {"Ref": "HttpApi"}
        is_open = route["Path"] in OPEN_ROUTES
        assert route.get("Auth") == ({"Authorizer": "NONE"} if is_open else None)
        assert route["Method"] == "GET" or not is_open


def test_who_has_a_link_only_may_read_little_and_write_nothing():
    assert actions_of(functions_in_template()["serve_shared"]) == {
        *("dynamodb:GetItem", "dynamodb:Query", "s3:GetObject"),
    }


def test_no_page_may_use_the_api_unless_the_stack_names_its_origin():
    rules = RESOURCES["UploadsBucket"]["Properties"]["CorsConfiguration"]["CorsRules"]
    cors = RESOURCES["HttpApi"]["Properties"]["CorsConfiguration"]
    for origins in (cors["AllowOrigins"], *(rule["AllowedOrigins"] for rule in rules)):
        assert origins == [{"Ref": "WebOrigin"}]
    assert "AllowCredentials" not in cors
    origin = TEMPLATE["Parameters"]["WebOrigin"]
    assert origin["Default"].endswith(".invalid")  # a domain that nobody can have: RFC 2606
    assert not re.match(origin["AllowedPattern"], "*")


@pytest.mark.parametrize("function", ["serve_api", "share_results", "serve_shared"])
def test_a_handler_serves_the_routes_of_the_template(function: str):
    routes = {
        (event["Properties"]["Method"].lower(), re.sub(r"\{\w+\}", "{}", event["Properties"]["Path"]))
        for event in functions_in_template()[function]["Events"].values()
    }
    source = (ROOT / "functions" / function / "app.py").read_text()
    served = re.findall(r'^@app\.(get|post|delete)\("(.*)"\)$', source, re.MULTILINE)
    assert {
        (method, re.sub(r"<\w+>", "{}", path).replace("/.+", "/{proxy+}")) for method, path in served
    } == routes


def test_nobody_signs_up_and_the_operator_is_an_admin():
    pool = RESOURCES["UserPool"]["Properties"]
    assert pool["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is True
    assert RESOURCES["AdminsGroup"]["Properties"]["GroupName"] == ADMINS
    assert RESOURCES["OperatorUser"]["Properties"]["Username"] == OPERATOR
    # The operator's password has lower and upper case and digits, no punctuation.
    secret = RESOURCES["AccessToken"]["Properties"]["GenerateSecretString"]
    policy = pool["Policies"]["PasswordPolicy"]
    assert secret["ExcludePunctuation"]
    assert not policy["RequireSymbols"]
    assert secret["PasswordLength"] >= policy["MinimumLength"]


# ---- the state machine ----------------------------------------


def test_stages_and_states_are_the_same():
    assert [stage.state for stage in STAGES if stage.state not in STATES] == []
    jobs = {name for name, state in STATES.items() if "sagemaker" in state.get("Resource", "")}
    assert jobs == {stage.state for stage in JOB_STAGES}


@pytest.mark.parametrize("stage", JOB_STAGES, ids=lambda stage: stage.name)
def test_each_stage_is_entered_by_one_conditional_write_with_its_own_words(stage):
    (enter,) = [state for state in STATES.values() if state.get("Next") == stage.state]
    assert enter["Catch"][0]["ErrorEquals"] == ["DynamoDB.ConditionalCheckFailedException"]
    assert enter["Catch"][0]["Next"] == "ReadStatus"
    update = enter["Parameters"]
    values = update["ExpressionAttributeValues"]
    assert enter["Resource"] == "arn:aws:states:::dynamodb:updateItem"
    assert values[":message"]["S"] == stage.message
    assert values[":stage"]["S"] == stage.name
    assert values[":index"]["N"] == str(stage.index)
    assert update["ExpressionAttributeNames"]["#this"] == stage.name
    assert "ADD #version :one" in update["UpdateExpression"]
    assert "#stageIndex <= :index" in update["ConditionExpression"]
    assert "#executionArn = :execution" in update["ConditionExpression"]
    allowed = set(re.search(r"IN \((.*?)\)", update["ConditionExpression"])[1].split(", "))
    assert {values[name]["S"] for name in allowed} == {status.value for status in ACTIVE}


STAGES_JOBS = [stage.state for stage in JOB_STAGES]
# Where its fault leads on: training refuses what CheckSfM would have refused.
ONLY_LOOKS = {"CheckSfM": "EnterTraining"}


def test_every_task_has_a_timeout_and_every_failure_reaches_fail():
    for name, state in STATES.items():
        if state["Type"] != "Task":
            continue
        assert "TimeoutSeconds" in state, name
        assert state["Catch"][-1]["ErrorEquals"] == ["States.ALL"], name
        after = {
            "RecordFailure": "FailedUnrecorded",
            **dict.fromkeys(STAGES_JOBS, "ClassifyFailure"),
            **ONLY_LOOKS,
        }
        assert state["Catch"][-1]["Next"] == after.get(name, "RecordFailure"), name
    assert STATES["RecordFailure"]["Next"] == "Failed"
    assert STATES["Failed"]["Type"] == STATES["FailedUnrecorded"]["Type"] == "Fail"


def test_a_failed_stage_is_tried_again_or_waits_only_where_the_verdict_says_so():
    rules = {rule["StringEquals"]: rule["Next"] for rule in STATES["ChooseRemedy"]["Choices"]}
    assert rules == {Remedy.AGAIN: "ChooseStep", Remedy.WAIT: "EnterWaiting"}
    assert STATES["ChooseRemedy"]["Default"] == "RecordFailure"
    assert STATES["WaitForMachine"]["Next"] == "ChooseStep"
    # And all of the next attempt is taken over
    taken = {name.removesuffix(".$") for name in STATES["ClassifyFailure"]["ResultSelector"]}
    assert taken == {field.alias for field in Attempt.model_fields.values()}


def test_waiting_is_entered_as_a_stage_is_by_one_conditional_write():
    update, entry = STATES["EnterWaiting"]["Parameters"], STATES["EnterSfM"]["Parameters"]
    assert entry["ConditionExpression"] == f"{update['ConditionExpression']} AND #stageIndex <= :index"
    assert update["ExpressionAttributeValues"][":waiting"] == {"S": Status.WAITING_CAPACITY}
    assert "ADD #version :one" in update["UpdateExpression"]


def test_the_whole_machine_outlives_the_patience_of_all_its_stages():
    longest = TEMPLATE["Parameters"]["CapacityPatienceHours"]["MaxValue"] * 3600
    assert ASL["TimeoutSeconds"] > sum(longest + STATES[name]["TimeoutSeconds"] for name in STAGES_JOBS)


def steps_after(name: str) -> set[str]:
    """The states that may follow a state, by any way."""
    state = STATES[name]
    ways = [state, *state.get("Choices", []), *state.get("Catch", [])]
    return {way["Next"] for way in ways if "Next" in way} | {
        state[key] for key in ["Default"] if key in state
    }


def reachable_from(names: set[str]) -> set[str]:
    found: set[str] = set()
    while names := names - found:
        found |= names
        names = set().union(*(steps_after(name) for name in names))
    return found


def test_no_state_is_out_of_reach():
    assert reachable_from({ASL["StartAt"]}) == set(STATES)


def test_from_a_failure_no_way_leads_to_success():
    failures = {
        catch["Next"]
        for name, state in STATES.items()
        for catch in state.get("Catch", [])
        if catch["ErrorEquals"] == ["States.ALL"]
        and catch["Next"] not in ("ClassifyFailure", ONLY_LOOKS.get(name))
    }
    ends = {name for name in reachable_from(failures) if not steps_after(name)}
    assert {STATES[name]["Type"] for name in ends} == {"Fail"}


def test_sagemaker_job_names_are_new_for_every_attempt():
    for stage, machine in zip(JOB_STAGES, MACHINES.values(), strict=True):
        parameters = STATES[stage.state]["Parameters"]
        (name,) = [value for key, value in parameters.items() if key.endswith("JobName.$")]
        assert f"States.MathAdd($.attempt.{machine}.firstAttempt, $$.State.RetryCount)" in name
        # And its entry tells the row, for a stop, where they begin; and both, which machine it is
        (enter,) = [state for state in STATES.values() if state.get("Next") == stage.state]
        values, kind = enter["Parameters"]["ExpressionAttributeValues"], f"$.attempt.{machine}.instanceType"
        assert f"$.attempt.{machine}.firstAttempt" in values[":first"]["N.$"]
        assert kind in values[":instance"]["S.$"]
        assert f'"InstanceType.$": "{kind}"' in json.dumps(parameters)


def test_a_stop_knows_every_attempt_and_the_kind_of_each_stages_job():
    for stage in JOB_STAGES:
        state = STATES[stage.state]
        assert sum(retry["MaxAttempts"] for retry in state["Retry"]) + 1 == TRIES_OF_AN_ENTRY
        is_training = "createTrainingJob" in state["Resource"]
        assert is_training == (stage is TRAINING)


def test_a_throttled_call_is_tried_again_under_every_name_that_step_functions_has_for_it():
    # The service's own name for it, or its SDK's class
    names = {
        "dynamodb": {
            "DynamoDB.ProvisionedThroughputExceededException",
            "DynamoDB.ThrottlingException",
            "DynamoDB.RequestLimitExceeded",
            "DynamoDB.RequestLimitExceededException",
        },
        "sagemaker": {"SageMaker.ThrottlingException", "SageMaker.AmazonSageMakerException"},
        "lambda": {
            "Lambda.TooManyRequestsException",
            # As the function raises them, once botocore has tried in vain.
            "ProvisionedThroughputExceededException",
            "ThrottlingException",
            "RequestLimitExceeded",
        },
    }
    tasks = {name: state for name, state in STATES.items() if state["Type"] == "Task"}
    for name, state in tasks.items():
        retried = {error for retry in state["Retry"] for error in retry["ErrorEquals"]}
        assert names[state["Resource"].split(":")[5]] <= retried or "States.ALL" in retried, name


def test_training_has_time_for_its_spot_instance():
    spot = SPOT_LIMITS["MaxWaitTimeInSeconds"]
    assert SPOT_LIMITS["MaxRuntimeInSeconds"] <= spot < STATES["RunTraining"]["TimeoutSeconds"]


def test_jobs_run_without_a_network():
    for stage in JOB_STAGES:
        parameters = STATES[stage.state]["Parameters"]
        network = parameters.get("NetworkConfig", parameters)
        assert network["EnableNetworkIsolation"] is True


def test_the_states_read_only_what_the_plan_has():
    paths = set(re.findall(r"(?<!\$)\$\.(\w+(?:\.\w+)*)", json.dumps(STATES)))
    schema = Plan.model_json_schema(by_alias=True)
    # What the states themselves add, and what services answer.
    added = {
        *("failure", "refused", "over", "row", "recording", "unclassified", "unchecked", "plan"),
        *("Payload", "Item", "trained"),
    }
    for path in paths:
        if path.split(".")[0] in added:
            continue
        node = schema
        for part in path.split("."):
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]] if "$ref" in node else node
            assert part in node["properties"], path
            node = node["properties"][part]


def test_substitutions_are_those_that_the_definition_names():
    named = set(re.findall(r"\$\{(\w+)\}", json.dumps(ASL)))
    assert named == set(RESOURCES["Pipeline"]["Properties"]["DefinitionSubstitutions"])


def test_the_state_machine_may_run_its_tasks():
    allowed = actions_of(RESOURCES["Pipeline"]["Properties"])
    resources = {state["Resource"] for state in STATES.values() if state["Type"] == "Task"}
    needed = {
        "arn:aws:states:::lambda:invoke": {"lambda:InvokeFunction"},
        "arn:aws:states:::dynamodb:updateItem": {"dynamodb:UpdateItem"},
        "arn:aws:states:::dynamodb:getItem": {"dynamodb:GetItem"},
        "arn:aws:states:::sagemaker:createProcessingJob.sync": {
            "sagemaker:CreateProcessingJob", "sagemaker:DescribeProcessingJob", "sagemaker:StopProcessingJob",
            "sagemaker:AddTags", "sagemaker:ListTags", "events:PutRule", "events:PutTargets",
            "events:DescribeRule", "iam:PassRole",
        },
        "arn:aws:states:::sagemaker:createTrainingJob.sync": {
            "sagemaker:CreateTrainingJob", "sagemaker:DescribeTrainingJob", "sagemaker:StopTrainingJob",
        },
    }  # fmt: skip
    # docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html, "IAM Policies for logging to CloudWatch Logs"
    log = {
        "logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery",
        "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies",
        "logs:DescribeLogGroups",
    }  # fmt: skip
    assert set().union(*(needed[resource] for resource in resources)) | log == allowed


# ---- sample events ----------------------------------------


class JobChangedEvent(EventBridgeModel):
    """What the rules' functions get of a job's change."""

    detail: JobChanged


SAMPLES: dict[str, type[BaseModel]] = {
    "object_created.json": S3EventNotificationEventBridgeModel,
    "job_changed.json": JobChangedEvent,
    "start_execution.json": JobInput,
}


def test_every_sample_event_is_what_its_receiver_gets():
    assert {file.name for file in (ROOT / "events").iterdir()} == set(SAMPLES)
    for name, model in SAMPLES.items():
        model.model_validate_json((ROOT / "events" / name).read_text())


def test_the_sample_execution_input_is_valid_and_has_every_field_of_the_contract():
    sample = json.loads((ROOT / "events" / "start_execution.json").read_text())
    JobInput.model_validate(sample)
    contract = {
        "jobId", "jobName", "s3Url", "inputS3Uri", "email", "timestamp", "pipelineStep", "extractedS3Uri",
        "colmapOutputS3Uri", "gaussianOutputS3Uri", "compressedOutputS3Uri", "extractorImageUri",
        "sfmImageUri", "gaussianImageUri", "compressorImageUri", "optimization_enabled",
        "progressive_resolution",
        "psnr_plateau_termination", "target_psnr", "max_iterations", "plateau_patience",
    }  # fmt: skip
    assert contract <= set(sample)
