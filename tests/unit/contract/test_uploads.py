"""Where an upload goes, and in how many parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaceport.callers import Caller
from spaceport.errors import UserError
from spaceport.uploads import MAX_PARTS, MAX_UPLOAD_BYTES, MIN_PART_BYTES, part_size, upload_key


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
