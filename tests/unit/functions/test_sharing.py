"""Links to results, on moto's stores: what one shows, to whom, for how long, and what it never tells."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest

from spaceport.changes import change_in
from spaceport.job import JobRecord, Outputs, now_iso
from spaceport.links import MAX_DAYS, Link, Links, digest_of
from spaceport.listed_objects import ListedObjects
from spaceport.shared_files import SharedFiles
from spaceport.sharing import MAX_LINKS
from spaceport.stages import ACTIVE, Status

ROOT = Path(__file__).resolve().parents[3]
ANN, BOB, ADMIN = {"username": "ann"}, {"username": "bob"}, {"username": "o", "cognito:groups": "[admins]"}
JOB = "job-0123456789abcdef0123"
FILES = ("viewer/index.html", "viewer/settings.json", "viewer/poster.jpg", "model.sog", "report.html")
PAGE = "<!doctype html>" + "lawn" * 10
Ask = Callable[..., tuple[int, dict[str, str], Any]]


@pytest.fixture
def share(load, context) -> Ask:
    """`share("POST", body, by=ANN)`: of JOB's links."""
    module = load("share_results")
    return lambda method, body=None, by=ANN, job=JOB: asked(
        module, context, method, f"/jobs/{job}/share", body, by
    )


@pytest.fixture
def look(load, context) -> Ask:
    """`look(path)`: as anybody."""
    module = load("serve_shared")
    return lambda path: asked(module, context, "GET", path)


def asked(module: Any, context: Any, method: str, path: str, body: Any = None, by: Any = None) -> Any:
    event = {
        "version": "2.0",
        "routeKey": "",
        "rawPath": f"/prod{path}",
        "rawQueryString": "",
        "headers": {"host": "a1.execute-api.eu-west-1.amazonaws.com", "x-forwarded-proto": "https"},
        "requestContext": {
            "stage": "prod",
            "http": {"method": method, "path": f"/prod{path}"},
            **({"authorizer": {"jwt": {"claims": by, "scopes": None}}} if by else {}),
        },
        "isBase64Encoded": False,
        "body": json.dumps(body or {}),
    }
    told = module.handler(event, context)
    headers = {name: "".join(value) for name, value in told["headers"].items()}
    is_json = "json" in headers.get("Content-Type", "")
    return told["statusCode"], headers, json.loads(told["body"]) if is_json else told["body"]


@pytest.fixture
def put(aws) -> Callable[..., JobRecord]:
    """`put(status=...)`: the row of JOB, ann's, with its results."""

    def put(**fields: Any) -> JobRecord:
        home = f"s3://{aws.data_bucket}/jobs/{JOB}/compressed/"
        told = {"job_id": JOB, "owner": "ann", "job_name": "Beach", "status": Status.COMPLETED}
        then = {"created_at": now_iso(), "updated_at": now_iso()}
        results = {"outputs": Outputs(sog=f"{home}model.sog"), "metrics": {"psnr_holdout": 24.5}}
        row = JobRecord.model_validate({**told, **then, **results, **fields})
        assert aws.jobs.create(row)
        for name in FILES:
            boto3.client("s3").put_object(
                Bucket=aws.data_bucket, Key=f"jobs/{JOB}/compressed/{name}", Body=PAGE.encode()
            )
        return row

    return put


def copies(aws) -> list[str]:
    found = boto3.client("s3").list_objects_v2(Bucket=aws.data_bucket, Prefix="shared/").get("Contents", [])
    return [entry["Key"] for entry in found]


def end(aws, token: str, seconds_ago: int = 1) -> None:
    """Let the link of this token have ended so long ago."""
    link = aws.links.find(digest_of(token))
    then = now_iso(datetime.now(UTC) - timedelta(seconds=seconds_ago))
    aws.links.put(Link(link.job_id, link.digest, link.created_at, then))


