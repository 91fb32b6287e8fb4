"""Each patch of MiniStack: what it depends on is as it was written for, and what it promises holds."""

from __future__ import annotations

import inspect
import itertools
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import urllib3
from ministack.core import iam_evaluator
from websockets.sync.client import connect

from spaceport.errors import UserError
from spaceport_local import engine as engine_module
from spaceport_local import patches, service_roles
from spaceport_local.deploy import Deployment
from spaceport_local.endpoint import Endpoint
from spaceport_local.folders import DataFolder
from spaceport_local.interpreters import choose_interpreter
from spaceport_local.launcher import Launcher
from spaceport_local.patches import checkpoint, durability
from spaceport_local.patches.seams import Seam, check
from spaceport_local.sagemaker import plugin

STACK = Path(__file__).with_name("patches_stack.yaml")
ENFORCED = ("--enforce-iam",)
ACCOUNT = "000000000000"


# ---- what the patches depend on ---------------------------------------------------------------------------


@pytest.mark.parametrize("seam", [*patches.SEAMS, *plugin.SEAMS], ids=lambda seam: seam.place)
def test_seam_is_what_the_patch_was_written_for(seam: Seam) -> None:
    assert seam.found() == seam.digest, f"MiniStack changed {seam.place}: read its patch again"


@pytest.mark.parametrize(
    "module",
    [*patches.PATCHES, checkpoint, durability, plugin, service_roles],
    ids=lambda m: m.__name__,
)
def test_every_private_function_that_a_patch_names_is_a_seam(module: ModuleType) -> None:
    source = inspect.getsource(module)
    named = {
        f"{theirs.__name__.removeprefix('ministack.')}:{found}"
        for name, theirs in inspect.getmembers(module, inspect.ismodule)
        if theirs.__name__.startswith("ministack.")
        for found in re.findall(rf"\b{name}\.(_\w+)", source)
        if inspect.isfunction(getattr(theirs, found, None))
    }
    assert named - {seam.place for seam in (*patches.SEAMS, *plugin.SEAMS)} == set()


def test_changed_seam_is_refused() -> None:
    with pytest.raises(UserError, match="_run_execution is not what our patch was written for") as refused:
        check((Seam("services.stepfunctions:_run_execution", "000000000000"),))
    assert refused.value.code == "engine_changed"


def test_missing_seam_is_refused() -> None:
    with pytest.raises(UserError, match="missing"):
        check((Seam("services.stepfunctions:_no_such_thing", "000000000000"),))


def test_other_version_of_ministack_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "version", lambda name: "1.6.0")
    with pytest.raises(UserError, match=r"needs MiniStack 1\.5\.33; 1\.6\.0 is installed") as refused:
        engine_module.require_ministack()
    assert refused.value.code == "wrong_engine_version"


def test_pin_and_packaging_name_the_same_version(repository: Path) -> None:
    assert f'"ministack=={engine_module.MINISTACK}"' in (repository / "pyproject.toml").read_text()


# ---- what the patches promise -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Stack:
    """The deployed `patches_stack.yaml`."""

    endpoint: Endpoint
    outputs: dict[str, str]

    def client(self, service: str) -> Any:
        return self.endpoint.client(service)

    def told(
        self, test: Callable[[list[Any]], bool], queue: str = "Told", seconds: float = 20.0
    ) -> list[Any]:
        """The messages of a queue, in order, as soon as `test` holds for them."""
        sqs, bodies, deadline = self.client("sqs"), [], time.monotonic() + seconds
        while not test(bodies) and time.monotonic() < deadline:
            received = sqs.receive_message(QueueUrl=self.outputs[queue], MaxNumberOfMessages=10)
            for message in received.get("Messages", []):
                bodies.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=self.outputs[queue], ReceiptHandle=message["ReceiptHandle"])
            time.sleep(0.02)
        assert test(bodies), bodies
        return bodies

    def execute(
        self, name: str, states: dict[str, Any], given: Any = None, role: str = "", **machine: Any
    ) -> dict[str, Any]:
        """The ended execution of a machine of `states`, the first of which begins."""
        role = role or self.outputs["Machine"]
        client = self.client("stepfunctions")
        definition = {"StartAt": next(iter(states)), "States": states, **machine}
        made = client.create_state_machine(name=name, definition=json.dumps(definition), roleArn=role)
        arn = client.start_execution(stateMachineArn=made["stateMachineArn"], input=json.dumps(given or {}))[
            "executionArn"
        ]
        deadline = time.monotonic() + 20
        while (ended := client.describe_execution(executionArn=arn))["status"] == "RUNNING":
            assert time.monotonic() < deadline, ended
            time.sleep(0.05)
        return dict(ended)


