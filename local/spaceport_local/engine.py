"""The engine process: MiniStack with our plug-in and patches, on the loopback, state kept on disk."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import gc
import json
import logging
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from spaceport.errors import UserError
from spaceport_local.children import Warden, passed_on
from spaceport_local.deploy import Deployment
from spaceport_local.endpoint import HOST, REGION, Endpoint
from spaceport_local.folders import TEMPLATE, DataFolder
from spaceport_local.journal import Journal
from spaceport_local.site import Site

MINISTACK = "1.5.33"  # our patches replace private functions of exactly this version
FIRST_PORT = 4566  # where AWS emulators usually listen
PORTS_TRIED = 50
LOCK_WAIT_S = 0.5  # a launcher that only looks whether an engine runs holds the lock for an instant
STOP_WAIT_S = 1.0  # for open connections when the engine stops: a WebSocket client never closes first
STOP_LIMIT_S = 3.0  # for the rest of a stop in good order; the launcher kills after 20
# How long a thread that computes may keep the loop waiting, from which all answers come: each time that it
# has sent something it stands in line again. Python's own is 5 ms.
SWITCH_S = 0.001
# Python looks at all that lives whenever that has grown by a quarter: where fifty jobs run, 0.3 s every ten
# seconds, in which nobody is answered. What the engine keeps lives on, and what dies in a circle dies young.
# So 5,000 new objects lie between two looks at the youngest, and 50 million between two at all.
COLLECTED_AFTER = (5_000, 10, 1_000)
LAMBDA_SITE = Path(__file__).with_name("lambda_site")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EngineSettings:
    """What one engine runs with.

    Attributes:
        folder: its data.
        project: the checkout: `node_modules` is looked for there.
        port: where it listens; None: where it did the last time, else 4566, else the next free one.
        checkpoint_s: seconds between two saves of its state.
        stop_grace_s: seconds that a job gets between SIGTERM and SIGKILL.
        programs: scripts that stand in for a job program, by the image's short name (`sfm`).
        enforce_iam: whether roles may do only what their policies allow.
    """

    folder: DataFolder
    project: Path
    port: int | None = None
    checkpoint_s: float = 3.0
    stop_grace_s: float = 8.0
    programs: Mapping[str, Path] = field(default_factory=dict)
    enforce_iam: bool = False


def run(settings: EngineSettings) -> None:
    """Serve until SIGTERM or SIGINT, then save the state and end every child.

    Raises:
        UserError: `wrong_engine_version`, `already_running`, `port_in_use`.
    """
    require_ministack()
    settings.folder.root.mkdir(parents=True, exist_ok=True)
    with _lock(settings.folder), _listener(_candidates(settings)) as listener:
        settings.folder.address.unlink(missing_ok=True)  # a killed engine's: its process id may be reused
        endpoint = Endpoint(listener.getsockname()[1])
        _prepare_environment(settings, endpoint)
        warden = Warden()
        app = _load_app(settings, endpoint, warden)
        write_address(settings, os.getpid(), endpoint.port)
        settings.folder.last_port.write_text(str(endpoint.port))
        try:
            _let_the_loop_breathe()
            # Not asyncio.run: that would wait for calls that can't end any more.
            asyncio.new_event_loop().run_until_complete(_serve(app, listener, settings))
        finally:
            settings.folder.address.unlink(missing_ok=True)
            logging.shutdown()
            # Not sys.exit: that would wait for threads that wait for jobs. The warden, whose pipe
            # closes now, ends the jobs and the Lambda workers.
            os._exit(0)


def require_ministack() -> None:
    """Refuse any MiniStack but ours. Raises UserError `wrong_engine_version`."""
    try:
        found = version("ministack")
    except PackageNotFoundError:
        found = "none"
    if found != MINISTACK:
        raise UserError(
            "wrong_engine_version",
            f"The local cloud needs MiniStack {MINISTACK}; {found} is installed.",
            f"Run `make setup`, or: pip install ministack=={MINISTACK}",
        )


def write_address(settings: EngineSettings, pid: int, port: int) -> None:
    address = settings.folder.address
    draft = address.with_suffix(".draft")
    draft.write_text(json.dumps({"pid": pid, "port": port, "enforceIam": settings.enforce_iam}))
    draft.replace(address)


@contextmanager
def _lock(folder: DataFolder) -> Iterator[None]:
    with folder.lock.open("w") as lock:
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise UserError(
                        "already_running",
                        f"An engine already runs with the data in {folder.root}.",
                        "Stop it with `spaceport down`, or use another folder: SPACEPORT_HOME.",
                    ) from None
                time.sleep(0.05)
        yield


def _candidates(settings: EngineSettings) -> list[int]:
    """The ports to try, best first."""
    if settings.port is not None:
        return [settings.port]
    ports = list(range(FIRST_PORT, FIRST_PORT + PORTS_TRIED))
    last = settings.folder.read_last_port()
    return ports if last is None else [last, *ports]


@contextmanager
def _listener(ports: Sequence[int]) -> Iterator[socket.socket]:
    """A bound socket, so that nobody takes the port between our choosing it and our listening."""
    for candidate in ports:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            listener.bind((HOST, candidate))
            listener.listen()
        except OSError as error:
            listener.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            continue
        with listener:
            yield listener
        return
    where = f"Port {ports[0]} is" if len(ports) == 1 else f"Ports {FIRST_PORT} to {ports[-1]} are all"
    raise UserError(
        "port_in_use",
        f"{where} in use on {HOST}.",
        "Stop what listens there, or choose another port with SPACEPORT_PORT.",
    )


def _prepare_environment(settings: EngineSettings, endpoint: Endpoint) -> None:
    """Replace the process's environment: the user's AWS settings must reach neither engine nor functions."""
    folder = settings.folder
    shutil.rmtree(folder.temporary, ignore_errors=True)
    folder.temporary.mkdir(parents=True)
    kept = passed_on()
    os.environ.clear()
    os.environ.update(
        kept,
        TMPDIR=str(folder.temporary),
        BIND_HOST=HOST,
        GATEWAY_PORT=str(endpoint.port),
        AWS_DEFAULT_REGION=REGION,
        AUTH="true" if settings.enforce_iam else "false",
        PERSIST_STATE="1",
        STATE_DIR=str(folder.state),
        S3_PERSIST="1",
        S3_DATA_DIR=str(folder.objects),
        SFTP_ENABLED="0",
        IOT_MTLS_ENABLED="0",
        # MiniStack removes containers of "its" name when it starts: keep it from the user's Docker.
        DOCKER_HOST=f"unix://{folder.root}/no-docker",
        # For the functions' workers, which inherit all this:
        PYTHONPATH=str(LAMBDA_SITE),
        PYTHONUNBUFFERED="1",
        SPACEPORT_ENGINE_URL=endpoint.url,
    )


def _let_the_loop_breathe() -> None:
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()  # MiniStack itself: it stays to the end
    gc.set_threshold(*COLLECTED_AFTER)


def _load_app(settings: EngineSettings, endpoint: Endpoint, warden: Warden) -> Any:
    """MiniStack's ASGI application with everything of ours in it. Imports MiniStack, so only once here.

    Raises UserError `engine_changed` when ours was written for another MiniStack.
    """
    from ministack import app as ministack_app

    from spaceport_local import patches
    from spaceport_local.patches import seams
    from spaceport_local.sagemaker import agent, plugin
    from spaceport_local.sagemaker.jobs import JobRunner
    from spaceport_local.sagemaker.programs import Programs

    journal = Journal(settings.folder.journal)
    seams.check((*patches.SEAMS, *plugin.SEAMS))
    patches.install(journal)
    runner = JobRunner(
        folder=settings.folder.jobs,
        programs=Programs(settings.project, settings.programs),
        endpoint=endpoint,
        warden=warden,
        stop_grace_s=settings.stop_grace_s,
        credentials=agent.credentials_of,
    )
    runner.tidy()
    plugin.install(runner, journal)
    stack = Deployment(endpoint, settings.project / TEMPLATE)
    return Site(ministack_app.app, settings.project, endpoint, stack.outputs)


async def _serve(app: Any, listener: socket.socket, settings: EngineSettings) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    from spaceport_local.patches import checkpoint

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    config = Config()
    config.bind = [f"fd://{os.dup(listener.fileno())}"]
    config.keep_alive_timeout = 75  # longer than boto3 keeps an idle connection
    config.graceful_timeout = STOP_WAIT_S
    port = listener.getsockname()[1]
    company = asyncio.create_task(_keep_company(port, settings.checkpoint_s, stop, settings.folder.lock))

    async def stopped() -> None:
        await stop.wait()
        await asyncio.wait({company})  # its save ends first: two at once would write the same files

    serving = asyncio.create_task(serve(app, config, shutdown_trigger=stopped))
    stopping = asyncio.create_task(stopped())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait({serving}, timeout=STOP_LIMIT_S)
    if serving.done():
        await serving  # it has saved the state
    else:
        # A function that was called last, often for $disconnect, asks an engine that answers no more.
        await asyncio.to_thread(checkpoint.save)


async def _keep_company(port: int, checkpoint_s: float, stop: asyncio.Event, lock: Path) -> None:
    """Beside serving: first what the last stop interrupted, then a save of the state every few seconds.

    Ends the process where the engine's `lock` file is gone: its data folder was removed.
    """
    from spaceport_local.patches import checkpoint, durability, executions

    await _until_served(port)
    await asyncio.to_thread(executions.announce_interrupted)
    await asyncio.to_thread(durability.resume)
    pause = checkpoint_s
    while not await _wait(stop, pause):
        if not lock.exists():
            # Nobody can find this engine any more, and a save would make the folder anew. The warden ends
            # the rest.
            os._exit(0)
        began = time.monotonic()
        await asyncio.to_thread(checkpoint.save)
        # A large state takes a while to write: keep that below a twentieth of the time.
        pause = max(checkpoint_s, 20 * (time.monotonic() - began))


async def _until_served(port: int) -> None:
    # The socket listens before the application does: the first answer comes when it has started.
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(b"GET /_ministack/health HTTP/1.0\r\n\r\n")
    await reader.read()
    writer.close()


async def _wait(stop: asyncio.Event, seconds: float) -> bool:
    """Whether `stop` came within the time."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True


def configure_logging() -> None:
    """Plain lines on standard error, which the launcher sends to the engine's log file."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("persistence").setLevel(logging.WARNING)  # else 40 lines at each save
