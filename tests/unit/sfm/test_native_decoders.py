"""Decoders that die or hang cost their photo, and nothing else."""

from __future__ import annotations

import sys

import numpy as np
import psutil
import pytest
from dng_writer import write_dng

from spaceport_sfm.intake.decoding import Kind
from spaceport_sfm.intake.native_decoders import NativeDecoders
from spaceport_sfm.photo import UnusablePhotoError

# The real program, but over a photo whose bytes say so something happens that libraw has done to others.
PROGRAM = """
import os, signal, sys, time
from spaceport_sfm.intake import native_decoding
decode = native_decoding.decode

def decode_or_not(request):
    if b"CRASH" in request.content:
        os.kill(os.getpid(), signal.SIGSEGV)
    if b"LEAVE" in request.content:
        sys.exit(3)
    if b"HANG" in request.content:
        time.sleep(60)
    return decode(request)

native_decoding.decode = decode_or_not
native_decoding.main(int(sys.argv[1]))
"""


@pytest.fixture
def decoders():
    with NativeDecoders(command=(sys.executable, "-c", PROGRAM), timeout_s=10) as decoders:
        yield decoders


@pytest.fixture(scope="module")
def photo() -> bytes:
    return write_dng(np.random.default_rng(1).integers(0, 255, (300, 400, 3), dtype=np.uint8))


@pytest.mark.parametrize(("mark", "how"), [(b"CRASH", "SIGSEGV"), (b"LEAVE", "exit code 3")])
def test_a_photo_that_kills_its_decoder_is_refused_and_the_next_is_decoded(
    decoders: NativeDecoders, photo: bytes, mark: bytes, how: str
):
    for _ in range(2):
        with pytest.raises(UnusablePhotoError) as refused:
            decoders.decode(Kind.DNG, photo + mark, 1600)
        assert refused.value.code == "decoder_crashed"
        assert how in refused.value.reason

        assert decoders.decode(Kind.DNG, photo, 1600).picture.size == (400, 300)


def test_a_photo_that_its_decoder_hangs_over_is_refused_in_time(photo: bytes):
    with NativeDecoders(command=(sys.executable, "-c", PROGRAM), timeout_s=2) as decoders:
        decoders.decode(Kind.DNG, photo, 1600)  # started, which takes its time too
        with pytest.raises(UnusablePhotoError) as refused:
            decoders.decode(Kind.DNG, photo + b"HANG", 1600)
    assert refused.value.code == "decoder_timeout"


def test_one_process_decodes_photo_after_photo_and_ends_with_its_owner(photo: bytes):
    children = _children()
    with NativeDecoders() as decoders:
        for _ in range(3):
            decoders.decode(Kind.DNG, photo, 1600)
            assert len(_children() - children) == 1
    assert _children() <= children


def _children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}