def test_a_link_shows_the_viewer_and_what_it_draws_to_anybody(aws, put, share, look):
    # Given a link to a result
    row = put()
    status, _, told = share("POST", {"days": 3})
    assert status == 201
    ends = datetime.fromisoformat(told["expiresAt"]) - datetime.now(UTC)
    assert timedelta(days=2, hours=23) < ends < timedelta(days=3, seconds=1)
    here = f"/shared/{told['token']}"
    assert told["url"] == f"https://a1.execute-api.eu-west-1.amazonaws.com/prod{here}/viewer/index.html"
    # When somebody looks who is not signed in
    status, headers, seen = look(here)
    assert headers["Cache-Control"] == "no-store"
    # Then
    assert (status, seen) == (
        200,
        {
            "name": "Beach",
            "status": "COMPLETED",
            "createdAt": row.created_at,
            "expiresAt": told["expiresAt"],
            "viewerUrl": told["url"],
            "posterUrl": told["url"].replace("index.html", "poster.jpg"),
            "quality": {"psnr_holdout": 24.5},
        },
    )
    status, headers, page = look(f"{here}/viewer/index.html")
    assert (status, page) == (200, PAGE)
    # Nobody learns the token of a page that links elsewhere, or of a cache
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    for name in ("viewer/settings.json", "model.sog"):
        status, headers, _ = look(f"{here}/{name}")
        assert status == 302
        assert headers["Cache-Control"] == "private, max-age=30"
        where = urlsplit(headers["Location"])
        # The bucket's address in its region: no other is good at once, and everywhere
        assert where.netloc == f"{aws.data_bucket}.s3.eu-west-1.amazonaws.com"
        assert where.path.endswith(f"/{name}")
        assert int(parse_qs(where.query)["X-Amz-Expires"][0]) <= 60
        # The job's id would be a link without end, where the site is on
        assert JOB not in headers["Location"]


def test_a_link_shows_nothing_else(aws, put, share, look):
    put()
    token = share("POST")[2]["token"]
    assert sorted(key.split("/", 3)[3] for key in copies(aws)) == sorted(FILES[:4])
    for name in (
        "report.html",
        "viewer/../../model.ply",
        "viewer/",
        "viewer//x",
        "model.sog/x",
        "jobs/x",
        "%2e",
    ):
        assert look(f"/shared/{token}/{name}")[2]["code"] == "no_such_route", name


def test_a_model_in_levels_of_detail_is_shared_in_them(aws, put, share, look):
    home = f"s3://{aws.data_bucket}/jobs/{JOB}/compressed/"
    put(outputs=Outputs(sog=f"{home}model.sog", lod=f"{home}lod/lod-meta.json"))
    boto3.client("s3").put_object(
        Bucket=aws.data_bucket, Key=f"jobs/{JOB}/compressed/lod/0_0/meta.json", Body=b"{}"
    )
    token = share("POST")[2]["token"]
    assert {key.split("/", 3)[3] for key in copies(aws)} == {*FILES[:3], "lod/0_0/meta.json"}
    assert look(f"/shared/{token}/lod/0_0/meta.json")[0] == 302


def test_a_link_ends(aws, put, share, look):
    put()
    token = share("POST", {"days": 1})[2]["token"]
    end(aws, token)
    for path in (f"/shared/{token}", f"/shared/{token}/viewer/index.html", f"/shared/{token}/model.sog"):
        status, headers, told = look(path)
        assert (status, told["code"]) == (410, "share_expired")
        assert headers["Content-Type"] == "application/problem+json"
    # And its copies go when the next one is made
    share("POST")
    assert len(copies(aws)) == 4


def test_an_address_is_never_good_for_longer_than_its_link(aws, put, share, look):
    put()
    token = share("POST")[2]["token"]
    end(aws, token, seconds_ago=-20)
    headers = look(f"/shared/{token}/model.sog")[1]
    assert int(headers["Cache-Control"].partition("max-age=")[2]) <= 10
    where = urlsplit(headers["Location"])
    assert int(parse_qs(where.query)["X-Amz-Expires"][0]) <= 20


