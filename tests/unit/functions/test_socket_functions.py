"""The authorizer, the socket's routes and the broadcast, with API Gateway's answers recorded."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from boto3.dynamodb.types import TypeSerializer

from spaceport.callers import Caller
from spaceport.job import JobRecord, empty_stages, now_iso
from spaceport.jobs import item_of
from spaceport.stages import SFM, TRAINING, Status

ENDPOINT = {"WEBSOCKET_ENDPOINT": "https://api.execute-api.eu-west-1.amazonaws.com/prod"}


@dataclass
class Wire:
    """Stands where API Gateway is: keeps what was posted, and knows which connections are gone or broken."""

    posted: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)

    def post(self, connection_id: str, message: dict[str, Any]) -> bool:
        if connection_id in self.broken:
            raise ConnectionError(connection_id)
        if connection_id in self.gone:
            return False
        self.posted.append((connection_id, message))
        return True


@pytest.fixture
def wire() -> Wire:
    return Wire()


def record(**changes: Any) -> JobRecord:
    now = now_iso()
    return JobRecord(job_id="job-1", created_at=now, updated_at=now, stages=empty_stages()).model_copy(
        update=changes
    )


def socket_event(
    route: str, body: Any = None, connection: str = "c1", owner: str = "operator"
) -> dict[str, Any]:
    return {
        "requestContext": {"connectionId": connection, "routeKey": route, "authorizer": {"owner": owner}},
        "body": json.dumps(body) if body is not None else None,
    }


def stream_event(*rows: JobRecord) -> dict[str, Any]:
    serialize = TypeSerializer().serialize
    return {
        "Records": [
            {
                "eventName": "MODIFY",
                "dynamodb": {
                    "SequenceNumber": str(number),
                    "NewImage": {name: serialize(value) for name, value in item_of(row).items()},
                },
            }
            for number, row in enumerate(rows)
        ]
    }


# ---- authorizer ----------------------------------------


@pytest.fixture
def authorize(load, context):
    handler = load("authorize_socket").handler
    return lambda query: handler({"methodArn": "arn:x", "queryStringParameters": query}, context)


def verdict(answer: dict[str, Any]) -> tuple[str, str, dict[str, str]]:
    return (
        answer["policyDocument"]["Statement"][0]["Effect"],
        answer["principalId"],
        answer["context"],
    )


NOBODY = ("Deny", "nobody", {})


def test_a_ticket_says_who_connects_and_is_spent(aws, authorize):
    for caller, admin in ((Caller("ann"), "false"), (Caller("operator", is_admin=True), "true")):
        ticket = aws.tickets.issue(caller)
        first, second = authorize({"ticket": ticket}), authorize({"ticket": ticket})
        assert verdict(first) == ("Allow", caller.name, {"owner": caller.name, "admin": admin})
        assert verdict(second) == NOBODY


@pytest.mark.parametrize(("age", "found"), [(59, Caller("ann")), (61, None), (86400, None)])
def test_a_ticket_is_good_for_a_minute(aws, age, found):
    ticket = aws.tickets.issue(Caller("ann"), now=1000.0)
    assert aws.tickets.redeem(ticket, now=1000.0 + age) == found


@pytest.mark.parametrize(
    "query", [None, {}, {"ticket": ""}, {"ticket": "ü"}, {"token": "t"}, {"ticket": "x" * 9999}]
)
def test_without_a_ticket_of_ours_nobody_connects(aws, authorize, query):
    aws.tickets.issue(Caller("ann"))
    assert verdict(authorize(query)) == NOBODY


def test_what_the_table_holds_of_a_ticket_lets_nobody_in(aws, authorize):
    ticket = aws.tickets.issue(Caller("ann"))
    (item,) = boto3.resource("dynamodb").Table("tickets").scan()["Items"]
    assert ticket not in str(item)
    assert verdict(authorize({"ticket": item["digest"]})) == NOBODY


# ---- routes ----------------------------------------


@pytest.fixture
def serve(load, context, wire):
    module = load("serve_socket", **ENDPOINT)
    module.sockets = wire
    return lambda event: module.handler(event, context)


def test_subscribe_acknowledges_and_sends_the_row_as_it_is(aws, serve, wire):
    aws.jobs.create(record(status=Status.RUNNING))
    serve(socket_event("subscribe", {"jobId": "job-1"}))
    assert [message["type"] for _, message in wire.posted] == ["subscribed", "status"]
    assert wire.posted[1][1]["status"] == "RUNNING"
    assert aws.connections.followers("job-1") == ["c1"]


@pytest.mark.parametrize(
    ("since", "answers"), [(6, ["subscribed", "status"]), (7, ["subscribed"]), (8, ["subscribed"])]
)
def test_a_client_that_was_cut_off_gets_only_what_is_news_to_it(aws, serve, wire, since, answers):
    aws.jobs.create(record(version=7))
    serve(socket_event("subscribe", {"jobId": "job-1", "sinceVersion": since}))
    assert [message["type"] for _, message in wire.posted] == answers
    assert wire.posted[0][1] == {"type": "subscribed", "jobId": "job-1", "version": 7}


@pytest.mark.parametrize("since", [-1, 1.5, "3", None, True, [1]])
def test_a_version_that_is_none_is_refused_and_nothing_followed(aws, serve, wire, since):
    aws.jobs.create(record(version=7))
    serve(socket_event("subscribe", {"jobId": "job-1", "sinceVersion": since}))
    assert [message["error"]["code"] for _, message in wire.posted] == ["bad_since_version"]
    assert aws.connections.followers("job-1") == []


def test_a_connection_that_is_gone_when_it_is_answered_is_forgotten(aws, serve, wire):
    wire.gone.add("c1")
    serve(socket_event("subscribe", {"jobId": "job-1"}))
    assert aws.connections.followers("job-1") == []


def test_a_job_may_be_followed_before_it_has_a_row(aws, serve, wire):
    serve(socket_event("subscribe", {"jobId": "job-1"}))
    assert [message for _, message in wire.posted] == [
        {"type": "subscribed", "jobId": "job-1", "version": None}
    ]
    assert aws.connections.followers("job-1") == ["c1"]


def test_somebody_elses_job_is_not_shown(aws, serve, wire):
    aws.jobs.create(record(owner="ann"))
    serve(socket_event("subscribe", {"jobId": "job-1"}, owner="ben"))
    assert [message["type"] for _, message in wire.posted] == ["error"]
    assert aws.connections.followers("job-1") == []


def test_bad_messages_are_answered_not_dropped(serve, wire):
    for route, body in [
        ("subscribe", {}),
        ("subscribe", [1]),
        ("subscribe", {"jobId": "a b"}),
        ("$default", {"x": 1}),
    ]:
        serve(socket_event(route, body))
    serve({**socket_event("subscribe"), "body": "[" * 100_000})
    codes = [message["error"]["code"] for _, message in wire.posted]
    assert codes == ["bad_job_id"] * 3 + ["bad_action", "bad_job_id"]


def test_ping_is_answered_and_disconnect_forgets(aws, serve, wire):
    for job in ("job-1", "job-2"):
        serve(socket_event("subscribe", {"jobId": job}))
    serve(socket_event("ping"))
    assert wire.posted[-1][1] == {"type": "pong"}
    serve(socket_event("$disconnect"))
    assert aws.connections.followers("job-1") == aws.connections.followers("job-2") == []


# ---- broadcast ----------------------------------------


@pytest.fixture
def broadcast(load, context, wire):
    module = load("broadcast_status", **ENDPOINT)
    module.sockets = wire
    return lambda *rows: module.handler(stream_event(*rows), context)


def test_followers_get_every_stage_and_only_the_newest_progress(aws, broadcast, wire):
    aws.connections.subscribe("job-1", "c1")
    rows = [
        record(version=v, stage=s.name, status=Status.RUNNING) for v, s in ((2, SFM), (3, SFM), (4, TRAINING))
    ]
    assert broadcast(*rows) == {"batchItemFailures": []}
    assert [(c, m["version"]) for c, m in wire.posted] == [("c1", 3), ("c1", 4)]


def test_a_gone_connection_is_forgotten_and_the_others_get_theirs(aws, broadcast, wire):
    for connection in ("c1", "c2", "c3"):
        aws.connections.subscribe("job-1", connection)
        aws.connections.subscribe("job-2", connection)
    wire.gone.add("c2")
    assert broadcast(record(version=2)) == {"batchItemFailures": []}
    assert {connection for connection, _ in wire.posted} == {"c1", "c3"}
    assert aws.connections.followers("job-1") == aws.connections.followers("job-2") == ["c1", "c3"]


def test_a_post_that_fails_makes_only_that_jobs_records_come_again(aws, broadcast, wire):
    aws.connections.subscribe("job-1", "c1")
    aws.connections.subscribe("job-2", "c2")
    wire.broken.add("c1")
    failures = broadcast(record(version=2), record(job_id="job-2", version=2))
    assert failures == {"batchItemFailures": [{"itemIdentifier": "0"}]}
    assert [connection for connection, _ in wire.posted] == ["c2"]
