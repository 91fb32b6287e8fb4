"""An alarm on a metric that nobody makes never goes off.

So each one's namespace, metric and dimensions are those of a line that our handlers write, or of a metric in
AWS's own lists. That the handlers write them: tests/unit/functions/test_logs_and_metrics.py.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from spaceport import metering
from spaceport.metering import METRICS, NAMESPACE
from spaceport_local.template import read_template

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = read_template(ROOT / "template.yaml").document
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
ALARMS = {
    name: resource["Properties"]
    for name, resource in RESOURCES.items()
    if resource["Type"] == "AWS::CloudWatch::Alarm"
}
FUNCTIONS = {name for name, made in RESOURCES.items() if made["Type"] == "AWS::Serverless::Function"}
TABLES = {name for name, made in RESOURCES.items() if made["Type"] == "AWS::DynamoDB::Table"}
INDEXES = {
    (table, index["IndexName"])
    for table in TABLES
    for index in RESOURCES[table]["Properties"].get("GlobalSecondaryIndexes", [])
}
METRICS_AN_ALARM = 10  # CloudWatch's limit on metric math

# AWS's metrics: (namespace, metric) → (its dimension, the type of resource whose name that is), each from the
# service's own page on docs.aws.amazon.com. An index of a table has its name as a second dimension.
INDEX = "GlobalSecondaryIndexName"
LAMBDA, DYNAMODB = "AWS::Serverless::Function", "AWS::DynamoDB::Table"
OF_AWS = {
    # lambda/latest/dg/monitoring-metrics-types.html
    ("AWS/Lambda", "Errors"): ("FunctionName", LAMBDA),
    ("AWS/Lambda", "IteratorAge"): ("FunctionName", LAMBDA),
    # AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): ("QueueName", "AWS::SQS::Queue"),
    # apigateway/latest/developerguide/http-api-metrics.html: a REST API's is called 5XXError
    ("AWS/ApiGateway", "5xx"): ("ApiId", "AWS::Serverless::HttpApi"),
    # apigateway/latest/developerguide/apigateway-websocket-api-logging.html
    ("AWS/ApiGateway", "ExecutionError"): ("ApiId", "AWS::ApiGatewayV2::Api"),
    # step-functions/latest/dg/procedure-cw-metrics.html
    ("AWS/States", "ExecutionsTimedOut"): ("StateMachineArn", "AWS::Serverless::StateMachine"),
    ("AWS/States", "ExecutionsStarted"): ("StateMachineArn", "AWS::Serverless::StateMachine"),
    # amazondynamodb/latest/developerguide/metrics-dimensions.html
    ("AWS/DynamoDB", "ReadThrottleEvents"): ("TableName", DYNAMODB),
    ("AWS/DynamoDB", "WriteThrottleEvents"): ("TableName", DYNAMODB),
}


@dataclass(frozen=True)
class Watched:
    """A metric as an alarm or the dashboard names it.

    Attributes:
        dimension: the first one's name.
        of: the logical id of what it is about.
        index: the name of the table's index that it is about, its second dimension.
    """

    namespace: str
    name: str
    dimension: str
    of: str
    index: str = ""


def logical_id(value: dict[str, Any]) -> str:
    return str(value.get("Ref") or value["Fn::GetAtt"][0])


def index_of(dimension: str, value: str) -> str:
    """The index that a metric's second dimension names: there is no other such dimension."""
    assert dimension == INDEX
    return value


def watched_by(alarm: dict[str, Any]) -> list[Watched]:
    metrics = [part["MetricStat"]["Metric"] for part in alarm.get("Metrics", []) if "MetricStat" in part]
    found = []
    for metric in metrics or [alarm]:
        first, *second = metric["Dimensions"]
        told = (metric["Namespace"], metric["MetricName"], first["Name"], logical_id(first["Value"]))
        found.append(Watched(*told, *(index_of(part["Name"], part["Value"]) for part in second)))
    return found


def watched_on_the_dashboard() -> Iterator[Watched]:
    body = json.loads(RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])
    for widget in body["widgets"]:
        for namespace, name, dimension, value, *second in widget["properties"].get("metrics", []):
            of = re.fullmatch(r"\$\{([\w:]+)(\.\w+)?\}", value)[1]
            yield Watched(namespace, name, dimension, of, *([index_of(*second)] if second else []))