def test_links_that_are_taken_back_show_nothing_at_once(aws, put, share, look):
    put()
    tokens = [share("POST", by=by)[2]["token"] for by in (ANN, ADMIN)]
    status, _, told = share("DELETE")
    assert (status, told) == (200, {"jobId": JOB, "links": 2})
    for token in tokens:
        assert look(f"/shared/{token}")[2]["code"] == "no_such_link"
        assert look(f"/shared/{token}/model.sog")[2]["code"] == "no_such_link"
    assert copies(aws) == []
    assert share("DELETE")[2]["links"] == 0


def test_a_link_to_a_deleted_job_shows_nothing_at_once(aws, put, share, look):
    put()
    token = share("POST")[2]["token"]
    assert aws.jobs.delete(JOB, now_iso())
    assert look(f"/shared/{token}")[2]["code"] == "no_such_link"
    assert look(f"/shared/{token}/viewer/index.html")[2]["code"] == "no_such_link"


@pytest.mark.parametrize("by", [BOB, {"username": "ann2"}], ids=["another", "one called alike"])
def test_only_its_owner_and_admins_share_a_job(aws, put, share, by):
    put()
    share("POST")
    assert share("POST", by=by)[2]["code"] == "no_such_job"
    assert share("DELETE", by=by)[2]["code"] == "no_such_job"
    assert len(aws.links.of(JOB)) == 1


@pytest.mark.parametrize("status", sorted({*ACTIVE, Status.FAILED, Status.STOPPED, Status.REJECTED}))
def test_only_a_finished_result_is_shared(aws, put, share, status):
    # Of a job that is done anew, the files of the run before are being written over
    put(status=status)
    code, _, told = share("POST")
    assert (code, told["code"]) == (409, "no_result")
    assert (copies(aws), aws.links.of(JOB)) == ([], [])


@pytest.mark.parametrize("days", [0, MAX_DAYS + 1, -1, 1.5, "7", True, None])
def test_a_link_is_for_a_whole_number_of_days(put, share, days):
    put()
    assert share("POST", {"days": days})[2]["code"] == "bad_field"


def test_a_job_has_so_many_links_that_have_not_ended(aws, put, share):
    put()
    tokens = [share("POST")[2]["token"] for _ in range(MAX_LINKS)]
    assert share("POST")[2]["code"] == "too_many_links"
    end(aws, tokens[0])
    assert share("POST")[0] == 201


@pytest.mark.parametrize("token", ["a" * 43, "a", "a" * 500, "%00", "' OR 1=1", "é" * 43, "../jobs"])
def test_a_guessed_token_shows_nothing(put, share, look, token):
    put()
    share("POST")
    assert look(f"/shared/{token}")[2]["code"] in {"no_such_link", "no_such_route"}
    assert look(f"/shared/{token}/viewer/index.html")[2]["code"] in {"no_such_link", "no_such_route"}


def test_the_table_has_no_tokens(aws, put, share):
    put()
    token = share("POST")[2]["token"]
    stored = json.dumps(boto3.resource("dynamodb").Table("links").scan()["Items"], default=str)
    assert token not in stored
    assert JOB not in "".join(copies(aws))


@pytest.mark.parametrize("meanwhile", ["deleted", "done anew", "taken back"])
def test_what_changes_while_copies_are_made_leaves_no_link(aws, put, share, load, monkeypatch, meanwhile):
    row = put()
    module = load("share_results")
    copy = type(module.files).copy

    def slow_copy(files: Any, *arguments: Any) -> int:
        if meanwhile == "deleted":
            aws.jobs.delete(JOB, now_iso())
        elif meanwhile == "done anew":
            again = row.model_copy(update={"run": 2, "status": Status.QUEUED})
            assert aws.jobs.reopen(row, again)
        else:
            aws.links.drop(JOB)
        return copy(files, *arguments)

    monkeypatch.setattr("spaceport.shared_files.SharedFiles.copy", slow_copy)
    assert share("POST")[2]["code"] == "job_changed"
    assert (copies(aws), aws.links.of(JOB)) == ([], [])


