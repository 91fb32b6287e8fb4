"""The fast path: a template straight into the engine, again only when something changed, data kept."""

from __future__ import annotations

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spaceport.errors import UserError
from spaceport_local.cloud import LocalCloud

pytestmark = pytest.mark.engine

TEMPLATE = """
AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Parameters:
  ViewerBaseUrl: {Type: String, Default: ''}
Globals:
  Function:
    Runtime: python3.12
    Handler: app.handler
    Layers: [!Ref Contract]
    Environment: {Variables: {BASE: !Ref ViewerBaseUrl}}
Resources:
  Contract:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: layer/}
  Data: {Type: AWS::S3::Bucket, DeletionPolicy: Retain, Properties: {BucketName: deploy-data}}
  Rows:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
  Hello: {Type: AWS::Serverless::Function, Properties: {CodeUri: functions/hello/}}
  Machine:
    Type: AWS::Serverless::StateMachine
    Properties:
      DefinitionUri: machine.asl.json
      DefinitionSubstitutions: {HelloArn: !GetAtt Hello.Arn}
      Policies: [{LambdaInvokePolicy: {FunctionName: !Ref Hello}}]
Outputs:
  DataBucket: {Value: !Ref Data}
  Rows: {Value: !Ref Rows}
  Hello: {Value: !Ref Hello}
  Machine: {Value: !Ref Machine}
  Layer: {Value: !Ref Contract}
"""
HANDLER = """
import os
import spaceport.stages  # the contract, from the interpreter's own environment

def handler(event, context):
    return {{"says": "{says}", "base": os.environ["BASE"]}}
"""
MACHINE = {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "${HelloArn}", "End": True}}}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project of the product's shape."""
    folder = tmp_path / "project"
    (folder / "functions" / "hello").mkdir(parents=True)
    (folder / "template.yaml").write_text(TEMPLATE)
    (folder / "machine.asl.json").write_text(json.dumps(MACHINE))
    (folder / "functions" / "hello" / "app.py").write_text(HANDLER.format(says="hello"))
    return folder


@pytest.fixture
def cloud(project: Path, tmp_path: Path):
    local = LocalCloud(tmp_path / "data", project=project)
    yield local
    local.down()


def call(cloud: LocalCloud) -> dict[str, str]:
    answer = cloud.client("lambda").invoke(FunctionName=cloud.outputs["Hello"])
    return dict(json.loads(answer["Payload"].read()))


def test_up_deploys_once_and_then_only_changes(cloud: LocalCloud, project: Path) -> None:
    # Given a project that was never deployed
    assert not cloud.is_running()
    told: list[str] = []
    cloud.up(told.append)
    # Then its functions run, with the contract of their own interpreter and the data bucket's address
    assert cloud.is_running()
    assert call(cloud) == {"says": "hello", "base": cloud.web_url("deploy-data", "")[:-1]}
    assert any("functions run with Python" in line for line in told)
    assert any("deployed the stack" in line for line in told)
    # When nothing has changed, nothing is deployed
    told.clear()
    cloud.up(told.append)
    assert not any("the stack" in line for line in told)
    # When the code changes, the stack is updated and what is stored stays
    cloud.client("s3").put_object(Bucket="deploy-data", Key="kept", Body=b"1")
    cloud.client("dynamodb").put_item(TableName=cloud.outputs["Rows"], Item={"id": {"S": "1"}})
    (project / "functions" / "hello" / "app.py").write_text(HANDLER.format(says="changed"))
    cloud.up(told.append)
    assert any("updated the stack" in line for line in told)
    assert call(cloud)["says"] == "changed"
    assert cloud.client("s3").get_object(Bucket="deploy-data", Key="kept")["Body"].read() == b"1"
    assert cloud.client("dynamodb").scan(TableName=cloud.outputs["Rows"])["Count"] == 1


def test_a_cloud_that_several_commands_want_at_once_is_deployed_once(cloud: LocalCloud) -> None:
    # When two commands bring the cloud up at the same time, and a third one asks for it meanwhile
    told: list[str] = []
    with ThreadPoolExecutor() as commands:
        ups = [commands.submit(cloud.up, told.append) for _ in range(2)]
        while not any("started at" in line for line in told):
            time.sleep(0.01)
        assert cloud.is_running()
        # Then the third one finds the whole stack
        assert "Hello" in cloud.outputs
        # And both are content, one of them with what the other made
        for up in ups:
            up.result()
    assert sum("deployed the stack" in line for line in told) == 1
    assert sum("runs at" in line for line in told) == 1


