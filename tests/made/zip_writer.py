"""Zips as no zip program writes them: each field of APPNOTE.TXT's headers may say what it likes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

STORED, DEFLATED = 0, 8
ENCRYPTED, DESCRIPTOR_FOLLOWS, UTF8 = 0x1, 0x8, 0x800  # general purpose bits 0, 3 and 11 (4.4.4)
NO_ROOM = 0xFFFFFFFF  # a field of 32 bits whose value stands in the ZIP64 extra field (4.5.3)


@dataclass(frozen=True)
class Entry:
    """A file in a zip. What is None is told as it is.

    Attributes:
        declared_size, declared_packed: bytes, as both headers tell them.
        declared_offset: where the directory says that the local header begins.
        in_no_bytes: the directory tells of it, but no bytes of its own are written.
        mode: Unix mode, as in `stat`.
    """

    name: bytes
    content: bytes = b""
    method: int = STORED
    flags: int = 0
    extra: bytes = b""
    declared_size: int | None = None
    declared_packed: int | None = None
    declared_offset: int | None = None
    in_no_bytes: bool = False
    mode: int = 0o100644

    @property
    def packed(self) -> bytes:
        if self.method != DEFLATED:
            return self.content
        packer = zlib.compressobj(wbits=-15)
        return packer.compress(self.content) + packer.flush()

    def _common(self) -> bytes:
        """The fields that both headers have, from the version to the extra field's length."""
        size = len(self.content) if self.declared_size is None else self.declared_size
        packed = len(self.packed) if self.declared_packed is None else self.declared_packed
        return struct.pack(
            "<HHHHHIIIHH",
            *(20, self.flags, self.method, 0, 0x21, zlib.crc32(self.content), packed, size),
            *(len(self.name), len(self.extra)),
        )

    def local(self) -> bytes:
        """The local header and the packed bytes (4.3.7)."""
        if self.in_no_bytes:
            return b""
        return b"PK\3\4" + self._common() + self.name + self.extra + self.packed

    def central(self, offset: int) -> bytes:
        """The entry of the directory (4.3.12)."""
        offset = offset if self.declared_offset is None else self.declared_offset
        tail = struct.pack("<HHHII", 0, 0, 0, self.mode << 16, offset)
        return b"PK\1\2" + struct.pack("<H", 0x031E) + self._common() + tail + self.name + self.extra


def zip64_extra(*values: int) -> bytes:
    """The extra field with the values that 32 bits have no room for."""
    return struct.pack("<HH", 1, 8 * len(values)) + struct.pack(f"<{len(values)}Q", *values)


def photo(number: int, folder: str = "", size: int = 100) -> Entry:
    """A photo unlike all others, as far as an archive's directory tells."""
    return Entry(f"{folder}DJI_{number:04}.JPG".encode(), f"{folder}{number}".encode().ljust(size, b"."))


def photos(count: int, folder: str = "") -> list[Entry]:
    return [photo(number, folder) for number in range(count)]


def written(
    entries: Iterable[Entry],
    *,
    comment: bytes = b"",
    declared_count: int | None = None,
    declared_directory: int | None = None,
    declared_begin: int | None = None,
    before_end: bytes = b"",
) -> bytes:
    """A zip of `entries`.

    Args:
        declared_directory: the directory's size in bytes, as the end record tells it.
        declared_begin: and where it begins.
        before_end: bytes between the directory and the end record, which are ZIP64's place.
    """
    body, directory, count = bytearray(), bytearray(), 0
    for entry in entries:
        directory += entry.central(len(body))
        body += entry.local()
        count += 1
    count = count if declared_count is None else declared_count
    return bytes(body + directory + before_end) + end_record(
        count,
        len(directory) if declared_directory is None else declared_directory,
        len(body) if declared_begin is None else declared_begin,
        comment,
    )


def end_record(count: int, directory: int, begin: int, comment: bytes = b"") -> bytes:
    """The end of central directory record (4.3.16)."""
    return b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, count, count, directory, begin, len(comment)) + comment
