"""An object in S3 as a file, read by ranged GETs each of which says where it ends.

So a function of 256 MB reads a zip of many GB: what it does not ask for is never sent.
"""

from __future__ import annotations

import errno
import io
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# The first GET: the end of a zip, whose comment may have 64 KB, and of most zips the whole directory, too.
TAIL_BYTES = 128 * 2**10
# At least so much a GET: what is read next mostly stands beside what was read last.
BLOCK_BYTES = 64 * 2**10


class S3Object(io.RawIOBase):
    """One version of one object: seekable, read-only, and cheap to read at its end.

    Raises:
        ClientError: of S3, from the first read or seek on.
    """

    def __init__(self, s3: S3Client, bucket: str, key: str, version: str) -> None:
        self._s3 = s3
        self._bucket, self._key, self._version = bucket, key, version
        self._position = 0
        self._size: int | None = None
        self._tail = self._block = _Piece(0, b"")

    def piece(self, begin: int, length: int) -> bytes:
        """Up to `length` bytes from the byte `begin` on, by one GET. May be called by several threads."""
        end = min(begin + length, self.size)
        if end <= begin:
            return b""
        return self._get(f"bytes={begin}-{end - 1}")[0]

    @property
    def size(self) -> int:
        """Of the object, bytes."""
        if self._size is None:
            try:
                tail, self._size = self._get(f"bytes=-{TAIL_BYTES}")
            except ClientError as error:
                if error.response["Error"]["Code"] != "InvalidRange":
                    raise
                tail, self._size = b"", 0  # an object without any bytes has no range either
            self._tail = _Piece(self._size - len(tail), tail)
        return self._size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position}
        position = offset + (self.size if whence == io.SEEK_END else origin[whence])
        if position < 0:
            raise OSError(errno.EINVAL, "before the beginning")  # as a file on a disk: zipfile relies on it
        self._position = position
        return position

    def read(self, size: int | None = -1) -> bytes:
        """As of any file: all of `size` bytes but at the end, all that is left for a negative `size`."""
        left = max(self.size - self._position, 0)
        wanted = left if size is None or size < 0 else min(size, left)
        content = self._between(self._position, self._position + wanted)
        self._position += wanted
        return content

    def _between(self, begin: int, end: int) -> bytes:
        for known in (self._tail, self._block):
            if known.begin <= begin and end <= known.begin + len(known.content):
                return known.content[begin - known.begin : end - known.begin]
        self._block = _Piece(begin, self.piece(begin, max(end - begin, BLOCK_BYTES)))
        return self._block.content[: end - begin]

    def _get(self, span: str) -> tuple[bytes, int]:
        """The bytes of a range, and the whole object's size."""
        answer = self._s3.get_object(Bucket=self._bucket, Key=self._key, VersionId=self._version, Range=span)
        content = answer["Body"].read()
        # S3 refuses a range of an empty object; a server may also send all of it, which is nothing.
        return content, int(answer.get("ContentRange", f"/{len(content)}").rpartition("/")[2])


class _Piece:
    """Bytes of the object, and where they begin in it."""

    def __init__(self, begin: int, content: bytes) -> None:
        self.begin = begin
        self.content = content
