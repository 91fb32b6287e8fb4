"""The first bytes of a file in a zip, from the piece of the zip that begins with its local header."""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import Protocol

from spaceport.archive import ArchiveFile

_LOCAL_HEADER = struct.Struct("<4s22xHH")  # APPNOTE 4.3.7: its signature, and how long name and extra are
# What programs put there: times, owners, ZIP64's sizes. One that is longer costs the end of what is read.
EXTRA_ROOM = 1024


class Pieces(Protocol):
    """An archive of which pieces can be had, as of `spaceport.ranges.S3Object`."""

    def piece(self, begin: int, length: int) -> bytes: ...


def beginning(archive: Pieces, file: ArchiveFile, length: int) -> bytes:
    """The first `length` bytes of `file`, unpacked; fewer where it is shorter, or damaged. One GET."""
    if file.offset < 0:
        return b""
    packed = min(file.packed_size, length + EXTRA_ROOM)  # a deflated file of so many bytes is hardly longer
    room = _LOCAL_HEADER.size + len(file.name.encode(errors="replace")) + EXTRA_ROOM
    return _unpacked(archive.piece(file.offset, room + packed), file, length)


def _unpacked(piece: bytes, file: ArchiveFile, length: int) -> bytes:
    if len(piece) < _LOCAL_HEADER.size:
        return b""
    signature, name_length, extra_length = _LOCAL_HEADER.unpack_from(piece)
    if signature != b"PK\3\4":
        return b""
    begin = _LOCAL_HEADER.size + name_length + extra_length
    packed = piece[begin : begin + file.packed_size]
    if file.method == zipfile.ZIP_STORED:
        return packed[:length]
    try:
        return zlib.decompressobj(wbits=-zlib.MAX_WBITS).decompress(packed, length)
    except zlib.error:
        return b""
