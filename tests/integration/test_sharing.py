"""A link to a result on the local cloud: what a stranger's HTTP client gets by it, and when no longer."""

from __future__ import annotations

import mimetypes
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import urllib3
from viewer_fidelity import launched, opened, picture_at_rest, served

from spaceport.job import now_iso
from spaceport.links import digest_of
from spaceport_compressor.sog.write import write_sog
from spaceport_compressor.viewer.bundle import Exhibit, write_viewer
from spaceport_local.cloud import LocalCloud
from spaceport_render.camera import Camera
from spaceport_render.gaussians import Gaussians
from spaceport_render.metrics import psnr

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, stubs, stack_of) -> Any:
    cloud = LocalCloud(
        data_dir=tmp_path_factory.mktemp("cloud"), options=tuple(stubs.options), enforce_iam=True
    )
    cloud.up()
    yield stack_of(cloud)
    cloud.down()


@pytest.fixture(scope="module")
def job_id(stack, alice, photos_zip) -> str:
    job_id = stack.drop(photos_zip, "uploads/alice/beach.zip", pipelineStep="sfm")
    assert alice.until_ended(job_id)["status"] == "COMPLETED"
    return job_id


def get(address: str) -> urllib3.BaseHTTPResponse:
    """As a browser gets it that is signed in nowhere."""
    return urllib3.request("GET", address, redirect=False)


def shared(alice: Any, job_id: str) -> dict[str, Any]:
    status, told = alice.ask("POST", f"/jobs/{job_id}/share", {"days": 1})
    assert status == 201, told
    return told


def end(stack: Any, token: str) -> None:
    """Let the link have ended a second ago."""
    dynamodb, table = stack.cloud.client("dynamodb"), stack.resource("LinksTable")
    (item,) = [
        found for found in dynamodb.scan(TableName=table)["Items"] if found["digest"]["S"] == digest_of(token)
    ]
    then = now_iso(datetime.now(UTC) - timedelta(seconds=1))
    dynamodb.put_item(TableName=table, Item={**item, "endsAt": {"S": then}})


def test_a_stranger_gets_the_viewer_and_the_model_and_nothing_else(stack, alice, job_id):
    # Given a link
    link = shared(alice, job_id)
    told = get(f"{alice.address}/shared/{link['token']}").json()
    assert told["viewerUrl"] == link["url"]
    # When its page is opened, at the address that it was given with
    page = get(link["url"])
    assert page.status == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert b"-sog-" in page.data  # the stub program's page
    # Then the model that the page draws is found beside it, at a signed address of a private copy
    beside = get(link["url"].replace("viewer/index.html", "model.sog"))
    assert beside.status == 302
    where = beside.headers["Location"]
    assert job_id not in where
    assert get(where).data == page.data
    assert get(where.partition("?")[0]).status == 403
    # And an address that is signed for one file is good for no other
    assert get(where.replace("model.sog", "viewer/index.html")).status == 403
    # And a page of any origin may load it, as the API's own does
    crossed = urllib3.request("GET", where, headers={"Origin": alice.address})
    assert crossed.headers["Access-Control-Allow-Origin"] == "*"


@pytest.fixture
def real_viewer(stack, job_id, tmp_path, repository) -> Path:
    """Has the viewer of a real model in the place of the stub program's; the folder that it was made in."""
    rng = np.random.default_rng(0)
    lawn = Gaussians(
        rng.uniform(-10, 10, (2000, 3)).astype(np.float32) * np.float32([1, 1, 0.02]),
        np.tile(np.float32([1, 0, 0, 0]), (2000, 1)),
        np.full((2000, 3), -1, np.float32),
        np.full(2000, 3, np.float32),
        rng.uniform(-1, 1, (2000, 1, 3)).astype(np.float32),
    )
    world_to_camera = np.diag([1.0, -1, -1, 1])
    world_to_camera[2, 3] = 20  # straight down from 20 m
    camera = Camera("above.jpg", 480, 320, 400.0, 400.0, 240.0, 160.0, world_to_camera)
    write_sog(tmp_path / "model.sog", lawn)
    package = repository / "node_modules/@playcanvas/supersplat-viewer"
    write_viewer(tmp_path / "viewer", Exhibit("Lawn", [camera], lawn), package)
    for file in (path for path in tmp_path.rglob("*") if path.is_file()):
        key = f"jobs/{job_id}/compressed/{file.relative_to(tmp_path)}"
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        stack.cloud.client("s3").put_object(
            Bucket=stack.output("DataBucket"), Key=key, Body=file.read_bytes(), ContentType=kind
        )
    return tmp_path


