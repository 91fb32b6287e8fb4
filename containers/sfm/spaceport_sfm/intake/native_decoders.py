"""HEIC and DNG photos, decoded in processes of their own: one that dies or hangs costs its photo only."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

from PIL import Image

from spaceport_sfm.intake.decoding import XMP_TAG, Decoded, Kind, describing, parse_exif
from spaceport_sfm.photo import UnusablePhotoError

TIMEOUT_S = 120.0  # a DNG of 100 megapixels takes 5 s
COMMAND = (sys.executable, "-m", "spaceport_sfm.intake.native_decoding")


@dataclass(frozen=True)
class DecodeRequest:
    """A photo to decode; pixels beyond a longer side of `max_size` aren't needed."""

    kind: Kind
    content: bytes
    max_size: int


@dataclass(frozen=True)
class DecodeReply:
    """A decoded photo, as `decoding.Decoded` in values that travel.

    Attributes:
        pixels: RGB of 8 bits, rows of `width`.
        size: (width, height) in pixels of the photo as stored.
        exif: the EXIF block; of a DNG, whose own structure is EXIF's, nothing.
        xmp: likewise.
    """

    width: int
    height: int
    pixels: bytes
    size: tuple[int, int]
    exif: bytes = b""
    xmp: bytes = b""


class NativeDecoders:
    """A pool of decoding processes, started when needed: as many as threads decode at a time."""

    def __init__(self, command: Sequence[str] = COMMAND, timeout_s: float = TIMEOUT_S) -> None:
        """`command` gets the number of its socket as its last argument, see `native_decoding`."""
        self._command = command
        self._timeout_s = timeout_s
        self._idle: list[_Process] = []  # list's own append and pop are atomic

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._idle:
            self._idle.pop().end()

    def decode(self, kind: Kind, content: bytes, max_size: int) -> Decoded:
        """Decode a HEIC or DNG photo, as `decoding.decode` the others.

        Raises:
            UnusablePhotoError: as there, and `decoder_crashed`, `decoder_timeout`.
        """
        try:
            process = self._idle.pop()
        except IndexError:
            process = _Process(self._command)
        try:
            reply = process.ask(DecodeRequest(kind, content, max_size), self._timeout_s)
        except BaseException:
            process.end()
            raise
        self._idle.append(process)
        if isinstance(reply, UnusablePhotoError):
            raise reply
        picture = Image.frombytes("RGB", (reply.width, reply.height), reply.pixels)
        # A DNG is a TIFF file, whose structure is EXIF's own.
        exif = parse_exif(content if kind is Kind.DNG else reply.exif)
        xmp = exif.get(XMP_TAG, b"") if kind is Kind.DNG else reply.xmp
        return Decoded(picture, reply.size, describing(exif), xmp)


class _Process:
    def __init__(self, command: Sequence[str]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._connection = Connection(ours.detach())
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno())], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
            )

    def ask(self, request: DecodeRequest, timeout_s: float) -> DecodeReply | UnusablePhotoError:
        try:
            self._connection.send(request)
            if not self._connection.poll(timeout_s):
                raise UnusablePhotoError(
                    "decoder_timeout", f"could not be decoded within {timeout_s:.0f} s: it is damaged"
                )
            reply = self._connection.recv()
        except (EOFError, ConnectionError) as error:
            code = self._process.wait()
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            raise UnusablePhotoError(
                "decoder_crashed", f"is damaged: its decoder crashed over it ({how})"
            ) from error
        return reply

    def end(self) -> None:
        self._connection.close()
        self._process.kill()
        self._process.wait()
