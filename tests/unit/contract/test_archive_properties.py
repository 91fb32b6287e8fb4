"""What holds for any zip, and for any bytes at all: Hypothesis looks for one that breaks it."""

from __future__ import annotations

import io
import string
import zlib
from pathlib import PurePosixPath

from hypothesis import given, settings
from hypothesis import strategies as st
from pieces import InMemory
from zip_writer import DEFLATED, STORED, Entry, photos, written

from spaceport.archive import Contents, inspect, is_junk, is_photo, is_safe_name
from spaceport.errors import UserError
from spaceport.unpacking import beginning

# The same hundred examples each time, so that a change breaks its own tests only; bench/fuzz_archive.py looks
# further, for as long as it is told to.
quick = settings(max_examples=100, deadline=None, derandomize=True, database=None)

PLAIN = string.ascii_letters + string.digits + " _-üжあ"
plain_names = st.builds(
    "{}{}.{}".format,
    st.sampled_from(["", "a/", "b/c/", "__MACOSX/", ".hidden/"]),
    st.text(PLAIN, min_size=1, max_size=12),
    st.sampled_from(["jpg", "JPEG", "png", "dng", "txt", "mp4", "CR2", "zip", "DS_Store"]),
)
odd_names = st.one_of(
    plain_names,
    st.text(max_size=20),
    st.sampled_from(["../x.jpg", "/x.jpg", "C:x.jpg", "a\\b.jpg", "a//b.jpg", ".", "..", "a/./b.jpg", ""]),
)
entries = st.builds(
    Entry,
    name=odd_names.map(str.encode),
    content=st.binary(max_size=40),
    method=st.sampled_from([STORED, DEFLATED, DEFLATED, 12]),
    flags=st.sampled_from([0x800, 0x800, 0x800, 0, 1]),
    extra=st.sampled_from([b"", b"", b"\1\0\0\0", b"\x99\x99\2\0ab", b"\1"]),
    declared_size=st.none() | st.integers(0, 2**32 - 1),
    declared_packed=st.none() | st.integers(0, 2**32 - 1),
    declared_offset=st.none() | st.integers(0, 2**32 - 1),
    in_no_bytes=st.booleans(),
    mode=st.sampled_from([0o100644, 0o100644, 0o120777, 0]),
)
honest_entries = st.builds(
    Entry,
    name=plain_names.map(str.encode),
    content=st.binary(min_size=1, max_size=40),
    method=st.sampled_from([STORED, DEFLATED]),
    flags=st.just(0x800),
)
zips = st.builds(
    written,
    st.lists(entries, max_size=8).map(lambda some: [*photos(3), *some]),
    comment=st.binary(max_size=30),
    declared_count=st.none() | st.integers(0, 0xFFFF),
    declared_directory=st.none() | st.integers(0, 2**32 - 1),
    declared_begin=st.none() | st.integers(0, 2**32 - 1),
    before_end=st.binary(max_size=30),
)


class Counted(io.BytesIO):
    """A file that counts what is read of it."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size)
        self.taken += len(content)
        return content


def judged(content: bytes) -> Contents | UserError:
    try:
        return inspect(io.BytesIO(content), "flight.zip")
    except UserError as refused:
        return refused


def check(content: bytes, outcome: Contents | UserError) -> None:
    """What holds for whatever comes in."""
    if isinstance(outcome, UserError):
        assert outcome.code
        assert outcome.hint
        assert "flight.zip" in outcome.message
        assert len(str(outcome)) < 1000
        return
    photo_names = [photo.name for photo in outcome.photos]
    assert photo_names == sorted(set(photo_names))
    assert len(photo_names) >= 3
    for name in [*photo_names, *outcome.others]:
        assert is_safe_name(name)
        assert not is_junk(name)
        assert is_photo(name) == (name in photo_names)
    assert sum(photo.packed_size for photo in outcome.photos if photo.offset >= 0) <= len(content)


@quick
@given(st.binary(max_size=300))
def test_any_bytes_are_taken_or_refused_in_words(content: bytes):
    check(content, judged(content))
    check(b"PK\3\4" + content, judged(b"PK\3\4" + content))


@quick
@given(zips)
def test_any_zip_is_taken_or_refused_in_words(content: bytes):
    check(content, judged(content))


@quick
@given(st.data())
def test_any_zip_with_bytes_changed_is_taken_or_refused_in_words(data: st.DataObject):
    content = bytearray(written(photos(4)))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=6)):
        content[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    check(bytes(content[cut:]), judged(bytes(content[cut:])))


@quick
@given(st.lists(honest_entries, max_size=10, unique_by=lambda entry: entry.name), st.randoms())
def test_an_honest_zip_is_taken_with_all_that_is_in_it_in_any_order(some: list[Entry], random):
    # Given a zip of three photos and files with plain names
    files = [*photos(3), *some]
    outcome = judged(written(files))
    assert isinstance(outcome, Contents)
    names = [entry.name.decode() for entry in files]
    assert {*(photo.name for photo in outcome.photos), *outcome.others} == {
        name for name in names if not is_junk(name)
    }
    # When its files stand in another order, Then what is in it is the same
    random.shuffle(files)
    again = judged(written(files))
    assert isinstance(again, Contents)
    assert [photo.name for photo in again.photos] == [photo.name for photo in outcome.photos]
    assert set(again.others) == set(outcome.others)
    assert [warning.code for warning in again.warnings] == [warning.code for warning in outcome.warnings]


@quick
@given(st.lists(honest_entries, max_size=5, unique_by=lambda entry: entry.name), st.integers(1, 100))
def test_the_first_bytes_of_a_photo_are_its_own(some: list[Entry], length: int):
    files = {entry.name.decode(): entry.content for entry in [*photos(3), *some]}
    content = written([*photos(3), *some])
    outcome = judged(content)
    assert isinstance(outcome, Contents)

    for photo in outcome.photos:
        assert beginning(InMemory(content), photo, length) == files[photo.name][:length]
        assert photo.crc == zlib.crc32(files[photo.name])


@quick
@given(st.integers(3, 300), st.integers(0, 10_000))
def test_only_the_directory_is_read_however_large_the_photos(count: int, size: int):
    content = written(Entry(f"{n}.jpg".encode(), f"{n}".encode().ljust(size, b".")) for n in range(count))
    file = Counted(content)
    inspect(file, "flight.zip")
    assert file.taken <= 200_000 + 100 * count  # zipfile looks for the end in the last 64 KB, twice


@quick
@given(odd_names)
def test_a_name_that_is_safe_leads_nowhere_else(name: str):
    if is_safe_name(name):
        landed = PurePosixPath("/below/here") / name
        assert landed.is_relative_to("/below/here")
        assert ".." not in landed.parts