def test_state_machine_is_updated_and_outputs_leave_layers_out(cloud: LocalCloud, project: Path) -> None:
    cloud.up()
    assert "Layer" not in cloud.outputs
    states = cloud.client("stepfunctions")
    deployed = states.describe_state_machine(stateMachineArn=cloud.outputs["Machine"])["definition"]
    assert ":function:" in json.loads(deployed)["States"]["A"]["Resource"]
    (project / "machine.asl.json").write_text(json.dumps({**MACHINE, "Comment": "changed"}))
    cloud.up()
    deployed = states.describe_state_machine(stateMachineArn=cloud.outputs["Machine"])["definition"]
    assert json.loads(deployed)["Comment"] == "changed"


def test_deployment_survives_a_restart_on_another_port(
    cloud: LocalCloud, project: Path, new_launcher
) -> None:
    cloud.up()
    first = cloud.web_url("deploy-data", "x")
    assert cloud.down()
    # A new port changes the address that the functions are told, nothing else.
    launcher = new_launcher(project.parent / "data")
    launcher.start()
    cloud.up()
    assert cloud.web_url("deploy-data", "x") != first
    assert call(cloud)["base"] == cloud.web_url("deploy-data", "")[:-1]


def test_links_that_lead_to_another_port_are_told_of(cloud: LocalCloud, tmp_path: Path) -> None:
    with socket.socket() as foreign:
        foreign.bind(("127.0.0.1", 0))
        foreign.listen()
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "port").write_text(str(foreign.getsockname()[1]))
        said: list[str] = []
        cloud.up(said.append)
        assert f"SPACEPORT_PORT={foreign.getsockname()[1]} spaceport up" in " ".join(said)


@pytest.mark.parametrize(
    ("mistake", "named"),
    [
        ("Odd: {Type: AWS::No::Such}", "AWS::No::Such"),
        ("Odd: {Type: Custom::X, Properties: {ServiceToken: nobody}}", "Odd"),
    ],
)
def test_mistake_is_named_changes_nothing_and_can_be_mended(
    cloud: LocalCloud, project: Path, mistake: str, named: str
) -> None:
    bad = TEMPLATE.replace("  Hello: {Type", f"  {mistake}\n  Hello: {{Type")
    # Whether there is no stack yet ...
    (project / "template.yaml").write_text(bad)
    with pytest.raises(UserError, match=named) as refused:
        cloud.up()
    assert refused.value.code == "deploy_failed"
    (project / "template.yaml").write_text(TEMPLATE)
    cloud.up()
    assert call(cloud)["says"] == "hello"
    # ... or one that works
    cloud.client("s3").put_object(Bucket="deploy-data", Key="kept", Body=b"1")
    (project / "template.yaml").write_text(bad)
    with pytest.raises(UserError, match=named):
        cloud.up()
    assert call(cloud)["says"] == "hello"
    (project / "template.yaml").write_text(TEMPLATE)
    cloud.up()
    assert cloud.client("s3").get_object(Bucket="deploy-data", Key="kept")["Body"].read() == b"1"


def test_without_an_engine_it_says_so(cloud: LocalCloud) -> None:
    for ask in (lambda: cloud.outputs, lambda: cloud.client("s3"), cloud.websocket_url):
        with pytest.raises(UserError, match="does not run") as refused:
            ask()
        assert refused.value.code == "not_running"
    assert cloud.down() is False


def test_missing_viewer_is_told_before_any_job(cloud: LocalCloud, project: Path) -> None:
    parameter = "Parameters:\n  CompressorImageUri: {Type: String, Default: spaceport/compressor:latest}"
    (project / "template.yaml").write_text(TEMPLATE.replace("Parameters:", parameter))
    with pytest.raises(UserError, match="viewer") as refused:
        cloud.up()
    assert refused.value.code == "no_viewer"
    assert "make setup" in refused.value.hint
