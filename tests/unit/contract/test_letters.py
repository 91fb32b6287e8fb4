"""The letters about jobs' ends: what they tell, and that nothing of others' words gets out of its place."""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from html.parser import HTMLParser

import pytest

from spaceport.job import JobError, JobRecord, Kind, Outputs
from spaceport.letters import LARGEST_PICTURE, letter_about, mime
from spaceport.stages import Status

FROM, TO = "spaceport@example.org", "ann@example.org"
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a\r\nBcc: everybody@example.org",
    "a\nSubject: You have won",
    "x" * 5000,
    "\u202eelif.exe",
    "a\x00\x1b[2Jb",
    "a\u2028b",
    "=?utf-8?q?Bcc:_x?=",
    "Küste 海岸 🏖",
)


def row(status: Status = Status.COMPLETED, **fields: object) -> JobRecord:
    now = "2026-11-23T12:00:00.000Z"
    told = {"job_id": "job-1", "job_name": "Beach", "created_at": now, "updated_at": now, "status": status}
    return JobRecord.model_validate({**told, **fields})


class Page(HTMLParser):
    """The tags of a page, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_finished_model_is_told_with_its_link_and_how_good_it_is():
    metrics = {"registered": 18.0, "photos": 18.0, "psnr_holdout": 19.04, "gaussians": 23268.0}
    done = row(metrics=metrics, outputs=Outputs(viewer_url="https://v.example/index.html?a=1&b=2"))
    letter = letter_about(done)
    assert letter.subject == "Your 3D model is ready: Beach"
    for told in ("18 of 18", "19.0 dB PSNR", "23,268 Gaussians", "https://v.example/index.html?a=1&b=2"):
        assert told in letter.text
    page = Page(letter.html)
    assert page.links == ["https://v.example/index.html?a=1&b=2"]
    assert "19.0 dB PSNR" in page.text


@pytest.mark.parametrize(
    ("status", "subject"),
    [
        (Status.FAILED, "Your 3D model could not be made: Beach"),
        (Status.STOPPED, "Your job was stopped: Beach"),
        (Status.REJECTED, "Your photos can't be used: Beach"),
    ],
)
def test_an_end_without_a_model_is_told_with_its_reason_and_what_to_do(status, subject):
    why = JobError(code="x", message="The photos don't overlap.", hint="Fly closer lines.")
    letter = letter_about(row(status, error=why, warnings=["Only 3 of 40 photos have GPS."]))
    assert letter.subject == subject
    for told in (letter.text, Page(letter.html).text):
        for words in ("The photos don't overlap.", "Fly closer lines.", "Only 3 of 40 photos have GPS."):
            assert words in told


def test_a_batch_is_one_letter_about_all_its_jobs():
    batch = row(kind=Kind.BATCH, message="3 of 3 jobs have ended: 2 completed, 1 failed")
    letter = letter_about(batch)
    assert letter.subject == "Your batch has ended: Beach"
    assert "2 completed, 1 failed." in letter.text


@pytest.mark.parametrize("said", HOSTILE)
def test_others_words_stay_words(said):
    why = JobError(code="x", message=said, hint=said)
    failed = row(Status.FAILED, job_name=said, error=why, warnings=[said])
    letter = letter_about(failed)
    # Then a subject is one line that a phone shows
    assert not re.search(r"[\x00-\x1f\u2028\u202e]", letter.subject)
    assert len(letter.subject) < 120
    # And the page has our tags only
    assert Page(letter.html).tags <= {
        *("html", "head", "meta", "title", "body", "div", "h1", "p", "table", "tr", "td", "a", "img")
    }
    # And the message has our headers only
    message = message_from_bytes(mime(letter, FROM, TO), policy=policy.SMTP)
    assert set(message.keys()) == {
        *("Subject", "From", "To", "Auto-Submitted", "MIME-Version", "Content-Type")
    }
    assert (message["To"], message["From"]) == (TO, FROM)
    assert (
        "=?" in said or message["Subject"] == letter.subject
    )  # what looks like encoded is decoded, in its place


def test_a_link_that_is_no_web_address_is_no_link():
    assert Page(letter_about(row(outputs=Outputs(viewer_url="javascript:alert(1)"))).html).links == []


def test_a_message_has_text_page_and_picture():
    picture = b"\xff\xd8" + bytes(1000)
    message = message_from_bytes(
        mime(letter_about(row(), has_picture=True), FROM, TO, picture), policy=policy.SMTP
    )
    assert [part.get_content_type() for part in message.walk()] == [
        *("multipart/alternative", "text/plain", "multipart/related", "text/html", "image/jpeg")
    ]
    *_, page, image = message.walk()
    assert image["Content-ID"] == "<model>"
    assert Page(page.get_content()).links == ["cid:model"]
    assert image.get_content() == picture
    assert len(picture) < LARGEST_PICTURE


def test_an_address_with_a_second_line_is_no_address():
    with pytest.raises(ValueError, match="Header values"):
        mime(letter_about(row()), FROM, "a@example.org\r\nBcc: b@example.org")