def new_launcher(repository: Path, folder: Path) -> Launcher:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return Launcher(DataFolder(folder), repository, port, ENFORCED)


@pytest.fixture(scope="module")
def stack(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    launcher = new_launcher(repository, tmp_path_factory.mktemp("engine"))
    endpoint = launcher.start()
    try:
        deployment = Deployment(endpoint, STACK)
        deployment.run(print)
        yield Stack(endpoint, deployment.outputs())
    finally:
        launcher.stop()


@pytest.mark.engine
class TestLambdaErrors:
    def test_error_type_is_the_exceptions_class(self, stack: Stack) -> None:
        answer = stack.client("lambda").invoke(FunctionName=stack.outputs["Fail"])
        assert json.loads(answer["Payload"].read())["errorType"] == "TooFewPhotosError"

    def test_catch_by_the_exceptions_class(self, stack: Stack) -> None:
        caught = [
            {"ErrorEquals": ["TooFewPhotosError"], "Next": "Caught"},
            {"ErrorEquals": ["States.ALL"], "Next": "Missed"},
        ]
        task = {"Type": "Task", "Resource": stack.outputs["Fail"], "Catch": caught, "End": True}
        ended = stack.execute(
            "catch",
            {
                "Call": task,
                "Caught": {"Type": "Pass", "Result": "by name", "End": True},
                "Missed": {"Type": "Pass", "Result": "by none", "End": True},
            },
        )
        assert json.loads(ended["output"]) == "by name"


@pytest.mark.engine
class TestDurability:
    def test_function_that_a_rule_calls_is_tried_again_and_its_failure_kept(self, stack: Stack) -> None:
        entry = {"Source": "patches.test", "DetailType": "Hopeless", "Detail": '{"number": 7}'}
        stack.client("events").put_events(Entries=[entry])
        (failure,) = stack.told(lambda told: len(told) == 1, queue="Failures")
        assert failure["requestPayload"]["detail"] == {"number": 7}
        assert failure["responsePayload"]["errorType"] == "TooFewPhotosError"


@pytest.mark.engine
class TestExecutions:
    def test_machines_timeout_ends_it_and_skips_every_catch(self, stack: Stack) -> None:
        wait = {"Type": "Wait", "Seconds": 5, "End": True}
        branches = [{"StartAt": "Long", "States": {"Long": wait}}]
        caught = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
        ended = stack.execute(
            "timeout",
            {
                "Work": {"Type": "Parallel", "Branches": branches, "Catch": caught, "End": True},
                "Caught": {"Type": "Pass", "End": True},
            },
            TimeoutSeconds=1,
        )
        assert ended["status"] == "TIMED_OUT"
        assert (ended["stopDate"] - ended["startDate"]).total_seconds() < 4


@pytest.mark.engine
class TestJsonPaths:
    def test_format_prints_json_literals(self, stack: Stack) -> None:
        template = "States.Format('{} {} {}', $.flag, $.nothing, $.map)"
        ended = stack.execute(
            "format",
            {"Say": {"Type": "Pass", "Parameters": {"said.$": template}, "End": True}},
            {"flag": True, "nothing": None, "map": {"a": 1}},
        )
        assert json.loads(ended["output"])["said"] == 'true null {"a":1}'

    @pytest.mark.parametrize(
        "field", ["$.no.such.field", "$$.Execution.NoSuchField", "States.Format('{}', $.no)"]
    )
    def test_path_that_finds_nothing_fails_past_every_catch(self, stack: Stack, field: str) -> None:
        caught = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
        ended = stack.execute(
            f"path-{abs(hash(field))}",
            {
                "Call": {
                    "Type": "Task",
                    "Resource": stack.outputs["Fail"],
                    "Parameters": {"x.$": field},
                    "Catch": caught,
                    "End": True,
                },
                "Caught": {"Type": "Pass", "End": True},
            },
        )
        assert (ended["status"], ended["error"]) == ("FAILED", "States.Runtime")
        assert "could not be found in the input" in ended["cause"]

    def test_maps_lists_and_null_pass(self, stack: Stack) -> None:
        given = {"map": {"A": "1"}, "list": [1, {"b": 2}], "null": None}
        parameters = {
            "map.$": "$.map",
            "in": [{"list.$": "$.list"}],
            "null.$": "$.null",
            "first.$": "$.list[0]",
        }
        ended = stack.execute("maps", {"P": {"Type": "Pass", "Parameters": parameters, "End": True}}, given)
        assert json.loads(ended["output"]) == {
            "map": {"A": "1"},
            "in": [{"list": [1, {"b": 2}]}],
            "null": None,
            "first": 1,
        }


@pytest.mark.engine
class TestCloudFormation:
    def test_table_has_its_ttl_and_its_recovery(self, stack: Stack) -> None:
        dynamodb, name = stack.client("dynamodb"), stack.outputs["Table"]
        ttl = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
        assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}
        recovery = backups["PointInTimeRecoveryDescription"]
        assert recovery["PointInTimeRecoveryStatus"] == "ENABLED"

    def test_ref_of_a_secret_is_its_arn_and_its_password_obeys(self, stack: Stack) -> None:
        arn = stack.outputs["Secret"]
        secret = stack.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
        assert arn.startswith("arn:aws:secretsmanager:")
        token = json.loads(secret)["token"]
        assert len(token) == 60
        assert token.isalnum()

    def test_alarm_on_metric_math_can_be_set(self, stack: Stack) -> None:
        cloudwatch = stack.client("cloudwatch")
        (alarm,) = cloudwatch.describe_alarms()["MetricAlarms"]
        assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", "Errors")
        cloudwatch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue="ALARM", StateReason="a drill")
        assert cloudwatch.describe_alarms(StateValue="ALARM")["MetricAlarms"]

    def test_harmless_type_is_recorded(self, stack: Stack) -> None:
        found = stack.client("cloudformation").describe_stack_resource(
            StackName="spaceport", LogicalResourceId="Budget"
        )
        assert found["StackResourceDetail"]["ResourceStatus"] == "CREATE_COMPLETE"


