"""Hostile and odd zips, each made byte by byte, and what is said of it."""

from __future__ import annotations

import stat
import struct
import zlib
from dataclasses import replace

from zip_writer import (
    DEFLATED,
    DESCRIPTOR_FOLLOWS,
    ENCRYPTED,
    NO_ROOM,
    UTF8,
    Entry,
    end_record,
    photo,
    photos,
    written,
    zip64_extra,
)

GOOD = photos(3)
LINK, PIPE, DEVICE = (kind | 0o644 for kind in (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFBLK))
DEFLATE64, BZIP2, LZMA, ZSTANDARD, AES = 9, 12, 14, 93, 99  # APPNOTE 4.4.5


def named(name: str | bytes) -> bytes:
    """Three photos, and one of this name."""
    raw, flags = (name, 0) if isinstance(name, bytes) else (name.encode(), UTF8)
    return written([*GOOD, Entry(raw, b"x", flags=flags)])


def beside(name: str, content: bytes = b"x", count: int = 3) -> bytes:
    """So many photos, and a file of this name."""
    return written([*photos(count), Entry(name.encode(), content)])


def packed_by(method: int) -> bytes:
    return written([*GOOD, Entry(b"z.jpg", b"x" * 100, method=method)])


def of_mode(mode: int) -> bytes:
    return written([*GOOD, Entry(b"z.jpg", b"/etc/passwd", mode=mode)])


def unicode_path(name: bytes) -> bytes:
    """A file whose Unicode path extra field (APPNOTE 4.6.9) names it otherwise than its header."""
    extra = struct.pack("<HHBL", 0x7075, 5 + len(name), 1, zlib.crc32(b"z.jpg")) + name
    return written([*GOOD, Entry(b"z.jpg", b"x", extra=extra)])


def quoted(count: int) -> bytes:
    """Each file's bytes hold all that come after it, as in Fifield's bomb of 2019."""
    entries = photos(count)
    sizes = [len(entry.local()) for entry in entries]
    return written(
        replace(entry, declared_packed=sum(sizes[number:]) - 30 - len(entry.name))
        for number, entry in enumerate(entries)
    )


def large_zip64(count: int) -> bytes:
    """Photos whose sizes stand in ZIP64's extra field, as programs do that don't know them beforehand."""
    return written(
        replace(entry, declared_size=NO_ROOM, declared_packed=NO_ROOM, extra=zip64_extra(100, 100))
        for entry in photos(count)
    )


