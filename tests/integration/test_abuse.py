"""What somebody may try on the HTTP API and with uploads, a row each: refused with a code, nothing is begun.

Tickets have a table of their own in `test_tickets.py`; what a page shows of names, in `test_report_page.py`.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from typing import Any

import pytest
import urllib3

from spaceport.bodies import MAX_BODY_BYTES

pytestmark = pytest.mark.engine
HTML = '<img src=x onerror="alert(1)">&amp;{{7*7}}'
MINE = "s3://{uploads}/uploads/mallory/no-such.zip"
# What is asked → HTTP status and our code. `{uploads}`, `{data}` and `{bobs_job}` are this stack's.
START: dict[str, tuple[dict[str, Any], tuple[int, str]]] = {
    "another owner's zip": ({"s3Url": "s3://{uploads}/uploads/bob/tower.zip"}, (400, "foreign_s3_uri")),
    "another owner's zip, its later steps": (
        {"s3Url": "s3://{uploads}/uploads/bob/tower.zip", "pipelineStep": "compression"},
        (400, "foreign_s3_uri"),
    ),
    "the operator's zip": ({"s3Url": "s3://{uploads}/flight.zip"}, (400, "foreign_s3_uri")),
    "a zip of nobody's folder": ({"s3Url": "s3://{uploads}/uploads//a.zip"}, (400, "foreign_s3_uri")),
    "a folder that only begins like the own": (
        {"s3Url": "s3://{uploads}/uploads/mallory-b/a.zip"},
        (400, "foreign_s3_uri"),
    ),
    "out of the own folder by dots": (
        {"s3Url": "s3://{uploads}/uploads/mallory/../bob/tower.zip"},
        (404, "no_such_zip"),  # S3's keys are no paths: that would be an object of Mallory's
    ),
    "into the own folder by dots": (
        {"s3Url": "s3://{uploads}/uploads/bob/../mallory/a.zip"},
        (400, "foreign_s3_uri"),
    ),
    "the bucket of results": ({"s3Url": "s3://{data}/uploads/mallory/a.zip"}, (400, "foreign_s3_uri")),
    "a stranger's bucket": (
        {"s3Url": "s3://somebodys-bucket/uploads/mallory/a.zip"},
        (400, "foreign_s3_uri"),
    ),
    "a bucket alone": ({"s3Url": "s3://{uploads}"}, (400, "foreign_s3_uri")),
    "a web address": ({"s3Url": "https://example.org/a.zip"}, (400, "bad_field")),
    "this machine's files": ({"s3Url": "file:///etc/passwd"}, (400, "bad_field")),
    "the cloud's own metadata": ({"s3Url": "http://169.254.169.254/latest/meta-data"}, (400, "bad_field")),
    "a line break in the address": ({"s3Url": "s3://{uploads}/uploads/mallory/a\n.zip"}, (400, "bad_field")),
    "something that is no zip": ({"s3Url": "s3://{uploads}/uploads/mallory/a.exe"}, (400, "not_a_zip")),
    "no address": ({}, (400, "bad_field")),
    "an image of one's own": ({"s3Url": MINE, "sfmImageUri": "evil/sfm:latest"}, (400, "unknown_field")),
    "another image of one's own": (
        {"s3Url": MINE, "gaussianImageUri": "1.dkr.ecr.eu-west-1.amazonaws.com/evil"},
        (400, "unknown_field"),
    ),
    "an image in the tuning": (
        {"s3Url": MINE, "tuning": {"compressorImageUri": "evil/sog"}},
        (400, "unknown_field"),
    ),
    "an image under its Python name": ({"s3Url": MINE, "sfm_image_uri": "evil"}, (400, "unknown_field")),
    "an output somewhere else": (
        {"s3Url": MINE, "compressedOutputS3Uri": "s3://evil/"},
        (400, "unknown_field"),
    ),
    "an owner": ({"s3Url": MINE, "owner": "bob"}, (400, "unknown_field")),
    "a job's id": ({"s3Url": MINE, "jobId": "{bobs_job}"}, (400, "unknown_field")),
    "a name of control characters": ({"s3Url": MINE, "jobName": "a\x00b\x1b[2J"}, (400, "bad_field")),
    "a name with a second line": ({"s3Url": MINE, "jobName": "a\nBcc: all@example.org"}, (400, "bad_field")),
    "a name without end": ({"s3Url": MINE, "jobName": "a" * 201}, (400, "bad_field")),
    "an e-mail with a second header": (
        {"s3Url": MINE, "email": "a@b.c\r\nBcc: all@example.org"},
        (400, "bad_field"),
    ),
    "numbers that are none": ({"s3Url": MINE, "tuning": {"max_iterations": "NaN"}}, (400, "bad_field")),
    "work without end": ({"s3Url": MINE, "tuning": {"max_iterations": 10**12}}, (400, "bad_field")),
    "a step that there is not": ({"s3Url": MINE, "pipelineStep": "rm -rf"}, (400, "bad_field")),
    "more than a body may hold": ({"s3Url": MINE, "jobName": "a" * MAX_BODY_BYTES}, (413, "too_large")),
    "much more": ({"s3Url": "s" * 5_000_000}, (413, "too_large")),
}
TEXTS: dict[str, tuple[bytes, tuple[int, str]]] = {
    "nothing": (b"", (400, "bad_field")),
    "no JSON": (b"s3Url=s3://a/b.zip", (400, "bad_body")),
    "no object": (b'["s3Url"]', (400, "bad_body")),
    "no text": (b"\xff\xfe\x00\x01", (400, "bad_body")),
    "brackets without end": (b"[" * 60_000, (400, "bad_body")),
    "a field twice, the second another owner's": (
        b'{"s3Url": "s3://{uploads}/uploads/mallory/a.zip", "s3Url": "s3://{uploads}/uploads/bob/a.zip"}',
        (400, "foreign_s3_uri"),
    ),
}
OTHERS: dict[str, tuple[str, str, Any, tuple[int, str]]] = {
    "reading another owner's job": ("GET", "/jobs/{bobs_job}", None, (404, "no_such_job")),
    "stopping it": ("POST", "/stop-job", {"jobId": "{bobs_job}"}, (404, "no_such_job")),
    "deleting what it made": (
        "POST", "/stop-job", {"jobId": "{bobs_job}", "discardArtifacts": True}, (404, "no_such_job"),
    ),
    "trying it again": ("POST", "/jobs/{bobs_job}/retry", {}, (404, "no_such_job")),
    "trying it again with an image": (
        "POST", "/jobs/{bobs_job}/retry", {"sfmImageUri": "evil"}, (400, "unknown_field"),
    ),
    "changing its tuning": (
        "POST", "/jobs/{bobs_job}/retry", {"tuning": {"max_iterations": 200_000}}, (404, "no_such_job"),
    ),
    "sharing it": ("POST", "/jobs/{bobs_job}/share", {"days": 1}, (404, "no_such_job")),
    "taking its links back": ("DELETE", "/jobs/{bobs_job}/share", None, (404, "no_such_job")),
    "a link without end": ("POST", "/jobs/{bobs_job}/share", {"days": 31}, (400, "bad_field")),
    "a guessed link": ("GET", "/shared/" + "A" * 43, None, (404, "no_such_link")),
    "the file behind it": ("GET", "/shared/" + "A" * 43 + "/model.sog", None, (404, "no_such_link")),
    "a job's id for a link": ("GET", "/shared/{bobs_job}", None, (404, "no_such_link")),
    "no link at all, and out of its folder": (
        "GET", "/shared/%2e%2e/jobs/{bobs_job}/model.ply", None, (404, "no_such_link"),
    ),
    "an upload without end": ("POST", "/uploads", {"fileName": "a.zip", "bytes": 10**15}, (413, "too_large")),
    "an upload of less than nothing": (
        "POST", "/uploads", {"fileName": "a.zip", "bytes": -1}, (400, "bad_field"),
    ),
    "an upload of a program": ("POST", "/uploads", {"fileName": "a.exe", "bytes": 1}, (400, "not_a_zip")),
    "an upload under another's name": (
        "POST", "/uploads", {"fileName": "a.zip", "bytes": 1, "owner": "bob"}, (400, "unknown_field"),
    ),
    "an upload to a key of one's own": (
        "POST", "/uploads", {"fileName": "a.zip", "bytes": 1, "key": "jobs/a"}, (400, "unknown_field"),
    ),
    "an upload that asks for an image": (
        "POST", "/uploads", {"fileName": "a.zip", "bytes": 1, "request": {"sfmImageUri": "evil"}},
        (400, "unknown_field"),
    ),
    "parts of another's upload": (
        "POST", "/uploads/x/parts", {"key": "uploads/bob/a.zip", "numbers": [1]}, (404, "no_such_upload"),
    ),
    "an address among the results": (
        "POST", "/uploads/x/parts", {"key": "jobs/a/model.sog", "numbers": [1]}, (404, "no_such_upload"),
    ),
    "an address of a zip that is there": (
        "POST", "/uploads/x/parts", {"key": "flight.zip", "numbers": [1]}, (404, "no_such_upload"),
    ),
    "more addresses than a call has": (
        "POST", "/uploads/x/parts", {"key": "uploads/mallory/a.zip", "numbers": [*range(1, 102)]},
        (400, "bad_field"),
    ),
    "a part beyond the last": (
        "POST", "/uploads/x/parts", {"key": "uploads/mallory/a.zip", "numbers": [501]}, (400, "bad_field"),
    ),
    "looking at another's upload": (
        "GET", "/uploads/x?key=uploads/bob/a.zip", None, (404, "no_such_upload"),
    ),
    "looking at it by dots": (
        "GET", "/uploads/x?key=uploads/mallory/../bob/a.zip", None, (404, "no_such_upload"),
    ),
    "looking at it by a name that S3's own answers can't tell": (
        "GET", "/uploads/x?key=uploads/mallory/a%00%EF%BF%BF.zip", None, (404, "no_such_upload"),
    ),
    "forgetting one whose name is longer than S3's": (
        "DELETE", f"/uploads/x?key=uploads/mallory/{'%C3%A9' * 900}.zip", None, (404, "no_such_upload"),
    ),
    "an upload of no name": ("GET", "/uploads/x", None, (400, "bad_field")),
    "forgetting another's upload": (
        "DELETE", "/uploads/x?key=uploads/bob/a.zip", None, (404, "no_such_upload"),
    ),
    "completing another's upload": (
        "POST", "/uploads/x/complete",
        {"key": "uploads/bob/a.zip", "parts": [{"number": 1, "etag": "0"}]}, (404, "no_such_upload"),
    ),
    "completing what is there already": (
        "POST", "/uploads/x/complete",
        {"key": "uploads/bob/tower.zip", "parts": [{"number": 1, "etag": "0"}]}, (404, "no_such_upload"),
    ),
    "an ETag with a header in it": (
        "POST", "/uploads/x/complete",
        {"key": "uploads/mallory/a.zip", "parts": [{"number": 1, "etag": "0\r\nx: y"}]}, (400, "bad_field"),
    ),
    "a ticket of another's": ("POST", "/ws-ticket", {"owner": "bob"}, (400, "unknown_field")),
    "a ticket of an admin's": ("POST", "/ws-ticket", {"admin": True}, (400, "unknown_field")),
    "dots for an id": ("POST", "/stop-job", {"jobId": "../../jobs"}, (404, "no_such_job")),
    "an id that is a pattern": ("POST", "/stop-job", {"jobId": "*"}, (404, "no_such_job")),
    "an id that is an object": ("POST", "/stop-job", {"jobId": {"$ne": ""}}, (400, "bad_field")),
    "an id without end": ("POST", "/stop-job", {"jobId": "a" * 5000}, (404, "no_such_job")),
    "HTML for an id": ("GET", "/jobs/%3Cscript%3E", None, (404, "no_such_job")),
    "a NUL in an address": ("GET", "/jobs/job-1%00", None, (404, "no_such_route")),
    "more jobs than a page holds": ("GET", "/jobs?limit=100000", None, (400, "bad_field")),
    "a page before no time": ("GET", "/jobs?before=' OR 1=1", None, (400, "bad_field")),
    "a page of another's": ("GET", "/jobs?owner=bob", None, (400, "unknown_field")),
}  # fmt: skip


@pytest.fixture(scope="module")
def mallory(user) -> Any:
    """Who tries all this: a user like others, with no job of their own."""
    return user("mallory")


@pytest.fixture(scope="module")
def names(stack, bob) -> dict[str, str]:
    """What the rows call this stack's things; Bob's job is a refused zip's."""
    job_id = stack.drop(b"no zip", "uploads/bob/tower.zip")
    bob.until_ended(job_id)
    buckets = {"uploads": stack.output("UploadsBucket"), "data": stack.output("DataBucket")}
    return {**buckets, "bobs_job": job_id}