def emitted(name: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    metering.observe(name, 1)
    line: dict[str, Any] = json.loads(capsys.readouterr().out)
    return line


WATCHED = sorted(
    {(name, *vars(metric).values()) for name, alarm in ALARMS.items() for metric in watched_by(alarm)}
    | {("Dashboard", *vars(metric).values()) for metric in watched_on_the_dashboard()}
)


@pytest.mark.parametrize("told", WATCHED, ids=lambda told: " ".join((told[0], told[2], *told[4:])))
def test_what_is_watched_is_measured(told, monkeypatch, capsys):
    watched = Watched(*told[1:])
    if watched.namespace == NAMESPACE:
        # Given the environment that the template gives to every function
        variables = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
        assert variables["POWERTOOLS_SERVICE_NAME"] == {"Ref": watched.of}
        monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "the stack's name")
        # When the metric is measured
        line = emitted(watched.name, capsys)
        # Then CloudWatch makes the very metric of it that is watched
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == watched.namespace
        assert [metric["Name"] for metric in directive["Metrics"]] == [watched.name]
        assert directive["Dimensions"] == [[watched.dimension]]
        assert line[watched.dimension] == "the stack's name"
    else:
        dimension, kind = OF_AWS[watched.namespace, watched.name]
        assert watched.dimension == dimension
        assert RESOURCES[watched.of]["Type"] == kind
        assert not watched.index or (watched.of, watched.index) in INDEXES


def measured_in(file: Path) -> set[str]:
    """The metrics that a module measures itself."""
    calls = (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call))
    return {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "metering"
        and call.args
        and isinstance(call.args[0], ast.Constant)
    }


def test_handlers_measure_only_what_the_table_says_they_do():
    for file in (ROOT / "functions").glob("*/app.py"):
        for name in measured_in(file):
            assert file.parent.name in METRICS[name].handlers, f"{file.parent.name} measures {name}"


def test_every_handler_measures_what_the_table_says_it_does():
    # Those that make or end jobs measure it by `job_made` or `job_ended`, or through what calls these
    making = "metering.job_made", "Starting", "Batches"
    ending = "metering.job_ended", "Settlement", "Dispatching"
    ended = {*metering.OF_END.values(), "JobFaults", "JobCost"}
    through = {"JobsRejected": making, **dict.fromkeys(ended, ending)}
    for name, metric in METRICS.items():
        for handler in metric.handlers:
            file = ROOT / "functions" / handler / "app.py"
            does = any(f"{by}(" in file.read_text() for by in through.get(name, ()))
            assert does or name in measured_in(file), f"{handler} does not measure {name}"


def test_every_alarm_tells_the_topic_and_where_to_read_on():
    for name, alarm in ALARMS.items():
        assert alarm["AlarmName"] == {"Fn::Sub": f"${{AWS::StackName}}-{name}"}
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "AlarmTopic"}]
        assert alarm["AlarmDescription"].endswith(f'RUNBOOK.md, "{name}".')
        # Nothing measured is no trouble, but for what measures every five minutes
        assert alarm["TreatMissingData"] == ("breaching" if name == "StuckJobs" else "notBreaching")


def test_metric_math_is_within_its_limits():
    for alarm in ALARMS.values():
        assert len(watched_by(alarm)) <= METRICS_AN_ALARM
        assert int(alarm.get("Period", 0)) * alarm["EvaluationPeriods"] <= 86400  # at most a day


def all_watched(namespace: str, name: str) -> list[str]:
    found = [metric for alarm in ALARMS.values() for metric in watched_by(alarm)]
    return sorted(
        f"{metric.of} {metric.index}".strip()
        for metric in found
        if (metric.namespace, metric.name) == (namespace, name)
    )


def test_every_function_stream_table_and_index_is_watched_once():
    streams = {
        name
        for name in FUNCTIONS
        for event in RESOURCES[name]["Properties"].get("Events", {}).values()
        if event["Type"] == "DynamoDB"
    }
    where = "add it to the alarm, and to the dashboard, at the end of template.yaml"
    assert all_watched("AWS/Lambda", "Errors") == sorted(FUNCTIONS), f"{where}: …Errors"
    assert all_watched("AWS/Lambda", "IteratorAge") == sorted(streams), f"{where}: StreamBehind"
    stores = sorted([*TABLES, *(" ".join(index) for index in INDEXES)])
    for name in ("ReadThrottleEvents", "WriteThrottleEvents"):
        assert all_watched("AWS/DynamoDB", name) == stores, f"{where}: TablesThrottled, IndexesThrottled"


def test_the_dashboard_shows_every_alarm_and_what_it_watches():
    body = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    alarms = json.loads(body)["widgets"][0]["properties"]["alarms"]
    assert sorted(alarms) == sorted(f"${{{name}.Arn}}" for name in ALARMS)
    watched = {metric for alarm in ALARMS.values() for metric in watched_by(alarm)}
    assert watched <= set(watched_on_the_dashboard())
    shown = {metric.name for metric in watched_on_the_dashboard() if metric.namespace == NAMESPACE}
    assert shown == set(METRICS)
