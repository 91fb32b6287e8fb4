"""An alarm that goes off reaches whoever subscribes to the topic: on the local engine, by SetAlarmState."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from spaceport_local.deploy import STACK

pytestmark = pytest.mark.engine


@pytest.fixture
def letters(stack) -> Iterator[str]:
    """The URL of a queue that subscribes to the stack's alarms, as a pager would."""
    sqs, sns = stack.cloud.client("sqs"), stack.cloud.client("sns")
    topic = stack.output("AlarmTopicArn")
    url = sqs.create_queue(QueueName="pager")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    may_send = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [may_send]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, ReturnSubscriptionArn=True)
    yield url
    sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    sqs.delete_queue(QueueUrl=url)


def test_every_alarm_reaches_the_subscriber(stack, letters):
    # Given all alarms of the stack
    cloudwatch, sqs = stack.cloud.client("cloudwatch"), stack.cloud.client("sqs")
    alarms = {a["AlarmName"] for a in cloudwatch.describe_alarms()["MetricAlarms"]}
    alarms = {name for name in alarms if name.startswith(f"{STACK}-")}
    assert f"{STACK}-FailedJobs" in alarms
    # When each goes off
    for name in alarms:
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a drill")
    # Then the subscriber hears of each
    heard: set[str] = set()
    for _ in alarms:
        got = sqs.receive_message(QueueUrl=letters, MaxNumberOfMessages=10, WaitTimeSeconds=5)
        told = [json.loads(json.loads(message["Body"])["Message"]) for message in got.get("Messages", [])]
        heard |= {alarm["AlarmName"] for alarm in told if alarm["NewStateValue"] == "ALARM"}
        if heard == alarms:
            break
    assert heard == alarms


def test_a_functions_log_is_in_the_one_group_and_names_the_stack(stack):
    # When a function has run, which the reconciler can at any time
    stack.cloud.client("lambda").invoke(FunctionName=stack.resource("ReconcileJobs"), Payload=b"{}")
    # Then its metric is in the group of all functions
    logs = stack.cloud.client("logs")
    events = logs.filter_log_events(logGroupName=stack.output("FunctionsLog"), filterPattern="StuckJobs")
    lines = [json.loads(event["message"]) for event in events["events"]]
    assert lines
    assert {line["service"] for line in lines} == {STACK}
