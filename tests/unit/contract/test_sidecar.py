"""What a zip says of how its job is to be done: read from it, refused with the reason, put together."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from pieces import InMemory
from zip_writer import DEFLATED, Entry, photos, written

from spaceport.archive import inspect
from spaceport.errors import UserError
from spaceport.job import JobRequest
from spaceport.sidecar import combined, read_sidecar


def said_by(content: bytes) -> JobRequest:
    return read_sidecar(InMemory(content), inspect(io.BytesIO(content), "flight.zip").sidecar)


def with_sidecar(said: object, **changes: object) -> bytes:
    """Three photos and a `spaceport.json` that says `said`; its headers may say otherwise."""
    text = said if isinstance(said, bytes) else json.dumps(said).encode()
    sidecar = replace(Entry(b"flight/spaceport.json", text, method=DEFLATED), **changes)
    return written([*photos(3, "flight/"), sidecar])


@pytest.mark.parametrize(
    "text", [b'{"holdout": 8}', b'\xef\xbb\xbf{"holdout": 8}', '{"holdout": 8}'.encode("utf-16")]
)
@pytest.mark.parametrize("changes", [{}, {"method": 0}, {"extra": b"\x99\x99\x40\x00" + bytes(64)}])
def test_is_read_however_it_is_written_and_packed(text: bytes, changes: dict[str, object]):
    assert said_by(with_sidecar(text, **changes)).holdout == 8


def test_without_a_sidecar_nothing_is_asked_for():
    assert said_by(written(photos(3))) == JobRequest()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (with_sidecar(b"{"), "Expecting property name"),
        (with_sidecar(b"\xff\xfe\xfd"), "can't decode"),
        (with_sidecar(b"[" * 10_000), "nested too deeply"),
        (with_sidecar([]), "should be a valid dictionary"),
        (with_sidecar({"preset": "ultra"}), "preset: Input should be"),
        (with_sidecar({"speed": 3}), "speed: Extra inputs"),
        (with_sidecar({"jobName": "x" * 20_000}), "larger than 16 KB"),
        (with_sidecar(b"{}" + b" " * 10**6), "larger than 16 KB"),
        (with_sidecar(b" " * 20_000, declared_size=2), "damaged in the zip"),
        (with_sidecar({}, declared_size=20), "damaged in the zip"),
    ],
)
def test_one_that_can_not_be_used_is_refused_with_the_reason(content: bytes, reason: str):
    with pytest.raises(UserError) as caught:
        said_by(content)
    assert caught.value.code == "bad_sidecar"
    assert reason in caught.value.message


def test_of_two_that_ask_for_the_same_the_later_counts():
    # Given a sidecar, metadata and a body that overlap, one of them with a field that says nothing
    sidecar = JobRequest.model_validate({"preset": "preview", "holdout": 8, "jobName": "Beach"})
    metadata = JobRequest.model_validate({"preset": "quality", "holdout": None})
    body = JobRequest.model_validate({"jobName": "Pier"})
    # When they are put together, Then each field is that of the last that says it
    assert combined(sidecar, metadata, body) == JobRequest.model_validate(
        {"preset": "quality", "holdout": 8, "jobName": "Pier"}
    )
