"""Where an upload goes, and in how many parts."""

from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.config import Config
from hypothesis import given
from hypothesis import strategies as st

from spaceport.callers import Caller
from spaceport.errors import UserError
from spaceport.intake import Intake
from spaceport.uploads import (
    MAX_PARTS,
    MAX_UPLOAD_BYTES,
    MIN_PART_BYTES,
    UploadId,
    Uploads,
    part_size,
    upload_key,
)


@given(st.integers(1, MAX_UPLOAD_BYTES))
def test_every_upload_has_parts_that_s3_takes(size: int):
    a_part = part_size(size)
    assert 1 <= -(-size // a_part) <= MAX_PARTS <= 10_000
    assert MIN_PART_BYTES <= a_part <= 5 * 2**30
    assert a_part % 2**20 == 0


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("beach.ZIP", "beach"),
        ("Playa Ñ (1).zip", "Playa-N-1"),
        ("../../etc/passwd.zip", "etc-passwd"),
        ("<img src=x>.zip", "img-src-x"),
        ("写真.zip", "photos"),
        ("a" * 200 + ".zip", "a" * 80),
    ],
)
def test_a_key_is_the_callers_and_plain(name: str, stem: str):
    assert upload_key(Caller("ann"), name, "0123abcd") == f"uploads/ann/{stem}-0123abcd.zip"


def test_a_user_whose_key_would_name_another_owner_gets_none():
    with pytest.raises(UserError) as refused:
        upload_key(Caller("bob/ann"), "a.zip", "0123abcd")
    assert refused.value.code == "bad_user_name"


# ---- addresses ----------------------------------------

KEY = "uploads/ann/beach-0123abcd.zip"


@pytest.fixture
def uploads(monkeypatch) -> Uploads:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    # Signing asks nobody.
    s3 = boto3.client("s3", region_name="us-east-1", config=Config(signature_version="s3v4"))
    return Uploads(s3, Intake(s3), "uploads")


def test_an_address_is_signed_for_the_length_of_its_part(uploads):
    told = uploads.addresses(Caller("ann"), f"{2 * MIN_PART_BYTES + 1}-s3.id-of_it", KEY, [1, 3])
    for url in told.values():
        query = parse_qs(urlsplit(url).query)
        assert "content-length" in query["X-Amz-SignedHeaders"][0].split(";")
        assert query["uploadId"] == ["s3.id-of_it"]


@pytest.mark.parametrize(
    ("upload_id", "number", "code"),
    [
        (f"{2 * MIN_PART_BYTES + 1}-id", 4, "wrong_parts"),
        (f"{MAX_UPLOAD_BYTES}-id", MAX_PARTS + 1, "wrong_parts"),
        (f"{MAX_UPLOAD_BYTES + 1}-id", 1, "no_such_upload"),  # whoever writes an id gets no more for it
        ("9" * 5000 + "-id", 1, "no_such_upload"),
        ("0" * 19 + "1" + "9" * 12 + "-id", 1, "no_such_upload"),  # 2 TB
        ("0" * 19 + "1" + "9" * 5000 + "-id", 1, "no_such_upload"),
        ("0-id", 1, "no_such_upload"),
        ("-5-id", 1, "no_such_upload"),
        ("٣-id", 1, "no_such_upload"),
        ("5-", 1, "no_such_upload"),
        ("5", 1, "no_such_upload"),
    ],
)
def test_no_address_is_given_for_what_no_upload_has(uploads, upload_id, number, code):
    with pytest.raises(UserError) as refused:
        uploads.addresses(Caller("ann"), upload_id, KEY, [number])
    assert refused.value.code == code


@given(st.integers(1, MAX_UPLOAD_BYTES))
def test_the_parts_of_an_upload_are_as_long_as_it_is(size: int):
    told = UploadId(size, "id")
    assert UploadId.read(str(told)) == told
    parts = -(-size // part_size(size))
    assert sum(told.length(number) for number in range(1, parts + 1)) == size
