"""The authorizer, the socket's routes and the broadcast, with API Gateway's answers recorded."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import boto3
import pytest
from boto3.dynamodb.types import TypeSerializer
from hypothesis import given, settings
from hypothesis import strategies as st

from spaceport.callers import Caller
from spaceport.connections import MAX_SUBSCRIPTIONS, Follower
from spaceport.job import JobError, JobRecord, Outputs, empty_stages, now_iso
from spaceport.jobs import item_of
from spaceport.sockets import MAX_FRAME_BYTES, POSTING, frame, status_message
from spaceport.stages import COMPRESSION, SFM, TRAINING, Status

ADMIN, ANN, BEN = Caller("operator", is_admin=True), Caller("ann"), Caller("ben")
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
    route: str, body: Any = None, connection: str = "c1", caller: Caller = ADMIN
) -> dict[str, Any]:
    return {
        "requestContext": {
            "connectionId": connection,
            "routeKey": route,
            "authorizer": {**caller.context(), "principalId": caller.name},
        },
        "body": json.dumps(body) if body is not None else None,
    }


def followers(aws: Any, job_id: str = "job-1") -> list[str]:
    return [follower.connection_id for follower in aws.connections.followers(job_id)]


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
    assert followers(aws) == ["c1"]


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
    assert followers(aws) == []


def test_a_connection_that_is_gone_when_it_is_answered_is_forgotten(aws, serve, wire):
    wire.gone.add("c1")
    serve(socket_event("subscribe", {"jobId": "job-1"}))
    assert followers(aws) == []


def test_a_job_may_be_followed_before_it_has_a_row(aws, serve, wire):
    serve(socket_event("subscribe", {"jobId": "job-1"}))
    assert [message for _, message in wire.posted] == [
        {"type": "subscribed", "jobId": "job-1", "version": None}
    ]
    assert followers(aws) == ["c1"]


def test_somebody_elses_job_is_as_if_it_were_not_there(aws, serve, wire):
    aws.jobs.create(record(owner="ann"))
    for job_id in ("job-1", "job-2"):
        serve(socket_event("subscribe", {"jobId": job_id}, caller=BEN))
    assert [message for _, message in wire.posted] == [
        {"type": "subscribed", "jobId": job_id, "version": None} for job_id in ("job-1", "job-2")
    ]
    # While its owner and an admin see it
    for caller in (ANN, ADMIN):
        serve(socket_event("subscribe", {"jobId": "job-1"}, caller=caller))
        assert wire.posted[-1][1]["type"] == "status"


def test_a_connection_follows_so_many_jobs_and_no_more(aws, serve, wire):
    for number in range(MAX_SUBSCRIPTIONS):
        aws.connections.subscribe(f"job-{number}", Follower("c1", ADMIN))
    # When it asks for one more, for one that it follows, and another connection does
    for job_id, connection in (("job-more", "c1"), ("job-7", "c1"), ("job-more", "c2")):
        serve(socket_event("subscribe", {"jobId": job_id}, connection))
    # Then only the first is refused
    assert [message["type"] for _, message in wire.posted] == ["error", "subscribed", "subscribed"]
    assert wire.posted[0][1]["error"]["code"] == "too_many_subscriptions"
    assert followers(aws, "job-more") == ["c2"]
    # And there is room again after one less
    serve(socket_event("unsubscribe", {"jobId": "job-7"}))
    serve(socket_event("subscribe", {"jobId": "job-more"}))
    assert followers(aws, "job-more") == ["c1", "c2"]


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
    assert followers(aws) == followers(aws, "job-2") == []


# ---- broadcast ----------------------------------------


@pytest.fixture
def broadcast(load, context, wire):
    module = load("broadcast_status", **ENDPOINT)
    module.sockets = wire
    return lambda *rows: module.handler(stream_event(*rows), context)


def test_followers_get_every_stage_and_only_the_newest_progress(aws, broadcast, wire):
    aws.connections.subscribe("job-1", Follower("c1", ADMIN))
    rows = [
        record(version=v, stage=s.name, status=Status.RUNNING) for v, s in ((2, SFM), (3, SFM), (4, TRAINING))
    ]
    assert broadcast(*rows) == {"batchItemFailures": []}
    assert [(c, m["version"]) for c, m in wire.posted] == [("c1", 3), ("c1", 4)]


def test_a_gone_connection_is_forgotten_and_the_others_get_theirs(aws, broadcast, wire):
    for connection in ("c1", "c2", "c3"):
        aws.connections.subscribe("job-1", Follower(connection, ADMIN))
        aws.connections.subscribe("job-2", Follower(connection, ADMIN))
    wire.gone.add("c2")
    assert broadcast(record(version=2)) == {"batchItemFailures": []}
    assert {connection for connection, _ in wire.posted} == {"c1", "c3"}
    assert followers(aws) == followers(aws, "job-2") == ["c1", "c3"]


def test_a_post_that_fails_makes_only_that_jobs_records_come_again(aws, broadcast, wire, capsys):
    aws.connections.subscribe("job-1", Follower("c1", ADMIN))
    aws.connections.subscribe("job-2", Follower("c2", ADMIN))
    wire.broken.add("c1")
    failures = broadcast(record(version=2), record(job_id="job-2", version=2))
    assert failures == {"batchItemFailures": [{"itemIdentifier": "0"}]}
    assert [connection for connection, _ in wire.posted] == ["c2"]
    # And it is measured, with the job's id
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["job_id"] for line in lines if "BroadcastFailed" in line] == ["job-1"]


def test_only_who_may_see_a_job_hears_of_it(aws, broadcast, wire):
    # Given connections that followed the job before it had a row, and one of an older version's table
    for connection, caller in (("ann", ANN), ("ben", BEN), ("operator", ADMIN)):
        aws.connections.subscribe("job-1", Follower(connection, caller))
    boto3.resource("dynamodb").Table("connections").put_item(
        Item={"jobId": "job-1", "connectionId": "old", "expiresAt": 1}
    )
    assert broadcast(record(owner="ann", version=2)) == {"batchItemFailures": []}
    assert sorted(connection for connection, _ in wire.posted) == ["ann", "operator"]


def test_a_client_gets_a_jobs_changes_in_their_order(aws, broadcast, wire):
    for connection in range(40):
        aws.connections.subscribe("job-1", Follower(f"c{connection}", ADMIN))
    stages = (SFM, TRAINING, COMPRESSION)
    broadcast(*(record(version=2 + number, stage=stage.name) for number, stage in enumerate(stages)))
    seen: dict[str, list[int]] = {}
    for connection, message in wire.posted:
        seen.setdefault(connection, []).append(message["version"])
    assert len(seen) == 40
    assert all(versions == [2, 3, 4] for versions in seen.values())


def test_no_update_overtakes_the_snapshot(aws, serve, broadcast, wire, monkeypatch):
    # Given a row, and a change of it while its snapshot is on the way to a new follower
    aws.jobs.create(record(version=7))
    post, updates = wire.post, []

    def post_slowly(connection_id: str, message: dict[str, Any]) -> bool:
        if message.get("version") == 7 and message["type"] == "status":
            updates.append(Thread(target=broadcast, args=(record(version=8),)))
            updates[0].start()
            updates[0].join(0.3)  # longer than the update's own way takes
        return post(connection_id, message)

    monkeypatch.setattr(wire, "post", post_slowly)
    # When it subscribes
    serve(socket_event("subscribe", {"jobId": "job-1"}))
    updates[0].join()
    # Then it gets the one after the other
    assert [message["version"] for _, message in wire.posted if message["type"] == "status"] == [7, 8]


def test_an_update_that_comes_after_a_newer_snapshot_is_not_sent(aws, serve, broadcast, wire):
    # Given a row whose last change is still in the stream, and a client that subscribes
    aws.jobs.create(record(version=8))
    serve(socket_event("subscribe", {"jobId": "job-1"}))
    # When the stream's records come, and a newer one
    broadcast(record(version=7, stage=SFM.name))
    broadcast(record(version=8, stage=TRAINING.name), record(version=9, stage=COMPRESSION.name))
    # Then the client is not taken back
    assert [message["version"] for _, message in wire.posted if message["type"] == "status"] == [8, 9]


def test_an_update_waits_for_no_snapshot_that_never_comes(aws, broadcast, wire):
    # Given a follower whose snapshot's sender died
    aws.connections.subscribe("job-1", Follower("c1", ADMIN, snapshot_until=time.time() + 0.2))
    broadcast(record(version=8))
    assert [message["version"] for _, message in wire.posted] == [8]


def test_a_follower_that_left_while_its_snapshot_was_sent_stays_away(aws):
    aws.connections.snapshot_sent("job-1", Follower("c1", ADMIN), 7)
    assert followers(aws) == []


class SilentGateway:
    """An API Gateway on 127.0.0.1 that leaves posts to the connections `dead` without an answer."""

    def __init__(self, dead: set[str]) -> None:
        self.heard_at: dict[str, float] = {}
        self.closed: list[str] = []
        self.over = Event()
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                connection = self.path.rsplit("/", 1)[-1]
                if connection in dead:
                    gateway.over.wait(20)
                    return
                gateway.heard_at[connection] = time.monotonic()
                self._answer()

            def do_DELETE(self) -> None:
                gateway.closed.append(self.path.rsplit("/", 1)[-1])
                self._answer()

            def _answer(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def gateway() -> Iterator[SilentGateway]:
    gateway = SilentGateway(dead={"dead-1", "dead-2"})
    yield gateway
    gateway.close()


def test_clients_that_take_nothing_delay_nobody_and_are_let_go(aws, load, context, gateway):
    # Given two dead clients of one job, and living ones of it and of another
    module = load("broadcast_status", WEBSOCKET_ENDPOINT=gateway.url)
    for connection in ("dead-1", "dead-2", "alive-1"):
        aws.connections.subscribe("job-1", Follower(connection, ADMIN))
    aws.connections.subscribe("job-2", Follower("alive-2", ADMIN))
    # When both jobs change
    began = time.monotonic()
    told = module.handler(stream_event(record(version=2), record(job_id="job-2", version=2)), context)
    # Then the living heard it at once, and the dead cost one time-out in all
    assert {connection: at - began < 1 for connection, at in gateway.heard_at.items()} == {
        "alive-1": True,
        "alive-2": True,
    }
    assert time.monotonic() - began < 2 * POSTING.read_timeout
    # And they are closed and forgotten, and the batch is done
    assert sorted(gateway.closed) == ["dead-1", "dead-2"]
    assert followers(aws) == ["alive-1"]
    assert told == {"batchItemFailures": []}


# ---- frames ----------------------------------------

LONG = "\x01" * 5000  # six bytes each in JSON


@pytest.mark.parametrize(
    ("row", "kept"),
    [
        (record(), {"warnings", "metrics", "detail"}),
        (record(warnings=["no GPS"], metrics={"psnr": 21.5}), {"warnings", "metrics", "detail"}),
        (record(warnings=[LONG] * 9, metrics={"psnr": 21.5}), {"metrics", "detail"}),
        (record(metrics={f"m{n}": 0.1 for n in range(9999)}), {"warnings", "detail"}),
        (record(job_name=LONG, detail=LONG, error=JobError(code="x", message=LONG, hint=LONG)), set()),
        (
            record(
                detail=LONG,
                outputs=Outputs.model_validate(dict.fromkeys(Outputs.model_fields, "s3://b/" + "k" * 1100)),
            ),
            {"outputs"},
        ),
    ],
)
def test_a_frame_is_never_too_large_and_leaves_out_what_it_must(row, kept):
    whole = status_message(row)
    sent = json.loads(frame(whole))
    assert len(frame(whole)) <= MAX_FRAME_BYTES
    assert {name for name in kept if sent[name] != whole[name]} == set()
    assert {name: sent[name] for name in ("type", "jobId", "version", "status", "stages", "outputs")} == {
        name: whole[name] for name in ("type", "jobId", "version", "status", "stages", "outputs")
    }


# As long as rows never are: a few characters, many times over
texts = st.builds(lambda unit, times: unit * times, st.text(min_size=1, max_size=3), st.integers(0, 20_000))


@given(
    name=texts,
    detail=texts,
    warnings=st.lists(texts, max_size=5),
    metrics=st.dictionaries(st.text(max_size=9), st.floats(allow_nan=False), max_size=50),
    error=st.none() | st.builds(JobError, code=st.just("x"), message=texts, hint=texts),
)
@settings(max_examples=100, deadline=None)
def test_whatever_a_row_holds_its_frame_fits_and_tells_the_versions_status(
    name, detail, warnings, metrics, error
):
    row = record(job_name=name, detail=detail, warnings=warnings, metrics=metrics, error=error, version=7)
    data = frame(status_message(row))
    assert len(data) <= MAX_FRAME_BYTES
    sent = json.loads(data)
    assert (sent["version"], sent["status"], sent["stage"]) == (7, row.status, row.stage)
    assert sent["error"] is None or sent["error"]["code"] == "x"