def filled(value: Any, names: dict[str, str]) -> Any:
    """`value` with the names of this stack in each of its texts."""
    if isinstance(value, dict):
        return {key: filled(inner, names) for key, inner in value.items()}
    if not isinstance(value, str):
        return value
    for name, own in names.items():
        value = value.replace("{" + name + "}", own)
    return value


def refusal(answer: tuple[int, dict[str, Any]]) -> tuple[int, str]:
    return answer[0], answer[1].get("code", "")


@pytest.mark.parametrize("what", START)
def test_a_job_is_not_started_with(what, mallory, names):
    body, expected = START[what]
    assert refusal(mallory.ask("POST", "/start-job", filled(body, names))) == expected


@pytest.mark.parametrize("what", TEXTS)
def test_a_body_is_not(what, mallory, names):
    text, expected = TEXTS[what]
    headers = {"Authorization": f"Bearer {mallory.token}", "Content-Type": "application/json"}
    answer = urllib3.request(
        "POST",
        f"{mallory.address}/start-job",
        body=text.replace(b"{uploads}", names["uploads"].encode()),
        headers=headers,
    )
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert refusal((answer.status, answer.json())) == expected


@pytest.mark.parametrize("what", OTHERS)
def test_nobody_gets_far_with(what, mallory, names):
    method, path, body, expected = OTHERS[what]
    assert refusal(mallory.ask(method, filled(path, names), filled(body, names))) == expected