def test_a_link_that_is_made_while_others_are_taken_back_shows_its_page(put, share, look, monkeypatch):
    put()
    share("POST")
    made: list[str] = []
    drop = Links.drop

    def slow_drop(links: Links, job_id: str, until: str | None) -> int:
        taken = drop(links, job_id, until)
        made.append(share("POST")[2]["token"])
        return taken

    monkeypatch.setattr("spaceport.links.Links.drop", slow_drop)
    assert share("DELETE")[2]["links"] == 1
    status, _, page = look(f"/shared/{made[0]}/viewer/index.html")
    assert (status, page) == (200, PAGE)


def test_a_share_that_breaks_off_leaves_no_link(aws, put, load, share, monkeypatch):
    put()
    module = load("share_results")
    copy = SharedFiles.copy

    def broken(files: SharedFiles, uri: str, has_lod: bool, link: Link) -> int:
        copy(files, uri, has_lod, link)
        raise TimeoutError("S3 is slow")

    with monkeypatch.context() as patch:
        patch.setattr(SharedFiles, "copy", broken)
        with pytest.raises(TimeoutError):
            module.sharing.share(aws.jobs.get(JOB), 1, now_iso())
    assert (copies(aws), aws.links.of(JOB)) == ([], [])


def test_links_that_ended_long_ago_cost_a_share_nothing(aws, put, share, monkeypatch):
    # Given some that are remembered, and have no copies any more
    put()
    for _ in range(3):
        end(aws, share("POST")[2]["token"])
    share("POST")
    # When another is made, then none of their folders is looked for, and nothing is deleted
    monkeypatch.setattr(SharedFiles, "erase", None)
    deleted: list[int] = []
    delete = ListedObjects.delete

    def counted(objects: ListedObjects, keys: list[str]) -> int:
        deleted.append(len(keys))
        return delete(objects, keys)

    monkeypatch.setattr(ListedObjects, "delete", counted)
    assert share("POST")[0] == 201
    assert sum(deleted) == 0


# ---- a stop that leaves nothing ----------------------------------------


def told_of_discard(time: str) -> dict[str, Any]:
    event = json.loads((ROOT / "events" / "job_changed.json").read_text())
    wish = {"jobId": JOB, "status": "STOPPED", "discards": True, "time": time}
    return {**event, "detail": {**event["detail"], **wish}}


def test_a_stop_that_deletes_what_the_job_had_made_ends_its_links(aws, put, share, look, load, context):
    # Given a link to a result that a later run has overwritten, and that run stopped
    row = put()
    token = share("POST")[2]["token"]
    stopped = row.model_copy(update={"run": 2, "status": Status.STOPPED, "version": 2})
    assert aws.jobs.reopen(row, stopped)
    # When a second stop asks to delete what it had made
    assert aws.jobs.discard_artifacts(JOB, now_iso())
    change = change_in(aws.stream()[-1]["dynamodb"])
    told = change.detail()
    assert (told.discards, told.status, change.is_of_history) == (True, Status.STOPPED, False)
    load("forget_job").handler(told_of_discard(told.time), context)
    # Then the link shows nothing, and its copies are gone; the row stays
    assert look(f"/shared/{token}/viewer/index.html")[2]["code"] == "no_such_link"
    assert (copies(aws), aws.links.of(JOB)) == ([], [])
    assert aws.jobs.get(JOB).status is Status.STOPPED


def test_a_link_to_a_later_result_outlives_the_event_of_an_earlier_stop(aws, put, share, look, load, context):
    put()
    token = share("POST")[2]["token"]
    before = now_iso(datetime.now(UTC) - timedelta(minutes=1))
    load("forget_job").handler(told_of_discard(before), context)
    assert look(f"/shared/{token}/viewer/index.html")[0] == 200
