"""What the command's tests stand on: rows as the cloud tells them, photos, a real WebSocket server."""

from __future__ import annotations

import io
import json
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from PIL import Image
from websockets.sync.server import ServerConnection, serve

from spaceport.job import JobRecord, Outputs, StageRecord
from spaceport.quality import QualityReport
from spaceport.sockets import status_message
from spaceport.stages import Status

JOB = "job-0123456789abcdef0123"

TICKET_CALL = "POST /ws-ticket"

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


class HttpApi:
    """The HTTP API on 127.0.0.1, for the command's calls: it knows `jobs` and answers what it is told to.

    `answers` has further answers, (HTTP status, body), by method and path. Where a list is given for a
    job or an answer, each call takes the next, and further calls the last. Tickets are
    `ticket-1`, `ticket-2`.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, Message | list[Message]] = {}
        self.answers: dict[str, tuple[int, Message]] = {}
        self.requests: list[tuple[str, Message | None]] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer("GET", None)

            def do_DELETE(self) -> None:
                self._answer("DELETE", None)

            def do_POST(self) -> None:
                self._answer("POST", json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def _answer(self, method: str, body: Message | None) -> None:
                assert self.headers["Authorization"].startswith("Bearer ")
                path = self.path.removeprefix("/prod")
                api.requests.append((f"{method} {path}", body))
                status, told = api.answer(method, path)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(told).encode())

            def log_message(self, *_: object) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/prod"

    @property
    def posted(self) -> list[tuple[str, Message | None]]:
        """What was asked to be done; tickets do nothing."""
        return [
            (call, body) for call, body in self.requests if call.startswith("POST") and call != TICKET_CALL
        ]

    def answer(self, method: str, path: str) -> tuple[int, Message]:
        if f"{method} {path}" in self.answers:
            return self.answers[f"{method} {path}"]
        if f"{method} {path}" == TICKET_CALL:
            given = [call for call, _ in self.requests].count(TICKET_CALL)
            return 200, {"ticket": f"ticket-{given}", "expiresIn": 60}
        if method == "GET" and path.startswith("/jobs?"):
            return 200, {"jobs": [self._job(job_id) for job_id in self.jobs], "next": None}
        job_id = path.removeprefix("/jobs/")
        if method == "GET" and job_id in self.jobs:
            return 200, self._job(job_id)
        return 404, {"code": "no_such_job", "detail": f"There is no job {job_id}.", "hint": "Check the id."}

    def _job(self, job_id: str) -> Message:
        told = self.jobs[job_id]
        if isinstance(told, list):
            told = told.pop(0) if len(told) > 1 else told[0]
        return {**told, "jobId": job_id}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def http_api() -> Iterator[HttpApi]:
    api = HttpApi()
    yield api
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


VIEWER = "https://view.example/jobs/x/compressed/viewer/index.html"


class Stack:
    """What a test sees of the stack: its WebSocket API, its HTTP API and its buckets."""

    def __init__(self, api: SocketApi, http: HttpApi) -> None:
        self.api = api
        self.http = http
        self.s3 = boto3.client("s3")

    def uploads(self) -> list[dict[str, Any]]:
        """Every version of every upload, newest first."""
        return self.s3.list_object_versions(Bucket="drones-uploads").get("Versions", [])

    def metadata(self, upload: dict[str, Any]) -> dict[str, Any]:
        head = self.s3.head_object(Bucket="drones-uploads", Key=upload["Key"], VersionId=upload["VersionId"])
        return json.loads(head["Metadata"]["spaceport"])

    def put_results(self, quality: QualityReport) -> Outputs:
        """A finished job's results in the data bucket, without a report."""
        prefix = "jobs/x/compressed/"
        files = {"model.sog": b"splat", "quality.json": quality.model_dump_json().encode()}
        for name, body in files.items():
            self.s3.put_object(Bucket="drones-data", Key=prefix + name, Body=body)
        uri = f"s3://drones-data/{prefix}"
        return Outputs(
            viewer_url=VIEWER,
            sog=f"{uri}model.sog",
            quality=f"{uri}quality.json",
            georef=f"{uri}georef.json",  # named, but gone from the bucket
        )