WHOLE = written(GOOD)
# What it is → the zip and the code of its refusal.
REFUSED = {
    "no bytes at all": (b"", "not_a_zip"),
    "text": (b"just some text, not an archive", "not_a_zip"),
    "a JPEG": (b"\xff\xd8\xff\xe0" + bytes(500), "not_a_zip"),
    "a RAR archive": (b"Rar!\x1a\x07\x01\x00" + bytes(500), "not_a_zip"),
    "a 7z archive": (b"7z\xbc\xaf\x27\x1c" + bytes(500), "not_a_zip"),
    "a tar.gz": (b"\x1f\x8b\x08" + bytes(500), "not_a_zip"),
    "zeros": (bytes(100_000), "not_a_zip"),
    "a zip's first four bytes": (b"PK\3\4", "truncated_zip"),
    "half a zip": (WHOLE[: len(WHOLE) // 2], "truncated_zip"),
    "a zip less its last byte": (WHOLE[:-1], "truncated_zip"),
    "a zip followed by another megabyte": (WHOLE + bytes(2**20), "truncated_zip"),
    "a table of contents of zeros": (
        WHOLE[: WHOLE.index(b"PK\1\2")] + bytes(165) + end_record(3, 165, WHOLE.index(b"PK\1\2")),
        "truncated_zip",
    ),
    "a table of contents said to begin behind the end": (
        written(GOOD, declared_begin=2**31),
        "truncated_zip",
    ),
    "a table of contents said to have 2 GB": (written(GOOD, declared_directory=2**31), "truncated_zip"),
    "a table of contents cut in an entry": (written(GOOD, declared_directory=100), "truncated_zip"),
    "an end record in the comment": (written(GOOD, comment=end_record(9, 9999, 9)), "truncated_zip"),
    "a ZIP64 locator that points nowhere": (
        written(GOOD, before_end=b"PK\6\7" + struct.pack("<IQI", 0, 2**60, 1), declared_count=0xFFFF),
        "truncated_zip",
    ),
    "an archive on two disks": (
        written(GOOD, before_end=b"PK\6\7" + struct.pack("<IQI", 1, 0, 2), declared_count=0xFFFF),
        "truncated_zip",
    ),
    "a ZIP64 field without its values": (
        written([*GOOD, Entry(b"z.jpg", b"x", declared_size=NO_ROOM, extra=zip64_extra())]),
        "truncated_zip",
    ),
    "an extra field longer than there is room": (
        written([*GOOD, Entry(b"z.jpg", b"x", extra=struct.pack("<HH", 1, 60_000))]),
        "truncated_zip",
    ),
    "a name that is no UTF-8, though said to be": (
        written([*GOOD, Entry(b"\xff\xfe.jpg", b"x", flags=UTF8)]),
        "truncated_zip",
    ),
    "nothing in it": (written([]), "empty_zip"),
    "folders only": (written([Entry(b"a/"), Entry(b"a/b/")]), "empty_zip"),
    "only what a Mac leaves": (written([Entry(b"__MACOSX/._1.jpg"), Entry(b".DS_Store")]), "too_few_photos"),
    "text files only": (written([Entry(b"a.txt", b"x"), Entry(b"b.txt", b"y")]), "too_few_photos"),
    "two photos": (written(photos(2)), "too_few_photos"),
    "three photos, two of them empty": (
        written([photo(0), Entry(b"1.jpg"), Entry(b"2.jpg")]),
        "too_few_photos",
    ),
    "its beginning lost, and with it all but two photos": (WHOLE[100:], "truncated_zip"),
    "3,001 photos": (written(photos(3001)), "too_many_photos"),
    "20,001 files": (written(Entry(f"{n}.txt".encode()) for n in range(20_001)), "too_many_files"),
    "a table of contents of 9 MB": (
        written(Entry(f"{'n' * 900}{n}.txt".encode()) for n in range(9_900)),
        "too_many_files",
    ),
    "a name that leads out": (named("../evil.jpg"), "unsafe_name"),
    "a name that leads out further on": (named("a/../../evil.jpg"), "unsafe_name"),
    "a name from the root": (named("/etc/evil.jpg"), "unsafe_name"),
    "a network share's name": (named("//server/share/evil.jpg"), "unsafe_name"),
    "a drive's name": (named("C:evil.jpg"), "unsafe_name"),
    "backslashes": (named("..\\..\\evil.jpg"), "unsafe_name"),
    "a line break in a name": (named("a\nb.jpg"), "unsafe_name"),
    "a NUL in a name": (named("evil.exe\0.jpg"), "unsafe_name"),
    "a terminal's control codes in a name": (named("\x1b[2J.jpg"), "unsafe_name"),
    "a file named dot": (named("."), "unsafe_name"),
    "a file without a name": (named(""), "unsafe_name"),
    "a symbolic link": (of_mode(LINK), "link"),
    "a pipe": (of_mode(PIPE), "link"),
    "a device": (of_mode(DEVICE), "link"),
    "a password": (written(replace(one, flags=ENCRYPTED) for one in GOOD), "encrypted"),
    "one file with a password": (
        written([*GOOD, Entry(b"z.jpg", b"x", flags=ENCRYPTED)]),
        "encrypted",
    ),
    "AES": (written([*GOOD, Entry(b"z.jpg", b"x", flags=ENCRYPTED, method=AES)]), "encrypted"),
    "zeros that unpack 1,000-fold": (
        written([*GOOD, Entry(b"z.jpg", bytes(2**24), method=DEFLATED)]),
        "zip_bomb",
    ),
    "a film that unpacks 1,000-fold": (
        written([*GOOD, Entry(b"z.mp4", bytes(2**24), method=DEFLATED)]),
        "zip_bomb",
    ),
    "150 GB, as declared": (
        written([*GOOD, *(Entry(f"{n}.tif".encode(), b"x", declared_size=3 * 2**30) for n in range(50))]),
        "zip_bomb",
    ),
    "an exabyte, as ZIP64 declares": (
        written([*GOOD, Entry(b"z.jpg", b"x", declared_size=NO_ROOM, extra=zip64_extra(2**60))]),
        "zip_bomb",
    ),
    "one file's bytes under 100 names": (
        written([photo(0), *(replace(photo(n), in_no_bytes=True, declared_offset=0) for n in range(1, 100))]),
        "zip_bomb",
    ),
    "files that hold the next ones' headers": (quoted(20), "zip_bomb"),
    "a file that runs into the table of contents": (
        written([*GOOD, Entry(b"z.jpg", b"x" * 100, declared_packed=150)]),
        "zip_bomb",
    ),
    "packed sizes beyond the zip's own": (
        written([*GOOD, Entry(b"z.jpg", b"x", declared_packed=2**31, declared_size=2**31)]),
        "zip_bomb",
    ),
    "a file said to begin behind the end": (
        written([*GOOD, Entry(b"z.jpg", b"x", declared_offset=2**31)]),
        "zip_bomb",
    ),
    "packed by bzip2": (packed_by(BZIP2), "unusual_compression"),
    "packed by LZMA": (packed_by(LZMA), "unusual_compression"),
    "packed by Deflate64": (packed_by(DEFLATE64), "unusual_compression"),
    "packed by Zstandard": (packed_by(ZSTANDARD), "unusual_compression"),
    "packed by a method that nobody knows": (packed_by(777), "unusual_compression"),
    "a zip in the zip": (written([Entry(b"flight.zip", WHOLE)]), "nested_archive"),
    "two photos and a RAR archive": (beside("rest.rar", count=2), "nested_archive"),
    "raw photos only": (written([Entry(f"{n}.CR2".encode(), b"x") for n in range(9)]), "unsupported_photos"),
    "a film only": (written([Entry(b"DJI_0001.MP4", b"x")]), "unsupported_photos"),
    "two photos and a GIF": (beside("3.gif", count=2), "unsupported_photos"),
    "one photo five times": (
        written([replace(photo(0), name=f"{n}.jpg".encode()) for n in range(5)]),
        "duplicates",
    ),
}
# What it is → the zip and the codes of its warnings.
TAKEN: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "three photos": (WHOLE, ()),
    "deflated photos": (written(replace(one, method=DEFLATED) for one in GOOD), ()),
    "photos whose sizes ZIP64 declares": (large_zip64(3), ()),
    "photos written to a pipe": (written(replace(one, flags=DESCRIPTOR_FOLLOWS) for one in GOOD), ()),
    "a program before the zip": (b"MZ" + bytes(5000) + WHOLE, ()),
    "a comment of 64 KB": (written(GOOD, comment=b"." * 0xFFFF), ()),
    "bytes after the end": (WHOLE + b"\r\n", ()),
    "an end record that counts wrong": (written(GOOD, declared_count=7), ()),
    "the same name in two folders": (written([*photos(2, "100/"), *photos(2, "101/")]), ()),
    "the same name twice": (written([*GOOD, replace(GOOD[0], content=b"taken again")]), ()),
    "names that differ in case": (written([*GOOD, Entry(b"z.jpg", b"z"), Entry(b"Z.JPG", b"Z")]), ()),
    "a file and a folder of one name": (
        written([*GOOD, Entry(b"z.jpg", b"z"), Entry(b"z.jpg/1.jpg", b"1")]),
        (),
    ),
    "a name of 60,000 letters": (named("n" * 60_000 + ".jpg"), ()),
    "a name in Cyrillic": (named("берег.jpg"), ()),
    "a name in DOS's letters": (named(b"\x81ber.jpg"), ()),
    "a folder named as if it led out": (written([*GOOD, Entry(b"../")]), ()),
    "another name in an extra field": (unicode_path(b"y.jpg"), ()),
    "a photo said to be smaller than it is": (
        written([*GOOD, Entry(b"z.jpg", b"x" * 100, declared_size=9)]),
        (),
    ),
    "a film, packed by bzip2": (written([*GOOD, Entry(b"z.mp4", b"x", method=BZIP2)]), ()),
    "raw photos, each with its JPEG": (written([*GOOD, Entry(b"DJI_0001.CR2", b"x")]), ()),
    "a raw photo without a JPEG": (beside("z.NEF"), ("unsupported_photos",)),
    "a zip beside the photos": (beside("more.zip"), ("nested_archive",)),
    "a copy of a photo": (written([*GOOD, replace(GOOD[1], name=b"copy.jpg")]), ("duplicates",)),
    "an empty photo": (written([*GOOD, Entry(b"z.jpg")]), ("empty_file",)),
    "its beginning lost, and with it a photo": (written(photos(4))[100:], ("truncated_zip",)),
}