@pytest.mark.engine
class TestFunctionInterpreter:
    def test_functions_run_with_the_chosen_python(self, stack: Stack) -> None:
        answer = stack.client("lambda").invoke(FunctionName=stack.outputs["Tell"], Payload=b'{"n": 1}')
        python = json.loads(answer["Payload"].read())["python"]
        stack.told(lambda told: {"n": 1} in told)
        assert Path(python) == choose_interpreter("python3.12").path


@pytest.mark.engine
class TestObjects:
    def test_created_event_tells_the_version(self, stack: Stack) -> None:
        put = stack.client("s3").put_object(Bucket="patches-uploads", Key="a b/ü.zip", Body=b"0123456789")
        events = stack.told(lambda told: any("detail" in event for event in told))
        found = next(event["detail"]["object"] for event in events if "detail" in event)
        assert (found["key"], found["size"]) == ("a b/ü.zip", 10)
        assert found["version-id"] == put["VersionId"]

    def test_ranged_get_of_a_version_is_ranged(self, stack: Stack) -> None:
        s3, where = stack.client("s3"), {"Bucket": "patches-uploads", "Key": "ranged.bin"}
        old = s3.put_object(**where, Body=b"0123456789")["VersionId"]
        s3.put_object(**where, Body=b"abcdefghij")
        got = s3.get_object(**where, VersionId=old, Range="bytes=2-4")
        assert (got["Body"].read(), got["ContentRange"]) == (b"234", "bytes 2-4/10")
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert s3.get_object(**where, VersionId=old, Range="bytes=-3")["Body"].read() == b"789"
        with pytest.raises(s3.exceptions.ClientError, match="InvalidRange"):
            s3.get_object(**where, VersionId=old, Range="bytes=10-")
        stack.told(lambda told: len(told) >= 2)