@pytest.fixture
def stack(monkeypatch, tmp_path, socket_api, http_api, say) -> Iterator[Callable[..., Stack]]:
    """Deploys the stack `drones` whose WebSocket API plays the given stories."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    with mock_aws():

        def deploy(*stories) -> Stack:
            api = socket_api(*(stories or (say(),)))
            boto3.client("cloudformation").create_stack(
                StackName="drones", TemplateBody=json.dumps(template(api.url, http_api.url, made_resources()))
            )
            return Stack(api, http_api)

        yield deploy


def made_resources() -> dict[str, str]:
    """The resources that the command uses, as outputs; made here, since moto's stacks make them less well."""
    s3 = boto3.client("s3")
    for bucket in ("drones-uploads", "drones-data"):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_versioning(Bucket="drones-uploads", VersioningConfiguration={"Status": "Enabled"})
    secret = boto3.client("secretsmanager").create_secret(Name="token", SecretString='{"token": "a&b=c&d="}')
    return {
        "UploadsBucket": "drones-uploads",
        "DataBucket": "drones-data",
        "StateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:drones",
        **{f"{stage}InstanceType": "ml.g4dn.xlarge" for stage in ("Sfm", "Training", "Compression")},
        **{f"{name}ImageUri": f"1.ecr/{name}" for name in ("Sfm", "Gaussian", "Compressor")},
        "AccessTokenSecretArn": secret["ARN"],
        **made_users(),
    }


def made_users() -> dict[str, str]:
    """A user pool whose operator has no password of their own yet, as CloudFormation makes it."""
    cognito = boto3.client("cognito-idp")
    policy = {"PasswordPolicy": {"MinimumLength": 6, "RequireUppercase": False, "RequireNumbers": False}}
    pool = cognito.create_user_pool(PoolName="drones", Policies=policy)["UserPool"]["Id"]
    client = cognito.create_user_pool_client(
        UserPoolId=pool, ClientName="spaceport", ExplicitAuthFlows=["ALLOW_ADMIN_USER_PASSWORD_AUTH"]
    )
    cognito.admin_create_user(UserPoolId=pool, Username="operator")
    return {"UserPoolId": pool, "UserPoolClientId": client["UserPoolClient"]["ClientId"]}


def template(socket_url: str, api_url: str, resources: dict[str, str]) -> dict[str, Any]:
    outputs = {**resources, "WebSocketUrl": socket_url, "ApiUrl": api_url}
    return {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},  # a stack must have one
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }


@pytest.fixture
def quality() -> QualityReport:
    return QualityReport.model_validate(
        {
            "photos": {
                "given": 4,
                "registered": 3,
                "refused": [{"name": "DJI_9.JPG", "code": "too_small", "reason": "it is under 256 px wide"}],
            },
            "sfm": {
                "seconds": 29.0,
                "cpu_seconds": 50.0,
                "reprojection_px": 0.36,
                "points": 6500,
                "mean_track": 4,
            },
            "georef": {
                "rms_horizontal_m": 0.61,
                "rms_vertical_m": 1.2,
                "origin": {"lat": 50.8, "lon": -0.1, "alt": 30},
            },
            "training": {
                "seconds": 38.0,
                "iterations": 1500,
                "stopped_by": "max_iterations",
                "gaussians": 40000,
                "gaussians_initial": 6500,
                "psnr_train": 22.5,
                "psnr_holdout": 17.94,
                "ssim_holdout": 0.455,
                "detail_holdout": 0.81,
                "psnr_holdout_initial": 12.0,
                "holdout": ["DJI_5.JPG"],
                "device": "cpu",
                "rasterizer": "numba",
                "preset": "preview",
                "peak_memory_bytes": 10**9,
            },
            "delivery": {
                "ply_bytes": 9_400_000,
                "sog_bytes": 480_000,
                "bytes_per_gaussian": 12.0,
                "decode_psnr_db": 45.2,
                "psnr_loss_db": 0.03,
                "gaussians": 40000,
            },
        }
    )