@pytest.mark.parametrize("token", [None, "", "garbage", "eyJhbGciOiJub25lIn0.eyJ1c2VybmFtZSI6ImJvYiJ9."])
def test_without_a_token_there_is_nothing(token, mallory, names):
    for method, path in (
        ("GET", "/jobs"),
        ("GET", "/limits"),
        ("POST", "/ws-ticket"),
        ("POST", "/uploads"),
        ("DELETE", "/uploads/x"),
        ("POST", "/start-job"),
        ("POST", "/jobs/{bobs_job}/share"),
        ("DELETE", "/jobs/{bobs_job}/share"),
    ):
        assert replace(mallory, token=token).ask(method, filled(path, names), {})[0] == 401


def test_none_of_it_has_made_a_job(mallory):
    assert mallory.ask("GET", "/jobs")[1] == {"jobs": [], "next": None}


# ---- what uploads may hold ----------------------------------------


def zip_of(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(name, bytes([number]) * 1000)
    return out.getvalue()


def test_an_upload_asks_for_no_image_either(stack, mallory):
    for request in ({"sfmImageUri": "evil"}, {"owner": "bob"}, {"compressedOutputS3Uri": "s3://evil/"}):
        job_id = stack.drop(zip_of("1.jpg", "2.jpg", "3.jpg"), "uploads/mallory/image.zip", **request)
        assert mallory.until_ended(job_id)["status"] == "REJECTED", request


@pytest.mark.parametrize("name", ["../../../etc/cron.d/job.jpg", "/etc/passwd.jpg", "C:\\Windows\\a.jpg"])
def test_a_zip_that_would_write_elsewhere_is_refused(stack, mallory, name):
    job_id = stack.drop(zip_of("1.jpg", "2.jpg", "3.jpg", name), "uploads/mallory/path.zip")
    assert mallory.until_ended(job_id)["error"]["code"] == "unsafe_name"


def test_html_in_names_is_told_as_the_text_that_it_is(stack, mallory):
    # Given a refused zip with HTML in its own name, its job's and its files'
    key = f"uploads/mallory/{HTML}.zip"
    job_id = stack.drop(zip_of(f"../{HTML}.jpg"), key, jobName=HTML)
    told = mallory.until_ended(job_id)
    # Then it is kept as it was given: who shows it as HTML escapes it, as nobody else can
    assert told["jobName"] == HTML
    assert HTML in told["error"]["message"]
    # And the answer is no HTML, whatever a browser makes of it
    answer = urllib3.request(
        "GET", f"{mallory.address}/jobs/{job_id}", headers={"Authorization": f"Bearer {mallory.token}"}
    )
    assert answer.headers["Content-Type"] == "application/json"
    assert json.loads(answer.data) == told
