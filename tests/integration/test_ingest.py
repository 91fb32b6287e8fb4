"""What a zip says of itself, and what is said of it, on the real local cloud."""

from __future__ import annotations

import json

import pytest
from located_photos import exif, picture
from zip_writer import DEFLATED, Entry, written

pytestmark = pytest.mark.engine


def flight(**said: object) -> bytes:
    """Four photos without GPS, one of them a copy, and how they want to be done."""
    photos = [picture("JPEG", about=exif(place=None), grey=grey) for grey in (9, 99, 199, 9)]
    entries = [Entry(f"beach/{number}.jpg".encode(), photo) for number, photo in enumerate(photos)]
    return written([*entries, Entry(b"beach/spaceport.json", json.dumps(said).encode(), method=DEFLATED)])


def test_a_zip_names_its_job_and_its_owner_is_warned_from_the_first_message_on(stack):
    # Given a zip with a name and an address of its own, dropped with another name
    zipped = flight(jobName="Beach", email="ann@example.org", preset="preview")
    job_id = stack.drop(zipped, "uploads/operator/x.zip", jobName="Pier")
    # When its job is followed
    with stack.follow(job_id) as follower:
        first = follower.until(lambda _: True, seconds=30)
        stack.api.post("/stop-job", {"jobId": job_id})
        follower.until_ended(seconds=30)
    # Then the drop's name counts, and what is odd is told at once, in the API's words, too
    assert first["jobName"] == "Pier"
    assert ["the very same as another" in first["warnings"][0], "has GPS" in first["warnings"][1]] == [
        True
    ] * 2
    assert stack.api.get(f"/jobs/{job_id}")["warnings"] == first["warnings"]


def test_a_sidecar_that_can_not_be_used_is_rejected_with_its_field(stack):
    job_id = stack.drop(flight(preset="ultra"), "uploads/operator/bad.zip")
    status = stack.last_status(job_id, seconds=30)
    assert (status["status"], status["error"]["code"]) == ("REJECTED", "bad_sidecar")
    assert "preset" in status["error"]["message"]
