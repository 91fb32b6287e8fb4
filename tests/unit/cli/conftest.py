"""What the command's tests stand on: rows as the cloud tells them, photos, a real WebSocket server."""

from __future__ import annotations

import io
import json
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from websockets.sync.server import ServerConnection, serve

from spaceport.job import JobRecord, StageRecord
from spaceport.sockets import status_message
from spaceport.stages import Status

JOB = "job-0123456789abcdef0123"

Message = dict[str, Any]
Story = Callable[[ServerConnection, str], None]  # plays one connection that has subscribed to the job


@pytest.fixture
def told() -> Callable[..., Message]:
    """A status message as `broadcast_status` sends it, from a row with the given fields."""

    def tell(
        version: int = 1, status: Status = Status.RUNNING, progress: float = 0.0, **fields: Any
    ) -> Message:
        stage = fields.setdefault("stage", "sfm")
        stages = {stage: StageRecord(started="2026-03-01T10:00:05.000Z", progress=progress)}
        row = {
            "job_id": JOB,
            "job_name": "Beach",
            "message": "Extracting features from uploaded images",
            "created_at": "2026-03-01T10:00:00.000Z",
            "updated_at": "2026-03-01T10:00:30.000Z",
            "stages": stages,
            **fields,
        }
        return status_message(JobRecord(version=version, status=status, **row))

    return tell


@pytest.fixture
def photo_folder(tmp_path: Path) -> Path:
    """A flight as a camera leaves it: two folders with a photo of one name, and a hidden file."""
    folder = tmp_path / "Playa Ñ"
    for number, name in enumerate(
        ("101MEDIA/DJI_0001.JPG", "100MEDIA/DJI_0001.JPG", "100MEDIA/DJI_0002.JPG")
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(number))
    (folder / ".DS_Store").write_bytes(b"junk")
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A zip of three photos."""
    path = tmp_path / "beach.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(3):
            archive.writestr(f"DJI_{number:04}.JPG", jpeg(number))
    return path


def jpeg(number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (40 * number, 90, 120)).save(file, "JPEG")
    return file.getvalue()


class SocketApi:
    """A WebSocket API on 127.0.0.1 that answers a subscription by the protocol and then plays a story."""

    def __init__(self, stories: tuple[Story, ...], answer_after_s: float = 0.0) -> None:
        self._answer_after_s = answer_after_s
        self.play(*stories)
        self._server = serve(self._serve, "127.0.0.1", 0)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}/prod"

    def play(self, *stories: Story) -> None:
        """Play one story for each connection from now on; the last is played again for further ones."""
        self._stories = stories
        self.requests: list[Message] = []
        self.paths: list[str] = []

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()

    def _serve(self, connection: ServerConnection) -> None:
        self.paths.append(connection.request.path)
        story = self._stories[min(len(self.paths), len(self._stories)) - 1]
        request = json.loads(connection.recv())
        self.requests.append(request)
        time.sleep(self._answer_after_s)
        send(connection, {"type": "subscribed", "jobId": request["jobId"]})
        story(connection, request["jobId"])


def send(connection: ServerConnection, message: Message) -> None:
    connection.send(json.dumps(message))


@pytest.fixture
def socket_api() -> Iterator[Callable[..., SocketApi]]:
    """Starts WebSocket APIs that play the given stories; they are closed at the end."""
    started: list[SocketApi] = []

    def start(*stories: Story, answer_after_s: float = 0.0) -> SocketApi:
        started.append(SocketApi(stories, answer_after_s))
        return started[-1]

    yield start
    for api in started:
        api.close()


@pytest.fixture
def say() -> Callable[..., Story]:
    """A story that sends these messages and then keeps the connection open, answering as a silent cloud."""

    def story(*messages: Message, then_close: bool = False) -> Story:
        def play(connection: ServerConnection, job_id: str) -> None:
            for message in messages:
                send(connection, {**message, "jobId": job_id} if "jobId" in message else message)
            if not then_close:
                for _ in connection:
                    send(connection, {"type": "subscribed", "jobId": job_id})

        return play

    return story
