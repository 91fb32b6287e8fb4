"""Following a job against a real WebSocket server: cut connections, late rows, silence, refusals."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from spaceport.errors import UserError
from spaceport.stages import Status
from spaceport_cli.follow import NoSuchJobError, Patience, first_status, follow

JOB = "job-0123456789abcdef0123"
# Fast enough for a test, slow enough for a busy machine.
SHORT = Patience(quiet=0.3, answer=1.0, unseen=0.2, row=1.0, first_retry=0.05, longest_retry=0.1, give_up=1.0)


def send(connection: ServerConnection, message: dict) -> None:
    connection.send(json.dumps(message))


def followed(address: Callable[[], str] | str, notes: list[str] | None = None, patience: Patience = SHORT):
    """(version, status) of everything that following yields."""
    make = address if callable(address) else lambda: address

    async def collect():
        seen = notes if notes is not None else []
        return [(s.version, s.status) async for s in follow(JOB, make, seen.append, patience)]

    return asyncio.run(asyncio.wait_for(collect(), 20))


def test_a_job_is_followed_from_its_snapshot_to_its_end(told, say, socket_api):
    api = socket_api(say(told(4), told(6), told(5), told(6), told(7, Status.COMPLETED)))

    assert followed(api.url) == [(4, Status.RUNNING), (6, Status.RUNNING), (7, Status.COMPLETED)]
    assert api.requests == [{"action": "subscribe", "jobId": JOB, "sinceVersion": 0}]


def test_a_cut_connection_is_made_again_and_the_snapshot_brings_what_was_missed(told, say, socket_api):
    # Given a connection that is cut after version 2, while the job goes on
    api = socket_api(say(told(2), then_close=True), say(told(9), told(10, Status.COMPLETED)))
    notes: list[str] = []

    # When it is followed
    seen = followed(api.url, notes)

    # Then nothing is seen twice, the end is seen, and a blink is not worth a word
    assert [version for version, _ in seen] == [2, 9, 10]
    assert len(api.paths) == 2
    assert notes == []
    # And the second subscription asks for what is newer than that only
    assert [request["sinceVersion"] for request in api.requests] == [0, 2]


def test_a_longer_cut_is_told_once_and_its_end_too(told, say, socket_api):
    api = socket_api(say(told(1), then_close=True), say(told(2, Status.FAILED)))
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"ws://127.0.0.1:{closed.getsockname()[1]}"
    addresses = iter([api.url, nobody, nobody, nobody, api.url])
    notes: list[str] = []

    seen = followed(lambda: next(addresses), notes)

    assert [version for version, _ in seen] == [1, 2]
    assert len(notes) == 2
    assert notes[0].startswith("The connection is lost (")
    assert notes[1] == "The connection is back."


def test_a_row_may_come_after_the_subscription(told, socket_api):
    def late(connection: ServerConnection, job_id: str) -> None:
        # The first subscription finds no row and its stream record is lost; asking again finds the row.
        connection.recv()
        send(connection, told(1))
        send(connection, told(2, Status.STOPPED))

    api = socket_api(late)

    assert [version for version, _ in followed(api.url)] == [1, 2]


def test_an_answer_that_comes_late_is_no_sign_that_there_is_no_row(told, say, socket_api):
    # Given a cloud whose function starts cold: its first answer comes after the time that a row is given
    api = socket_api(say(told(1, Status.COMPLETED)), answer_after_s=0.4)

    assert followed(api.url, patience=replace(SHORT, row=0.3)) == [(1, Status.COMPLETED)]


def test_a_lost_ending_is_found_by_asking_again_when_it_is_quiet(told, socket_api):
    def lose_the_end(connection: ServerConnection, job_id: str) -> None:
        send(connection, told(1))
        asked = json.loads(connection.recv())
        assert (asked["action"], asked["sinceVersion"]) == ("subscribe", 1)
        send(connection, {"type": "subscribed", "jobId": job_id})
        send(connection, told(8, Status.COMPLETED))

    api = socket_api(lose_the_end)

    assert followed(api.url)[-1] == (8, Status.COMPLETED)


def test_a_connection_that_no_longer_answers_is_given_up_for_a_new_one(told, say, socket_api):
    def fall_silent(connection: ServerConnection, job_id: str) -> None:
        send(connection, told(1))
        for _ in connection:
            pass

    api = socket_api(fall_silent, say(told(5, Status.COMPLETED)))

    assert [version for version, _ in followed(api.url)] == [1, 5]


def test_frames_that_are_not_ours_are_passed_over(told, say, socket_api):
    api = socket_api(say({"message": "Internal server error", "requestId": "x"}, told(3, Status.COMPLETED)))

    assert followed(api.url) == [(3, Status.COMPLETED)]


def test_a_job_without_a_row_is_said_not_to_exist(say, socket_api):
    api = socket_api(say())

    with pytest.raises(NoSuchJobError, match=f"knows no job {JOB}"):
        followed(api.url)


def test_first_status_is_a_snapshot_or_none(told, say, socket_api):
    known, unknown = socket_api(say(told(4))), socket_api(say())

    async def ask(url: str):
        return await first_status(JOB, lambda: url, print, SHORT)

    status = asyncio.run(ask(known.url))
    assert status is not None
    assert status.version == 4
    assert asyncio.run(ask(unknown.url)) is None


def test_what_the_cloud_answers_to_a_bad_subscription_is_told(say, socket_api):
    error = {"code": "no_such_job", "message": "There is no such job of yours.", "hint": "Check it."}
    api = socket_api(say({"type": "error", "error": error}))

    with pytest.raises(UserError) as refused:
        followed(api.url)
    assert (refused.value.code, refused.value.hint) == ("no_such_job", "Check it.")


def test_a_cloud_that_stays_away_is_given_up_with_the_way_back_and_without_the_ticket():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    with pytest.raises(UserError) as lost:
        followed(f"ws://127.0.0.1:{port}?ticket=secret")

    assert lost.value.code == "connection_lost"
    assert f"spaceport watch {JOB}" in lost.value.hint
    assert "secret" not in str(lost.value)


def test_each_connection_takes_an_address_of_its_own_and_waits_for_one(told, say, socket_api):
    # Given a connection that is cut, and no ticket to be had for a moment
    api = socket_api(say(told(1), then_close=True), say(told(2, Status.COMPLETED)))
    addresses = iter([f"{api.url}?ticket=1", None, f"{api.url}?ticket=2"])

    def address() -> str:
        if (made := next(addresses)) is None:
            raise ConnectionError("busy")
        return made

    # Then it is waited for, and none is used twice
    assert [version for version, _ in followed(address)] == [1, 2]
    assert api.paths == ["/prod?ticket=1", "/prod?ticket=2"]


def test_a_ticket_that_grew_old_on_the_way_is_replaced(told, say, socket_api):
    api = socket_api(say(told(1, Status.COMPLETED)))
    with refusing() as (url, attempts):
        addresses = iter([url, api.url])
        assert followed(lambda: next(addresses)) == [(1, Status.COMPLETED)]
    assert len(attempts) == 1


def test_a_cloud_that_refuses_its_own_tickets_is_not_asked_for_a_third():
    with refusing() as (url, attempts), pytest.raises(UserError) as refused:
        followed(url)
    assert refused.value.code == "access_refused"
    assert len(attempts) == 2


@contextmanager
def refusing() -> Iterator[tuple[str, list[str]]]:
    """A WebSocket API that lets nobody in: its address, and the paths that were asked for."""
    attempts: list[str] = []

    def refuse(connection: ServerConnection, request: Request) -> Response:
        attempts.append(request.path)
        return connection.respond(403, "no")

    server = serve(lambda connection: None, "127.0.0.1", 0, process_request=refuse)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/prod", attempts
    finally:
        server.shutdown()
        thread.join()
