"""A zip uploaded in parts over presigned addresses, as a web page does it, on the local cloud."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import urllib3

from spaceport.uploads import MAX_UPLOAD_BYTES, MIN_PART_BYTES
from spaceport_local.cloud import LocalCloud
from spaceport_local.deploy import WEB_ORIGIN_VARIABLE

pytestmark = pytest.mark.engine
WEB = "http://127.0.0.1:5173"  # as a developer's server of the page has it


def large_zip() -> bytes:
    """A zip of three parts: photos that are none inside, but that the gate can't tell from their names."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(3):
            archive.writestr(f"DJI_{number:04}.JPG", os.urandom(MIN_PART_BYTES * 5 // 6))
    return out.getvalue()


@pytest.fixture(scope="module")
def stack(tmp_path_factory, stubs, stack_of) -> Iterator[Any]:
    cloud = LocalCloud(data_dir=tmp_path_factory.mktemp("cloud"), options=stubs.options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(WEB_ORIGIN_VARIABLE, WEB)
        cloud.up()
    yield stack_of(cloud)
    cloud.down()


def asked_by(origin: str, user: Any, method: str, path: str = "/jobs", **headers: str) -> Any:
    """What the API answers a page of `origin`."""
    return urllib3.request(method, user.address + path, headers={"Origin": origin, **headers})


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_page_of_the_web_origin_may_call_the_api_and_see_its_answers(alice, method):
    wanted = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization"}
    asked = asked_by(WEB, alice, "OPTIONS", **wanted)
    assert asked.status in {200, 204}
    assert asked.headers["Access-Control-Allow-Origin"] == WEB
    assert method in asked.headers["Access-Control-Allow-Methods"].split(",")
    assert "authorization" in asked.headers["Access-Control-Allow-Headers"].lower()
    answer = asked_by(WEB, alice, "GET", Authorization=f"Bearer {alice.token}")
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, WEB)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:5173", f"{WEB}.evil.example"]
)
def test_a_page_of_another_origin_may_not(alice, origin):
    for method, headers in (
        ("OPTIONS", {"Access-Control-Request-Method": "POST"}),
        ("GET", {"Authorization": f"Bearer {alice.token}"}),
    ):
        answer = asked_by(origin, alice, method, **headers)
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_page_may_put_parts_and_read_their_etags(stack):
    cors = stack.cloud.client("s3").get_bucket_cors(Bucket=stack.output("UploadsBucket"))["CORSRules"]
    assert [(rule["AllowedOrigins"], rule["AllowedMethods"], rule["ExposeHeaders"]) for rule in cors] == [
        ([WEB], ["PUT"], ["ETag"])
    ]


@pytest.fixture
def begun(alice) -> dict[str, Any]:
    """An upload of Alice's of three parts."""
    body = {"fileName": "My flight.zip", "bytes": 2 * MIN_PART_BYTES + 1, "request": {"preset": "preview"}}
    status, told = alice.ask("POST", "/uploads", body)
    assert status == 201, told
    return told


def address(user: Any, upload: dict[str, Any], *numbers: int) -> list[str]:
    """Where these parts go."""
    body = {"key": upload["key"], "numbers": numbers}
    status, told = user.ask("POST", f"/uploads/{upload['uploadId']}/parts", body)
    assert status == 200, told
    assert [part["number"] for part in told["parts"]] == list(numbers)
    return [part["url"] for part in told["parts"]]


def put(url: str, body: bytes) -> str:
    """Send a part as a browser does, without a token; its ETag."""
    answer = urllib3.request("PUT", url, body=body)
    assert answer.status == 200, answer.data
    return answer.headers["ETag"]


def complete(user: Any, upload: dict[str, Any], *etags: str) -> tuple[int, dict[str, Any]]:
    parts = [{"number": number, "etag": etag} for number, etag in enumerate(etags, start=1)]
    path = f"/uploads/{upload['uploadId']}/complete"
    return user.ask("POST", path, {"key": upload["key"], "parts": parts})


def there(user: Any, upload: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return user.ask("GET", f"/uploads/{upload['uploadId']}?key={upload['key']}")


def test_parts_sent_side_by_side_become_one_zip_and_its_job(stack, alice):
    # Given a zip of some parts
    body = large_zip()
    asked = {
        "fileName": "Ñandú flight.zip",
        "bytes": len(body),
        "request": {"preset": "preview", "jobName": "Ñ"},
    }
    status, upload = alice.ask("POST", "/uploads", asked)
    assert (status, upload["parts"]) == (201, 3)
    assert upload["key"].startswith("uploads/alice/Nandu-flight-")
    pieces = [body[i : i + upload["partBytes"]] for i in range(0, len(body), upload["partBytes"])]
    assert len(pieces) == 3
    # When the last part is sent, the page is loaded anew, and the others go up side by side
    urls = address(alice, upload, 1, 2, 3)
    last = put(urls[2], pieces[2])
    status, told = there(alice, upload)
    assert status == 200
    assert told["parts"] == [{"number": 3, "bytes": len(pieces[2]), "etag": last}]
    with ThreadPoolExecutor(2) as pool:
        etags = [*pool.map(put, urls[:2], pieces[:2]), last]
    status, done = complete(alice, upload, *etags)
    # Then it is one zip, the very bytes, whose job starts by itself and is as it was asked for
    assert status == 200, done
    s3 = stack.cloud.client("s3")
    bucket, key = done["s3Url"].removeprefix("s3://").split("/", 1)
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body
    ended = alice.until_ended(done["jobId"])
    assert (ended["status"], ended["jobName"]) == ("COMPLETED", "Ñ")
    # And whoever lost the answer asks again; nothing is left to send or to forget
    assert complete(alice, upload, *etags) == (200, done)
    assert there(alice, upload)[1]["code"] == "no_such_upload"


def test_an_address_takes_a_part_of_its_length_only(alice, begun):
    # Given the addresses of an upload's first and last part
    first, last = address(alice, begun, 1, 3)
    # Then neither takes more or less
    for url, size in ((first, MIN_PART_BYTES + 1), (last, 2), (last, 0)):
        assert urllib3.request("PUT", url, body=b"x" * size).status == 403
    assert there(alice, begun)[1]["parts"] == []
    put(last, b"x")
    assert [part["bytes"] for part in there(alice, begun)[1]["parts"]] == [1]


def test_a_part_that_was_replaced_is_not_taken_for_the_one_that_is_told(alice, begun):
    (url,) = address(alice, begun, 3)
    told = put(url, b"x")
    put(url, b"y")
    status, answer = complete(alice, begun, "0" * 32, "0" * 32, told)
    assert (status, answer["code"]) == (400, "wrong_parts")


def test_an_upload_that_is_forgotten_takes_no_part_any_more(stack, alice, begun):
    (url,) = address(alice, begun, 1)
    put(url, b"x" * MIN_PART_BYTES)
    path = f"/uploads/{begun['uploadId']}?key={begun['key']}"
    assert alice.ask("DELETE", path) == (200, {"uploadId": begun["uploadId"], "key": begun["key"]})
    assert urllib3.request("PUT", url, body=b"x" * MIN_PART_BYTES).status == 404
    for status, told in (there(alice, begun), alice.ask("DELETE", path), complete(alice, begun, "0" * 32)):
        assert (status, told["code"]) == (404, "no_such_upload")
    unfinished = stack.cloud.client("s3").list_multipart_uploads(Bucket=stack.output("UploadsBucket"))
    assert begun["key"] not in {upload["Key"] for upload in unfinished.get("Uploads", [])}


def test_another_owners_upload_is_as_if_it_were_not_there(alice, bob, operator, begun):
    calls = (
        lambda user: there(user, begun),
        lambda user: user.ask("DELETE", f"/uploads/{begun['uploadId']}?key={begun['key']}"),
        lambda user: complete(user, begun, "0" * 32),
        lambda user: user.ask(
            "POST", f"/uploads/{begun['uploadId']}/parts", {"key": begun["key"], "numbers": [1]}
        ),
    )
    for call in calls:
        for user in (bob, operator):
            status, told = call(user)
            assert (status, told["code"]) == (404, "no_such_upload")
    assert there(alice, begun)[0] == 200


def test_parts_that_are_not_there_make_no_zip(alice, begun):
    url, _ = address(alice, begun, 1, 2)
    etag = put(url, b"x" * MIN_PART_BYTES)
    for etags in (('"' + "0" * 32 + '"',), (etag, "0" * 32)):
        status, told = complete(alice, begun, *etags)
        assert (status, told["code"]) == (400, "wrong_parts"), told
    # And it can still be gone on with
    assert there(alice, begun)[1]["parts"][0]["etag"] == etag


def test_an_address_is_good_for_its_own_part_only(alice, begun):
    (url,) = address(alice, begun, 1)
    for forged in (url.replace("partNumber=1", "partNumber=2"), url.replace("alice", "bob")):
        assert forged != url
        assert urllib3.request("PUT", forged, body=b"x").status in {403, 404}
    assert there(alice, begun)[1]["parts"] == []


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"bytes": MAX_UPLOAD_BYTES + 1}, (413, "too_large")),
        ({"bytes": 0}, (400, "bad_field")),
        ({"bytes": "5"}, (400, "bad_field")),
        ({"fileName": "a.exe"}, (400, "not_a_zip")),
        ({"fileName": "a\n.zip"}, (400, "bad_field")),
        ({"request": {"sfmImageUri": "evil"}}, (400, "unknown_field")),
        ({"request": {"pipelineStep": "3dgs"}}, (400, "bad_field")),
        ({"request": {"jobName": "Ñ" * 200}}, (200, "")),
        ({"request": {"jobName": "Ñ" * 200, "email": f"{'a' * 200}@example.org"}}, (200, "")),
        ({"key": "uploads/bob/a.zip"}, (400, "unknown_field")),
        ({"owner": "bob"}, (400, "unknown_field")),
    ],
)
def test_what_can_not_become_a_job_is_refused_before_it_is_sent(alice, body, refusal):
    status, told = alice.ask("POST", "/uploads", {"fileName": "a.zip", "bytes": 10, **body})
    assert (status, told.get("code", "")) == ((201, "") if refusal[0] == 200 else refusal)
