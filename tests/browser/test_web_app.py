"""The web app before the real local cloud: from the door to a model, and through what goes wrong."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import random
import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from odd_zips import REFUSED, TAKEN
from PIL import Image
from playwright.sync_api import Page, Route, WebSocketRoute, expect

from spaceport.answers import ZipPolicy
from spaceport.archive import inspect
from spaceport.errors import UserError
from spaceport.job import batch_id_for, now_iso
from spaceport_cli.api import sign_in

pytestmark = [pytest.mark.browser, pytest.mark.engine]

SOON = 20_000  # ms: a function that starts cold on a busy machine
OWN_BYTES = 150_000  # of our scripts and styles, uncompressed: issue 8's limit
PART_BYTES = 8 * 2**20
PARTS_AT_ONCE = 5  # web/app/uploads.js
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "is_mobile": True,
    "color_scheme": "dark",
    "reduced_motion": "reduce",  # what fades in has too little contrast meanwhile
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> list[Path]:
    """Four photos that pass the gate."""
    folder = tmp_path_factory.mktemp("flight")
    files = [folder / f"DJI_000{number}.JPG" for number in range(4)]
    for sigma, file in zip((40, 50, 60, 70), files, strict=True):
        Image.effect_noise((300, 300), sigma).convert("RGB").save(file, "JPEG")
    return files


def send(page: Page, files: list[Path], name: str) -> None:
    page.get_by_label("A zip of photos, or the photos").set_input_files(files)
    expect(page.get_by_role("heading", name=re.compile("photos"))).to_be_visible()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Make the model").click()


def begun(visit, photos, name: str):
    """A window on a job that is held in its first stage."""
    window = visit()
    window.open()
    window.sign_in()
    window.page.get_by_role("link", name="New model").first.click()
    send(window.page, photos, name)
    expect(window.page.get_by_role("heading", name=name)).to_be_visible(timeout=SOON)
    expect(
        window.page.get_by_role("main").get_by_text("Extracting features from uploaded images")
    ).to_be_visible(timeout=SOON)
    return window


def test_who_is_nobody_is_told_and_who_is_somebody_comes_in(visit, barriers):
    # Given the door
    window = visit()
    window.open()
    page = window.page
    expect(page.get_by_role("heading", level=1)).to_contain_text("Your flight")
    assert barriers(page) == []
    # When the password is wrong
    window.sign_in(password="Not-this-one-1")
    # Then it is said, and nothing more
    expect(page.get_by_role("alert")).to_contain_text("don’t belong together")
    # When it is right
    window.sign_in()
    expect(page.get_by_role("heading", name="Models")).to_be_visible(timeout=SOON)
    assert barriers(page) == []
    # Then a reload keeps the session, and signing out ends it
    page.reload()
    expect(page.get_by_role("heading", name="Models")).to_be_visible(timeout=SOON)
    page.get_by_label("Account of alice").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def test_the_operator_comes_in_by_a_link_that_keeps_no_token(visit, workshop):
    window = visit()
    window.open(f"#/session/{sign_in(workshop.cloud)}/new")
    expect(window.page.get_by_role("heading", name="New model")).to_be_visible(timeout=SOON)
    assert window.page.url.endswith("/_app/#/new")


def test_where_others_have_accounts_no_link_signs_in(visit, workshop):
    # Given a cloud that says nothing of handing over, as a stack on AWS
    window = visit()

    def without(route: Route) -> None:
        told = route.fetch().json()
        route.fulfill(json={name: value for name, value in told.items() if name != "handsOver"})

    window.page.route(re.compile(r"config\.json$"), without)
    # When someone follows a link with another's token
    window.open(f"#/session/{sign_in(workshop.cloud)}/new")
    # Then it is worth nothing, and is not kept
    expect(window.page.get_by_role("button", name="Sign in")).to_be_visible(timeout=SOON)
    assert window.page.url.endswith("/_app/#/new")


def test_photos_become_a_model_and_the_page_follows(visit, workshop, photos, barriers):
    # Given a job held in its first stage, made of photos dropped as they are
    workshop.stubs.hold("sfm")
    window = begun(visit, photos, "A meadow")
    page = window.page
    assert barriers(page) == []
    # When the page is loaded anew in the middle of it
    page.reload()
    expect(page.get_by_role("main").get_by_text("Extracting features from uploaded images")).to_be_visible(
        timeout=SOON
    )
    # Then it follows to the end, and shows what came of it
    workshop.stubs.let_go()
    expect(page.locator(".badge")).to_contain_text("Ready", timeout=3 * SOON)
    expect(page.locator("#said")).to_have_text("A meadow: Ready.")
    expect(page.get_by_role("link", name="model.sog")).to_be_visible()
    assert barriers(page) == []
    # And how good it is can be read
    page.get_by_role("link", name="How good is it?").click()
    expect(page.get_by_role("heading", name="Time and cost")).to_be_visible(timeout=SOON)
    assert barriers(page) == []
    # And in the list there is a model of that name
    page.get_by_role("link", name="Models").click()
    expect(page.get_by_role("link", name=re.compile("A meadow"))).to_be_visible(timeout=SOON)
    assert barriers(page) == []


def test_a_cut_socket_heals_and_nothing_is_missed(visit, workshop, photos):
    # Given a page that follows a job through a socket that we hold
    workshop.stubs.hold("sfm")
    window = begun(visit, photos, "A cut line")
    page = window.page
    sockets: list[WebSocketRoute] = []

    def through(socket: WebSocketRoute) -> None:
        socket.connect_to_server()
        sockets.append(socket)

    page.route_web_socket(re.compile("ticket="), through)
    page.reload()
    expect(page.get_by_role("main").get_by_text("Extracting features from uploaded images")).to_be_visible(
        timeout=SOON
    )
    page.wait_for_function("() => true")
    # When the line is cut, and the job ends while it is
    wait_until(page, lambda: len(sockets) == 1)
    sockets[0].close()
    workshop.stubs.let_go()
    # Then the page connects anew and knows the end
    expect(page.locator(".badge")).to_contain_text("Ready", timeout=3 * SOON)
    assert len(sockets) > 1


def test_where_sockets_are_blocked_it_asks(visit, workshop, photos):
    workshop.stubs.hold("sfm")
    window = begun(visit, photos, "No sockets here")
    page = window.page
    page.route_web_socket(re.compile("ticket="), lambda socket: socket.close())
    page.reload()
    expect(page.get_by_text("Live updates are blocked here")).to_be_visible(timeout=SOON)
    workshop.stubs.let_go()
    expect(page.locator(".badge")).to_contain_text("Ready", timeout=3 * SOON)


def test_stopping_is_not_stopped_and_a_stopped_job_goes_on(visit, workshop, photos, barriers):
    # Given a job at work
    workshop.stubs.hold("sfm")
    window = begun(visit, photos, "A mistake")
    page = window.page
    # When stopping is thought better of, it runs on
    page.get_by_role("button", name="Stop").click()
    assert barriers(page) == []
    page.get_by_role("button", name="Let it run").click()
    expect(page.get_by_role("button", name="Stop")).to_be_enabled()
    # When it is stopped
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Stop it").click()
    # Then first it is stopping, and then it is stopped
    expect(page.get_by_text(re.compile("^Stopp(ing|ed)")).first).to_be_visible(timeout=SOON)
    expect(page.get_by_text("The job was stopped.")).to_be_visible(timeout=SOON)
    assert barriers(page) == []
    # And it can go on
    workshop.stubs.let_go()
    page.get_by_role("button", name="Go on").click()
    expect(page.locator(".badge")).to_contain_text("Ready", timeout=3 * SOON)


def test_a_zip_without_photos_is_refused_here_in_the_cloud_s_words(visit, tmp_path, barriers):
    file = tmp_path / "films.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("DJI_0001.MP4", b"film")
    window = visit()
    window.open()
    window.sign_in()
    page = window.page
    page.get_by_role("link", name="New model").first.click()
    page.get_by_label("A zip of photos, or the photos").set_input_files(file)
    with pytest.raises(UserError) as refused:
        inspect(io.BytesIO(file.read_bytes()), "films.zip")
    expect(page.get_by_role("alert")).to_contain_text(refused.value.message)
    expect(page.get_by_role("alert")).to_contain_text(refused.value.hint)
    assert barriers(page) == []


@pytest.mark.parametrize("cases", [REFUSED, TAKEN], ids=["refused", "taken"])
def test_every_zip_is_judged_as_the_cloud_judges_it(visit, cases):
    window = visit()
    window.open()
    judged = {}
    for about, (content, _) in cases.items():
        judged[about] = window.page.evaluate(
            """async ([content, limits]) => {
              const { inspectZip } = await import('/_app/app/zip_reader.js');
              const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
              try {
                return (await inspectZip(new File([bytes], 'flight.zip'), limits)).warnings;
              } catch ({ code, message, hint }) {
                return [code, message, hint];
              }
            }""",
            [base64.b64encode(content).decode(), ZipPolicy().told()],
        )
    assert judged == {about: judgement(content) for about, (content, _) in cases.items()}


def judgement(content: bytes) -> list[str]:
    try:
        return [warning.message for warning in inspect(io.BytesIO(content), "flight.zip").warnings]
    except UserError as error:
        return [error.code, error.message, error.hint]


def test_an_upload_outlives_lost_connections_and_a_reload(visit, workshop, tmp_path, photos):
    # Given a zip of four parts
    file = tmp_path / "large.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for photo in photos:
            archive.write(photo, photo.name)
        archive.writestr("notes.bin", random.Random(0).randbytes(3 * PART_BYTES + 1000))
    window = visit()
    window.open()
    window.sign_in()
    page = window.page
    page.get_by_role("link", name="New model").first.click()
    sent: list[str] = []

    def cut_twice(route: Route) -> None:
        sent.append(re.search(r"partNumber=(\d+)", route.request.url)[1])
        if len(sent) in {2, 4}:
            route.abort("connectionreset")
        elif len(sent) != 6:  # that one hangs, until the page goes
            route.continue_()

    page.route(re.compile("partNumber="), cut_twice)
    send(page, [file], "Large")
    # When the connection is lost twice, and then the page
    wait_until(page, lambda: len(sent) >= 6)
    page.reload()
    before = len(sent)
    send(page, [file], "Large")
    expect(page.get_by_role("heading", name="Large")).to_be_visible(timeout=2 * SOON)
    # Then what had arrived was not sent again, and the bytes are the same
    assert 0 < len(sent) - before < 4
    s3 = workshop.cloud.client("s3")
    bucket = workshop.cloud.outputs["UploadsBucket"]
    (found,) = s3.list_objects_v2(Bucket=bucket, Prefix="uploads/alice/large-")["Contents"]
    stored = s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read()
    assert hashlib.sha256(stored).digest() == hashlib.sha256(file.read_bytes()).digest()


def test_what_only_the_cloud_can_refuse_is_refused_in_words(visit, photos, tmp_path, barriers):
    # Given photos with settings beside them that are none, which only the cloud reads
    settings = tmp_path / "spaceport.json"
    settings.write_text('{"preset": "gigantic"}')
    window = visit()
    window.open()
    window.sign_in()
    page = window.page
    page.get_by_role("link", name="New model").first.click()
    # When they are sent
    send(page, [*photos, settings], "Gigantic")
    # Then the job's page says what is wrong, and what to do
    expect(page.locator(".badge")).to_contain_text("Refused", timeout=2 * SOON)
    expect(page.locator(".outcome")).to_contain_text("spaceport.json")
    expect(page.get_by_role("link", name="Send other photos")).to_be_visible()
    expect(page.get_by_role("button", name="Go on")).to_be_hidden()
    assert barriers(page) == []


def test_a_batch_shows_how_many_of_its_jobs_have_ended(visit, workshop, photos, barriers):
    # Given a batch of two jobs, one of which is a bad zip
    s3, bucket = workshop.cloud.client("s3"), workshop.cloud.outputs["UploadsBucket"]
    folder = "uploads/alice/week.batch"
    for name, body in {"good": zipped(photos), "bad": b"no zip"}.items():
        s3.put_object(Bucket=bucket, Key=f"{folder}/{name}.zip", Body=body)
    jobs = [{"s3Url": f"s3://{bucket}/{folder}/{name}.zip"} for name in ("good", "bad")]
    manifest = json.dumps({"name": "Week 12", "jobs": jobs}).encode()
    put = s3.put_object(Bucket=bucket, Key=f"{folder}.json", Body=manifest)
    # When its page is opened
    window = visit()
    window.open(f"#/jobs/{batch_id_for(bucket, f'{folder}.json', put['VersionId'])}")
    window.sign_in()
    page = window.page
    # Then it counts, and leads to each
    expect(page.get_by_role("heading", name="Week 12")).to_be_visible(timeout=2 * SOON)
    expect(page.locator(".figures")).to_have_text("have ended2of 2are ready1were refused1", timeout=3 * SOON)
    expect(page.get_by_role("main").get_by_role("link")).to_have_count(2)
    assert barriers(page) == []


def zipped(photos: list[Path]) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for photo in photos:
            archive.write(photo, photo.name)
    return body.getvalue()


def test_a_link_shows_the_model_to_whoever_has_it_until_it_ends(visit, workshop, photos, barriers):
    # Given a model, and a link to it
    workshop.stubs.hold("sfm")
    owner = begun(visit, photos, "Passed on").page
    workshop.stubs.let_go()
    expect(owner.locator(".badge")).to_contain_text("Ready", timeout=3 * SOON)
    owner.get_by_label("For how long").select_option("for a day")
    owner.get_by_role("button", name="Make a link").click()
    link = owner.get_by_label("Link to the model").input_value(timeout=SOON)
    assert barriers(owner) == []
    # When somebody without an account follows it
    guest = visit(**PHONE).page
    guest.goto(link)
    # Then the model is there to look around in, and nothing else
    expect(guest.get_by_role("heading", name="Passed on")).to_be_visible(timeout=SOON)
    expect(guest.get_by_text("Shown to you until")).to_be_visible()
    assert (overflow(guest), barriers(guest)) == (0, [])
    guest.get_by_role("button", name="Look around in it").click()
    expect(guest.frame_locator("iframe").locator("body")).to_contain_text("-sog-", timeout=SOON)  # the stub's
    # When it has ended
    end_links(workshop)
    guest.reload()
    # Then that is said
    expect(guest.get_by_role("heading", name="This link has expired")).to_be_visible(timeout=SOON)
    assert barriers(guest) == []
    # And one that is taken back leads nowhere
    owner.get_by_role("button", name="Make a link").click()
    expect(owner.get_by_label("Link to the model")).not_to_have_value(link, timeout=SOON)
    guest.goto(owner.get_by_label("Link to the model").input_value())
    expect(guest.get_by_role("heading", name="Passed on")).to_be_visible(timeout=SOON)
    owner.get_by_role("button", name="Take all links back").click()
    expect(owner.get_by_text("taken back")).to_be_visible(timeout=SOON)
    guest.reload()
    expect(guest.get_by_role("heading", name="There is nothing at this link")).to_be_visible(timeout=SOON)


def end_links(workshop) -> None:
    """Every link ended an hour ago."""
    table = workshop.cloud.client("dynamodb")
    name = workshop.resource("LinksTable")
    past = now_iso(datetime.now(UTC) - timedelta(hours=1))
    for item in table.scan(TableName=name)["Items"]:
        table.put_item(TableName=name, Item={**item, "endsAt": {"S": past}})


def test_a_page_that_is_loaded_anew_keeps_the_curve_of_a_run_that_began_before_its_eyes(visit):
    # Given a page that saw the job wait, and then learn
    window = visit()
    window.open()
    points = window.page.evaluate(
        """async () => {
          const { progress } = await import('/_app/app/views/progress.js');
          const app = { config: {}, say: () => {} };
          const job = { jobId: 'job-1', createdAt: '2026-11-23T22:00:00Z', progress: 0, warnings: [], metrics: {}, stages: {} };
          const learning = (iteration) => ({
            ...job, status: 'RUNNING', stage: '3dgs', startedAt: '2026-11-23T22:01:00Z', metrics: { iteration, psnr: iteration },
          });
          const before = progress(app, { ...job, status: 'QUEUED' });
          before.show(learning(10));
          before.show(learning(20));
          before.end();
          // When it is loaded anew
          const after = progress(app, learning(30));
          after.show(learning(30));
          after.end();
          return after.element.querySelector('path.curve').getAttribute('d').split('L').length;
        }"""  # noqa: E501
    )
    # Then all that it saw is in the curve
    assert points == 3


def test_it_can_be_used_without_a_mouse(visit, workshop, photos):
    # Given someone with a keyboard only, at the door
    window = visit()
    window.open()
    page = window.page
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.get_by_label("Name or e-mail").focus()
    page.keyboard.type("alice")
    page.keyboard.press("Tab")
    page.keyboard.type(workshop.password)
    page.keyboard.press("Enter")
    # Then each page begins at its heading, and the first key leads past what is on every page
    expect(page.get_by_role("heading", name="Models")).to_be_focused(timeout=SOON)
    page.reload()
    expect(page.get_by_role("heading", name="Models")).to_be_visible(timeout=SOON)
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    # When a job is begun, and is to be stopped
    workshop.stubs.hold("sfm")
    page.get_by_role("link", name="New model").first.focus()
    page.keyboard.press("Enter")
    page.get_by_label("A zip of photos, or the photos").set_input_files(photos)
    expect(page.get_by_role("button", name="Make the model")).to_be_enabled()
    page.get_by_label("Name", exact=True).focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("By keys")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="By keys")).to_be_visible(timeout=SOON)
    expect(page.locator("#said")).to_have_text(re.compile("Extracting features"), timeout=SOON)
    stop = page.get_by_role("button", name="Stop")
    stop.focus()
    page.keyboard.press("Enter")
    # Then the question has the focus, and no way out of it but an answer
    expect(page.get_by_role("button", name="Let it run")).to_be_focused()
    for _ in range(4):
        page.keyboard.press("Tab")
        assert page.evaluate(
            "document.activeElement.closest('dialog') || document.activeElement === document.body"
        )
    page.keyboard.press("Escape")
    # And whoever puts it aside is back where they were
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(stop).to_be_focused()
    # When it is stopped after all, and the button is gone
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    # Then they are at the heading
    expect(page.get_by_text("The job was stopped.").first).to_be_visible(timeout=SOON)
    expect(page.get_by_role("heading", name="By keys")).to_be_focused()


def test_where_motion_is_unwelcome_nothing_moves(visit, workshop, photos):
    workshop.stubs.hold("sfm")
    window = begun(visit, photos, "Still")  # its window asks for less motion
    assert window.page.evaluate("document.getAnimations().length") == 0
    moving = """() => [...document.querySelectorAll('*')].filter((element) => {
      const { transitionDuration, animationName } = getComputedStyle(element);
      return animationName !== 'none' || transitionDuration.split(', ').some((time) => parseFloat(time) > 0);
    }).length"""
    assert window.page.evaluate(moving) == 0


def test_half_a_gigabyte_outlives_a_line_that_is_cut_twice(visit, workshop, tmp_path, photos):
    # Given a zip of 500 MB
    file = tmp_path / "survey.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for photo in photos:
            archive.write(photo, photo.name)
        with archive.open("notes.bin", "w", force_zip64=True) as notes:
            for number in range(500):
                notes.write(random.Random(number).randbytes(1_000_000))
    window = visit()
    window.open()
    window.sign_in()
    page = window.page
    page.get_by_role("link", name="New model").first.click()
    parts: list[str] = []
    page.on("request", lambda asked: parts.extend(re.findall(r"partNumber=(\d+)", asked.url)))
    # When the line is cut at a third and at two thirds of the way
    send(page, [file], "Half a gigabyte")
    for share in (33, 66):
        line = page.get_by_role("progressbar", name="Upload")
        wait_until(page, lambda at=share, bar=line: int(bar.get_attribute("aria-valuenow") or 0) >= at, 60)
        page.context.set_offline(True)
        expect(page.get_by_text("No connection; it goes on by itself")).to_be_visible()
        page.context.set_offline(False)
    # Then it arrives, and of what had arrived nothing was sent again
    expect(page.get_by_role("heading", name="Half a gigabyte")).to_be_visible(timeout=3 * SOON)
    assert len(parts) <= len(set(parts)) + 2 * PARTS_AT_ONCE
    s3, bucket = workshop.cloud.client("s3"), workshop.cloud.outputs["UploadsBucket"]
    (found,) = s3.list_objects_v2(Bucket=bucket, Prefix="uploads/alice/survey-")["Contents"]
    stored = s3.get_object(Bucket=bucket, Key=found["Key"])["Body"]
    with file.open("rb") as sent:
        assert sha256(iter(lambda: stored.read(2**20), b"")) == sha256(iter(lambda: sent.read(2**20), b""))
    file.unlink()  # pytest keeps folders of earlier runs


def sha256(pieces: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def test_it_fits_a_phone_and_leaves_nobody_out(visit, workshop, photos, barriers):
    window = visit(**PHONE)
    page = window.page
    window.open("#/photos")
    expect(page.get_by_role("heading", level=1)).to_be_visible(timeout=SOON)
    assert (overflow(page), barriers(page)) == (0, [])
    workshop.stubs.hold("3dgs")
    window.open("#/new")
    window.sign_in()
    expect(page.get_by_role("heading", name="New model")).to_be_visible(timeout=SOON)
    page.get_by_text("Fine tuning").click()
    page.get_by_role("button", name=re.compile("All .* settings")).click()
    expect(page.get_by_label("Sh degree")).to_be_visible()
    assert (overflow(page), barriers(page)) == (0, [])
    send(page, photos, "A-meadow-whose-name-is-long-and-has-no-place-to-break-" * 3)
    expect(page.get_by_role("main").get_by_text("Training advanced neural 3D")).to_be_visible(
        timeout=2 * SOON
    )
    assert (overflow(page), barriers(page)) == (0, [])
    workshop.stubs.let_go()
    expect(page.locator(".badge")).to_contain_text("Ready", timeout=3 * SOON)
    assert (overflow(page), barriers(page)) == (0, [])
    page.get_by_role("link", name="How good is it?").click()
    expect(page.get_by_role("heading", name="Time and cost")).to_be_visible(timeout=SOON)
    assert (overflow(page), barriers(page)) == (0, [])
    page.get_by_role("link", name="Models", exact=True).click()
    expect(page.get_by_role("heading", name="Models")).to_be_visible(timeout=SOON)
    assert (overflow(page), barriers(page)) == (0, [])


def overflow(page: Page) -> int:
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")


def test_it_is_small(repository):
    files = [*(repository / "web").rglob("*.js"), *(repository / "web").rglob("*.css")]
    assert sum(file.stat().st_size for file in files) < OWN_BYTES


def wait_until(page: Page, holds, seconds: float = 20.0) -> None:
    """Until `holds()`; the page's events are handled meanwhile."""
    for _ in range(int(seconds / 0.05)):
        if holds():
            return
        page.wait_for_timeout(50)
    pytest.fail("it did not come about")
