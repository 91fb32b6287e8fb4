"""What is read of a zip in S3: bytes and requests are counted where they are sent."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from zip_writer import end_record, photo, photos, written

from spaceport.archive import inspect
from spaceport.ranges import BLOCK_BYTES, TAIL_BYTES, S3Object
from spaceport.sampling import MAX_LOOKED_AT


@dataclass
class Sent:
    """What a server has sent.

    Attributes:
        address: of the server.
        ranges: that GETs asked for, as they were asked.
        bytes: of all answers' bodies.
    """

    address: str
    ranges: list[str] = field(default_factory=list)
    bytes: int = 0

    def client(self):
        return boto3.client(
            "s3",
            endpoint_url=self.address,
            region_name="eu-west-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(s3={"addressing_style": "path"}),
        )

    def object(self) -> S3Object:
        return S3Object(self.client(), "uploads", "flight.zip", "1")


@pytest.fixture
def serving() -> Iterator[Callable[[Path], Sent]]:
    """`serving(path)`: the file as the only object of an S3, as far as HEAD and GET with a range go."""
    servers = []

    def start(path: Path) -> Sent:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.answer(200, b"")

            def do_GET(self) -> None:
                asked = self.headers["Range"] or ""
                sent.ranges.append(asked)
                size = path.stat().st_size
                match = re.fullmatch(r"bytes=(\d*)-(\d+)", asked)
                assert match, f"{asked} has no end"
                first = int(match[1]) if match[1] else max(size - int(match[2]), 0)
                last = min(int(match[2]), size - 1) if match[1] else size - 1
                if last < first:
                    self.answer(416, b"<Error><Code>InvalidRange</Code></Error>")
                    return
                with path.open("rb") as file:
                    file.seek(first)
                    body = file.read(last - first + 1)
                sent.bytes += len(body)
                self.answer(206, body, f"bytes {first}-{last}/{size}")

            def answer(self, status: int, body: bytes, content_range: str = "") -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                if content_range:
                    self.send_header("Content-Range", content_range)
                self.end_headers()
                self.wfile.write(body)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        sent = Sent(f"http://127.0.0.1:{server.server_port}")
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return sent

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def large_zip(tmp_path: Path) -> Path:
    """3,000 photos of a megabyte each; on the disk it takes no more than its headers."""
    path, megabyte = tmp_path / "flight.zip", 2**20
    with path.open("wb") as file:
        directory = b""
        for number in range(3000):
            one = photo(number)
            one = replace(one, declared_size=megabyte - 512, declared_packed=megabyte - 512)
            directory += one.central(number * megabyte)
            file.seek(number * megabyte)
            file.write(one.local())
        file.seek(3000 * megabyte)
        file.write(directory + end_record(3000, len(directory), 3000 * megabyte))
    return path


JUDGE = """
import sys
from pathlib import Path
import boto3
from botocore.config import Config
from spaceport.intake import Intake
s3 = boto3.client("s3", endpoint_url=sys.argv[1], region_name="eu-west-1", aws_access_key_id="test",
    aws_secret_access_key="test", config=Config(s3={"addressing_style": "path"}))
row = Intake(s3).judge("uploads", "flight.zip", "1", "2026-01-01T00:00:00.000Z")
(peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(row.status, int(peak.split()[1]) // 1024)
"""


def test_a_zip_of_3_gb_is_judged_by_its_few_last_bytes_in_little_memory(serving, large_zip):
    # Given 3 GB of photos in S3
    sent = serving(large_zip)
    # When a process of its own judges them, as a Lambda does
    told = subprocess.run(
        [sys.executable, "-c", JUDGE, sent.address], capture_output=True, text=True, check=True
    ).stdout
    # Then it takes them having asked for the ends of a few ranges, and with half of a small Lambda's memory
    status, megabytes = told.split()
    assert status == "QUEUED"
    assert sent.bytes < 12 * 2**20
    assert len(sent.ranges) <= 2 + MAX_LOOKED_AT  # its end, its directory, and photos
    assert int(megabytes) < 128


def test_reads_as_a_file_in_memory_does(serving, tmp_path):
    # Given a file that is longer than what is read at once
    content = bytes(range(256)) * 2048
    (tmp_path / "flight.zip").write_bytes(content)
    ranged, plain = serving(tmp_path / "flight.zip").object(), io.BytesIO(content)
    # When both are read here and there, also over the end, Then they give the same
    for offset, whence, size in (
        (0, 0, 4), (5, 1, 100_000), (-22, 2, -1), (1000, 0, 0), (-TAIL_BYTES - 10, 2, 20),
        (len(content) + 5, 0, 9), (-5, 1, 100), (3, 0, None), (len(content) - 3, 0, 9),
    ):  # fmt: skip
        assert ranged.seek(offset, whence) == plain.seek(offset, whence)
        assert ranged.read(size) == plain.read(size)
        assert ranged.tell() == plain.tell()
    with pytest.raises(OSError, match="before the beginning"):
        ranged.seek(-1)


def test_a_small_zip_takes_one_request(serving, tmp_path):
    (tmp_path / "flight.zip").write_bytes(written(photos(3)))
    sent = serving(tmp_path / "flight.zip")

    assert len(inspect(sent.object(), "flight.zip").photos) == 3

    assert sent.ranges == [f"bytes=-{TAIL_BYTES}"]


def test_neighbours_are_read_at_once(serving, large_zip):
    sent = serving(large_zip)
    file = sent.object()
    for position in range(0, BLOCK_BYTES, 1000):
        file.seek(position)
        file.read(10)
    assert sent.ranges == [f"bytes=-{TAIL_BYTES}", f"bytes=0-{BLOCK_BYTES - 1}"]


def test_an_object_without_bytes_is_an_empty_file(serving, tmp_path):
    (tmp_path / "flight.zip").write_bytes(b"")
    file = serving(tmp_path / "flight.zip").object()
    assert (file.size, file.read(), file.piece(0, 10)) == (0, b"", b"")