@pytest.mark.browser
def test_a_browser_draws_the_model_by_a_link_as_without(alice, job_id, real_viewer, chromium):
    # Given the same model, by a link and on a site
    link = shared(alice, job_id)
    window = {"viewport": {"width": 480, "height": 320}}
    with launched(chromium) as browser, served(real_viewer) as site:
        with opened(f"{site}/viewer/?noui", browser, **window) as page:
            expected = picture_at_rest(page)
        # When somebody opens the link
        with opened(f"{link['url']}?noui", browser, **window) as page:
            seen = picture_at_rest(page)
    # Then it is the same picture, and one of something
    assert psnr(seen, expected) > 40
    assert seen.std() > 0.05


def test_a_link_that_has_ended_shows_nothing(stack, alice, job_id):
    link = shared(alice, job_id)
    end(stack, link["token"])
    for address in (f"{alice.address}/shared/{link['token']}", link["url"]):
        answer = get(address)
        assert (answer.status, answer.json()["code"]) == (410, "share_expired")


def test_a_link_that_was_taken_back_shows_nothing_at_once(stack, alice, job_id):
    # Given a link, and an address that somebody has got by it
    link = shared(alice, job_id)
    got = get(link["url"].replace("viewer/index.html", "model.sog")).headers["Location"]
    assert get(got).status == 200
    # When its owner takes it back
    status, told = alice.ask("DELETE", f"/jobs/{job_id}/share")
    assert (status, told["jobId"]) == (200, job_id)
    assert told["links"] >= 1
    # Then neither is good any more
    assert get(link["url"]).json()["code"] == "no_such_link"
    assert get(got).status in {403, 404}
    # And the result is where it was
    assert alice.status_of(job_id)["status"] == "COMPLETED"


def test_a_link_goes_with_its_job(stack, alice, photos_zip):
    job_id = stack.drop(photos_zip, "uploads/alice/pier.zip", pipelineStep="sfm")
    alice.until_ended(job_id)
    link = shared(alice, job_id)
    prefix = folder_of(link)
    assert alice.ask("DELETE", f"/jobs/{job_id}")[0] == 202
    assert get(link["url"]).json()["code"] == "no_such_link"
    until_copies_are_gone(stack, prefix)


def test_a_link_goes_with_what_a_stop_deletes(stack, alice, photos_zip, stubs):
    # Given a link to a result, and a later run whose packing has written over that
    job_id = stack.drop(photos_zip, "uploads/alice/mole.zip", pipelineStep="sfm")
    alice.until_ended(job_id)
    link = shared(alice, job_id)
    prefix = folder_of(link)
    stubs.hold("compression")
    assert alice.ask("POST", f"/jobs/{job_id}/retry", {"pipelineStep": "compression"})[0] == 202
    alice.until(job_id, lambda told: told["stage"] == "compression", 30)
    stack.cloud.client("dynamodb").update_item(
        TableName=stack.output("JobsTable"),
        Key={"jobId": {"S": job_id}},
        UpdateExpression="SET earlierResults = :no",
        ExpressionAttributeValues={":no": {"BOOL": False}},
    )
    # When that is stopped, and what it has made deleted
    assert alice.ask("POST", "/stop-job", {"jobId": job_id, "discardArtifacts": True})[0] == 202
    assert alice.until_ended(job_id)["status"] == "STOPPED"
    stubs.let_go()
    # Then the link shows nothing, and its copies are gone
    until_copies_are_gone(stack, prefix)
    assert get(link["url"]).json()["code"] == "no_such_link"
    assert not stack.cloud.client("dynamodb").query(
        TableName=stack.resource("LinksTable"),
        KeyConditionExpression="jobId = :job",
        ExpressionAttributeValues={":job": {"S": job_id}},
    )["Items"]


def folder_of(link: dict[str, Any]) -> str:
    """The folder of the job's copies."""
    where = get(link["url"].replace("viewer/index.html", "model.sog")).headers["Location"]
    return urlsplit(where).path.partition("/shared/")[2].partition("/")[0]


def until_copies_are_gone(stack: Any, prefix: str) -> None:
    deadline = time.monotonic() + 30
    s3, bucket = stack.cloud.client("s3"), stack.output("DataBucket")
    while s3.list_objects_v2(Bucket=bucket, Prefix=f"shared/{prefix}/")["KeyCount"]:
        assert time.monotonic() < deadline, "the copies stay"
        time.sleep(0.1)