@pytest.mark.engine
class TestLogSubscriptions:
    def test_lines_that_match_come_in_order_and_in_batches(self, stack: Stack) -> None:
        # Given a slow subscriber to lines of { $.spaceport = 1 }
        logs, where = stack.client("logs"), {"logGroupName": "/patches/lines", "logStreamName": "job/algo-1"}
        logs.create_log_stream(**where)
        # When matching and other lines come, a batch each
        for n in range(40):
            lines = [{"spaceport": 1, "n": n}, {"spaceport": "1", "n": -1}, {"other": 1, "n": -1}]
            events = [{"timestamp": int(time.time() * 1000), "message": json.dumps(line)} for line in lines]
            logs.put_log_events(**where, logEvents=[*events, {"timestamp": 0, "message": "plain"}])
        # Then it gets those that match, all of them, in order
        batches = stack.told(lambda told: sum(len(batch) for batch in told) >= 40)
        assert [n for batch in batches for n in batch] == list(range(40))
        assert len(batches) < 40

    def test_pattern_that_cant_be_read_is_refused(self, stack: Stack) -> None:
        logs = stack.client("logs")
        with pytest.raises(logs.exceptions.InvalidParameterException):
            logs.put_subscription_filter(
                logGroupName="/patches/lines",
                filterName="bad",
                filterPattern="{ $.a = }",
                destinationArn=stack.outputs["Fail"],
            )


def names_in(batches: list[list[str]]) -> set[str]:
    return {name for batch in batches for name in batch}


@pytest.mark.engine
class TestStreamMappings:
    @staticmethod
    def put(stack: Stack, *ids: str) -> None:
        for name in ids:
            stack.client("dynamodb").put_item(TableName=stack.outputs["Table"], Item={"id": {"S": name}})

    def test_window_gathers_a_batch(self, stack: Stack) -> None:
        self.put(stack, "w1", "w2", "w3")
        assert stack.told(lambda told: len(told) >= 1) == [["w1", "w2", "w3"]]

    def test_bad_record_is_tried_again_and_given_up_alone(self, stack: Stack) -> None:
        # Given a record that its function reports as failed, between good ones
        self.put(stack, "before", "bad", "after")
        # Then what is before it is done once, it is tried twice, and what is after it still comes
        batches = stack.told(lambda told: ["after"] in told)
        assert [batch for batch in batches if "before" in batch] == [["before", "bad", "after"]]
        assert batches.count(["bad"]) == 2
        given_up = stack.told(lambda told: len(told) == 1, queue="GivenUp")
        assert given_up[0]["requestContext"]["condition"] == "RetryAttemptsExhausted"
        assert given_up[0]["DDBStreamBatchInfo"]["batchSize"] == 1

    def test_crash_is_bisected(self, stack: Stack) -> None:
        self.put(stack, "c1", "c2", "c3", "crash")
        stack.told(lambda told: len(told) == 1, queue="GivenUp")
        batches = stack.told(lambda told: ["crash"] in told)
        assert batches[:2] == [["c1", "c2", "c3", "crash"], ["c1", "c2"]]
        # The first half is through; the shard goes on.
        self.put(stack, "next")
        stack.told(lambda told: ["next"] in told)

    def test_records_still_come_after_a_restart(self, repository: Path, tmp_path: Path) -> None:
        # Given an engine that has delivered records, and remembers how many
        launcher = new_launcher(repository, tmp_path)
        try:
            deployment = Deployment(launcher.start(), STACK)
            deployment.run(print)
            before = Stack(launcher.start(), deployment.outputs())
            self.put(before, "b1", "b2", "b3")
            before.told(lambda told: {"b1", "b2", "b3"} == names_in(told))  # in one batch or in more
            self.put(before, "b4")  # comes only when the batches before it are counted
            before.told(lambda told: {"b4"} == names_in(told))
            # When it is stopped with a record that still waits for its window, and started again
            self.put(before, "waiting")
            launcher.stop()
            after = Stack(launcher.start(), before.outputs)
            self.put(after, "a1")
            # Then that record and a new one are delivered, although fewer have come than before; what was
            # delivered in the instant of the stop may come once more
            after.told(lambda told: {"waiting", "a1"} <= names_in(told))
        finally:
            launcher.stop()


@pytest.mark.engine
class TestLambdaSite:
    def test_function_posts_to_a_client_at_awss_address(self, stack: Stack) -> None:
        url = stack.endpoint.websocket(stack.outputs["WebSocketApiId"], "prod")
        with connect(url) as client:
            client.send(json.dumps({"action": "echo"}))
            assert client.recv(timeout=10) == "echoed"


@pytest.mark.engine
class TestHttpApi:
    """The API and the users that CloudFormation makes."""

    @staticmethod
    def get(stack: Stack, path: str, token: str | None = None) -> urllib3.BaseHTTPResponse:
        url = stack.endpoint.api_url(stack.outputs["ApiId"], "prod") + path
        return urllib3.request("GET", url, headers={"Authorization": f"Bearer {token}"} if token else {})

    @staticmethod
    def sign_in(stack: Stack, password: str) -> dict[str, Any]:
        cognito, pool = stack.client("cognito-idp"), stack.outputs["UserPoolId"]
        cognito.admin_set_user_password(UserPoolId=pool, Username="root", Password=password, Permanent=True)
        answer: dict[str, Any] = cognito.admin_initiate_auth(
            UserPoolId=pool,
            ClientId=stack.outputs["ClientId"],
            AuthFlow="ADMIN_USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": "root", "PASSWORD": password},
        )
        return answer["AuthenticationResult"]

    def test_no_route_without_a_good_token(self, stack: Stack) -> None:
        assert self.get(stack, "/things/one").status == 401
        assert self.get(stack, "/things/one", "garbage").status == 401
        header, claims, _ = self.sign_in(stack, "Tr0ub4dor&3-is-long")["AccessToken"].split(".")
        assert self.get(stack, "/things/one", f"{header}.{claims}.c2lnbmVk").status == 401

    def test_function_is_told_the_path_with_its_stage_and_the_claims(self, stack: Stack) -> None:
        # Given a user that the template made, and put into a group
        token = self.sign_in(stack, "Tr0ub4dor&3-is-long")["AccessToken"]
        # When she asks
        told = self.get(stack, "/things/one", token).json()
        # Then the function sees what API Gateway tells: groups are a text in brackets
        assert (told["path"], told["parameters"]) == ("/prod/things/one", {"name": "one"})
        assert (told["claims"]["username"], told["claims"]["cognito:groups"]) == ("root", "[admins]")
        assert told["claims"]["client_id"] == stack.outputs["ClientId"]

    def test_an_update_leaves_only_the_routes_of_the_new_template(self, stack: Stack) -> None:
        # Given a stack with an API of one route
        cloudformation = stack.client("cloudformation")

        def template(path: str) -> str:
            route = {
                "Type": "HttpApi",
                "Properties": {"ApiId": {"Ref": "Api"}, "Method": "POST", "Path": path},
            }
            function = {
                "Runtime": "python3.12",
                "Handler": "index.handler",
                "InlineCode": "def handler(event, context): return 'here'",
                "Events": {"Route": route},
            }
            resources = {
                "Api": {"Type": "AWS::Serverless::HttpApi", "Properties": {"StageName": "prod"}},
                "Function": {"Type": "AWS::Serverless::Function", "Properties": function},
            }
            return json.dumps(
                {
                    "Transform": "AWS::Serverless-2016-10-31",
                    "Resources": resources,
                    "Outputs": {"ApiId": {"Value": {"Ref": "Api"}}},
                }
            )

        def deployed() -> str:
            cloudformation.get_waiter(done).wait(StackName="routes", WaiterConfig={"Delay": 1})
            (found,) = cloudformation.describe_stacks(StackName="routes")["Stacks"]
            return str(found["Outputs"][0]["OutputValue"])

        done = "stack_create_complete"
        capabilities = {"StackName": "routes", "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]}
        cloudformation.create_stack(TemplateBody=template("/old"), **capabilities)
        before = deployed()
        # When the route is called otherwise
        done = "stack_update_complete"
        cloudformation.update_stack(TemplateBody=template("/new"), **capabilities)
        # Then it is the same API, with the new route alone
        assert deployed() == before
        routes = stack.client("apigatewayv2").get_routes(ApiId=before)["Items"]
        assert [route["RouteKey"] for route in routes] == ["POST /new"]
        url = stack.endpoint.api_url(before, "prod")
        assert [urllib3.request("POST", url + path).status for path in ("/old", "/new")] == [404, 200]

    def test_there_are_only_the_routes_of_the_template(self, stack: Stack) -> None:
        token = self.sign_in(stack, "Tr0ub4dor&3-is-long")["AccessToken"]
        assert self.get(stack, "/other", token).status == 404
        routes = stack.client("apigatewayv2").get_routes(ApiId=stack.outputs["ApiId"])["Items"]
        assert [(r["RouteKey"], r["AuthorizationType"]) for r in routes] == [("GET /things/{name}", "JWT")]


# ---- IAM --------------------------------------------------------------------------------------------------


def reach(stack: Stack, service: str, operation: str, **parameters: Any) -> str:
    """`allowed`, or the code of the error that a function gets."""
    call = {"service": service, "operation": operation, "parameters": parameters}
    answer = stack.client("lambda").invoke(FunctionName=stack.outputs["Reach"], Payload=json.dumps(call))
    return str(json.loads(answer["Payload"].read()))


@pytest.mark.engine
class TestLoopbackTransport:
    def test_ministack_itself_takes_the_loopback_for_insecure(self) -> None:
        denies = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}
        policy = {"Statement": [{**denies, "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}
        asked = iam_evaluator.EvalContext("*", "AssumedRole", ACCOUNT, "s3:PutObject", "*", "us-east-1")
        assert iam_evaluator.evaluate_resource_policy(policy, asked).decision == "Deny"

    def test_stores_that_take_nothing_but_tls_take_what_functions_send(self, stack: Stack) -> None:
        put = {"Bucket": "patches-tls-only", "Key": "key", "Body": "text"}
        queue, topic = stack.outputs["TlsOnlyQueue"], stack.outputs["TlsOnlyTopic"]
        assert reach(stack, "s3", "put_object", **put) == "allowed"
        assert reach(stack, "sqs", "send_message", QueueUrl=queue, MessageBody='"sent"') == "allowed"
        assert reach(stack, "sns", "publish", TopicArn=topic, Message='"published"') == "allowed"
        # And what a service delivers comes, too
        told = stack.told(lambda told: len(told) == 2, queue="TlsOnlyQueue")
        assert set(told) == {"sent", "published"}

    def test_what_the_role_does_not_allow_is_still_denied(self, stack: Stack) -> None:
        where = {"Bucket": "patches-tls-only", "Key": "key"}
        assert reach(stack, "s3", "get_object", **where) == "AccessDenied"


@pytest.mark.engine
class TestResourceArns:
    def test_a_sagemaker_call_is_checked_on_its_job(self, stack: Stack) -> None:
        def stop(name: str) -> str:
            return reach(stack, "sagemaker", "stop_training_job", TrainingJobName=name)

        assert stop("own-1") == "ValidationException"  # there is no such job
        assert stop("other-1") == "AccessDeniedException"

    def test_another_action_on_its_own_job_is_denied(self, stack: Stack) -> None:
        asked = reach(stack, "sagemaker", "describe_training_job", TrainingJobName="own-1")
        assert asked == "AccessDeniedException"


@pytest.mark.engine
class TestOpenResults:
    @pytest.mark.parametrize(
        ("method", "key", "status"),
        [
            ("GET", "jobs/one/compressed/model.sog", 200),
            ("HEAD", "jobs/one/compressed/model.sog", 200),
            ("PUT", "jobs/one/compressed/model.sog", 403),
            ("DELETE", "jobs/one/compressed/model.sog", 403),
            ("GET", "jobs/one/gaussian/training.log", 200),
            ("GET", "jobs/one/gaussian/training.log/", 403),
            ("GET", "jobs/one/gaussian/model.ply", 403),
            ("GET", "jobs/one/compressed/model.sog?versions", 403),
            ("GET", "?prefix=jobs/one/compressed/model.sog", 403),
        ],
    )
    def test_without_credentials_results_are_read_and_nothing_else(
        self, stack: Stack, method: str, key: str, status: int
    ) -> None:
        for name in ("compressed/model.sog", "gaussian/training.log", "gaussian/model.ply"):
            stack.client("s3").put_object(Bucket="patches-uploads", Key=f"jobs/one/{name}", Body=b"result")
        answer = urllib3.request(method, f"{stack.endpoint.url}/patches-uploads/{key}")
        assert answer.status == status


PROCESSING_RULE = (
    f"arn:aws:events:us-east-1:{ACCOUNT}:rule/StepFunctionsGetEventsForSageMakerProcessingJobsRule"
)
PROCESSING_JOB = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:processing-job/*"
AGENT = f"arn:aws:iam::{ACCOUNT}:role/agent"
PASSED: dict[str, Any] = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
# All that the role of a machine needs for createProcessingJob.sync: action, resource, condition.
SYNC_NEEDS: list[tuple[str, str, dict[str, Any]]] = [
    *((f"sagemaker:{action}ProcessingJob", PROCESSING_JOB, {}) for action in ("Create", "Describe", "Stop")),
    ("sagemaker:AddTags", PROCESSING_JOB, {}),
    *((f"events:{action}", PROCESSING_RULE, {}) for action in ("PutRule", "PutTargets", "DescribeRule")),
    ("iam:PassRole", AGENT, PASSED),
]


@pytest.fixture(scope="module")
def role(stack: Stack) -> Callable[..., str]:
    """`role(service, (action, resource, condition), ...)`: the ARN of a role that the service may assume."""
    iam, numbers = stack.client("iam"), itertools.count()

    def make(service: str, *allowed: tuple[str, str, dict[str, Any]], name: str = "") -> str:
        name = name or f"role-{next(numbers)}"
        trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))
        statements = [
            {"Effect": "Allow", "Action": action, "Resource": resource, "Condition": condition}
            for action, resource, condition in allowed
        ]
        if statements:
            policy = json.dumps({"Statement": statements})
            iam.put_role_policy(RoleName=name, PolicyName="policy", PolicyDocument=policy)
        return str(made["Role"]["Arn"])

    return make


def processing_task(name: str) -> dict[str, Any]:
    """A job of an image that there is no program for: it fails as soon as it was begun."""
    cluster = {"InstanceCount": 1, "InstanceType": "ml.c6i.4xlarge", "VolumeSizeInGB": 30}
    request = {
        "ProcessingJobName": name,
        "RoleArn": AGENT,
        "AppSpecification": {"ImageUri": "no-such-program:latest"},
        "ProcessingResources": {"ClusterConfig": cluster},
    }
    resource = "arn:aws:states:::sagemaker:createProcessingJob.sync"
    return {"Type": "Task", "Resource": resource, "Parameters": request, "End": True}


@pytest.mark.engine
class TestRoleChecks:
    def test_a_role_that_has_all_rights_begins_the_job(self, stack: Stack, role: Callable[..., str]) -> None:
        ended = stack.execute(
            "sync", {"Run": processing_task("sync")}, role=role("states.amazonaws.com", *SYNC_NEEDS)
        )
        assert ended["error"] == "States.TaskFailed"  # the job's own failure
        assert "ProcessingJobStatus" in ended["cause"]

    @pytest.mark.parametrize("missing", [action for action, *_ in SYNC_NEEDS])
    def test_each_right_is_asked_for(self, stack: Stack, role: Callable[..., str], missing: str) -> None:
        arn = role("states.amazonaws.com", *(need for need in SYNC_NEEDS if need[0] != missing))
        name = f"without-{missing.replace(':', '-')}"
        ended = stack.execute(name, {"Run": processing_task(name)}, role=arn)
        assert ended["error"] == "SageMaker.AmazonSageMakerException"
        assert f"is not authorized to perform: {missing} on resource" in ended["cause"]

    def test_a_role_is_passed_to_the_service_that_its_policy_names(
        self, stack: Stack, role: Callable[..., str]
    ) -> None:
        elsewhere = {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}
        arn = role("states.amazonaws.com", *SYNC_NEEDS[:-1], ("iam:PassRole", AGENT, elsewhere))
        ended = stack.execute("passes", {"Run": processing_task("passes")}, role=arn)
        assert "is not authorized to perform: iam:PassRole" in ended["cause"]

    def test_a_function_and_a_table_are_asked_for(self, stack: Stack, role: Callable[..., str]) -> None:
        arn = role("states.amazonaws.com")
        call = {"Type": "Task", "Resource": stack.outputs["Fail"], "End": True}
        invoke = {**call, "Resource": "arn:aws:states:::lambda:invoke"}
        read = {**call, "Resource": "arn:aws:states:::dynamodb:getItem"}
        invoke["Parameters"] = {"FunctionName": stack.outputs["Fail"], "Payload": {}}
        read["Parameters"] = {"TableName": stack.outputs["Table"], "Key": {"id": {"S": "one"}}}
        for name, task, error, action in (
            ("calls", call, "Lambda.AWSLambdaException", "lambda:InvokeFunction"),
            ("invokes", invoke, "Lambda.AWSLambdaException", "lambda:InvokeFunction"),
            ("reads", read, "DynamoDB.AmazonDynamoDBException", "dynamodb:GetItem"),
        ):
            ended = stack.execute(name, {"Do": task}, role=arn)
            assert (ended["status"], ended["error"]) == ("FAILED", error)
            assert f"is not authorized to perform: {action}" in ended["cause"]

    def test_a_role_of_another_service_is_of_no_use(self, stack: Stack, role: Callable[..., str]) -> None:
        arn = role("lambda.amazonaws.com", ("lambda:InvokeFunction", "*", {}))
        task = {"Type": "Task", "Resource": stack.outputs["Fail"], "End": True}
        ended = stack.execute("trust", {"Do": task}, role=arn)
        assert "states.amazonaws.com may not assume the role" in ended["cause"]

    def test_a_task_of_an_unknown_kind_is_refused(self, stack: Stack) -> None:
        publish = {"TopicArn": stack.outputs["TlsOnlyTopic"], "Message": "unseen"}
        task = {
            "Type": "Task",
            "Resource": "arn:aws:states:::sns:publish",
            "Parameters": publish,
            "End": True,
        }
        assert (
            "can't tell what arn:aws:states:::sns:publish needs" in stack.execute("u", {"Do": task})["cause"]
        )


@pytest.mark.engine
class TestSageMakerAgent:
    """A job's inputs are read with its own role."""

    @staticmethod
    def failure(stack: Stack, name: str, role_arn: str, key: str) -> str:
        sagemaker, bucket = stack.client("sagemaker"), "patches-uploads"
        stack.client("s3").put_object(Bucket=bucket, Key=key, Body=b"input")
        source = {"S3Uri": f"s3://{bucket}/{key}", "LocalPath": "/opt/ml/processing/input/one"}
        source |= {"S3DataType": "S3Prefix", "S3InputMode": "File"}
        request = processing_task(name)["Parameters"] | {"RoleArn": role_arn}
        sagemaker.create_processing_job(**request, ProcessingInputs=[{"InputName": "one", "S3Input": source}])
        deadline = time.monotonic() + 20
        while (job := sagemaker.describe_processing_job(ProcessingJobName=name))[
            "ProcessingJobStatus"
        ] != "Failed":
            assert time.monotonic() < deadline, job
            time.sleep(0.05)
        return str(job["FailureReason"])

    def test_it_reads_what_the_role_allows_and_nothing_else(
        self, stack: Stack, role: Callable[..., str]
    ) -> None:
        bucket = "arn:aws:s3:::patches-uploads"
        own = {"StringLike": {"s3:prefix": "own/*"}}
        arn = role(
            "sagemaker.amazonaws.com", ("s3:GetObject", f"{bucket}/own/*", {}), ("s3:ListBucket", bucket, own)
        )
        assert "no-such-program" in self.failure(stack, "own", arn, "own/input")  # it came to the program
        denied = self.failure(stack, "foreign", arn, "foreign/input")
        assert denied.startswith("ClientError: ")
        assert "AccessDenied" in denied

    def test_a_role_that_is_not_sagemakers_is_of_no_use(self, stack: Stack, role: Callable[..., str]) -> None:
        arn = role("lambda.amazonaws.com", ("s3:*", "*", {}))
        denied = self.failure(stack, "trust", arn, "own/input")
        assert denied == f"ClientError: sagemaker.amazonaws.com may not assume the role {arn}."
