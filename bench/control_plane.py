"""How quick is the control plane, and does it keep its word? The answers are in docs/control-plane.md.

    python bench/control_plane.py [--jobs 50] [--clients 4] [--lines 67] [--pause 1] [--drops 30] [--queued 8]

A fresh local cloud with stub programs (`tests/integration/stub_program.py`), which print progress lines as
real ones do:

1. drops: a zip is uploaded, and its first message waited for; one after the other.
2. updates: `--jobs` jobs at once, each followed by `--clients` WebSocket clients. Their programs print
   `--lines` lines a stage, `--pause` seconds apart. How long is it from a write of the row (its `updatedAt`)
   until each client has it? What a client saw is held against the promises of ARCHITECTURE.md.
3. The memory of the engine before and after.
4. fairness, on another cloud with the template's own limits: `--queued` jobs of each of three owners are
   uploaded at once, one owner's after another's. Who starts when?
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
from machine import machine
from PIL import Image
from websockets.asyncio.client import connect

from spaceport.job import job_id_for
from spaceport.stages import TERMINAL, Status
from spaceport_cli.api import ApiClient
from spaceport_local.cloud import LocalCloud

ROOT = Path(__file__).resolve().parents[1]
TOLD = ROOT / "docs" / "control-plane.md"
sys.path[:0] = [str(ROOT / "tests" / "made")]
from stub_reports import write_reports  # noqa: E402

NO_LIMITS = {"MaxRunningJobs": "500", "MaxRunningJobsPerOwner": "500"}  # as many as there may be
OWNERS = ("ann", "bob", "cy")
IMAGES = ("sfm", "gaussian", "compressor")
WITHIN_S = 600.0  # of all jobs
LAST_WITHIN_S = 1.0  # of the last version, as ARCHITECTURE.md promises
ANSWER_WITHIN_S = 60.0


# ---- what was seen ----------------------------------------


@dataclass
class Seen:
    """What one client got of one job: (version, status, stage, seconds since the row's write) a message."""

    job_id: str
    messages: list[tuple[int, str, str, float]] = field(default_factory=list)

    def take(self, message: dict[str, Any]) -> None:
        written = datetime.fromisoformat(message["updatedAt"]).timestamp()
        self.messages.append((message["version"], message["status"], message["stage"], time.time() - written))

    @property
    def has_ended(self) -> bool:
        return bool(self.messages) and Status(self.messages[-1][1]) in TERMINAL


@dataclass(frozen=True)
class Promises:
    """How often a promise was broken."""

    versions_fell: int  # a message whose version is not above the one before
    steps_lost: (
        int  # a client that did not see a change of stage or status that another one saw after its first
    )
    ends_late: int  # a client that got the last version after a second
    ends_lost: int  # a client that never got it

    @property
    def kept(self) -> bool:
        return not (self.versions_fell or self.steps_lost or self.ends_late or self.ends_lost)


def promises(clients: Sequence[Seen]) -> Promises:
    """What became of the promises; a client's first message is its snapshot, which may come twice."""
    steps_of: dict[str, dict[tuple[str, str], int]] = {}  # the version at which each step was first seen
    last: dict[str, int] = {}
    for client in clients:
        steps = steps_of.setdefault(client.job_id, {})
        for version, status, stage, _ in client.messages:
            steps[status, stage] = min(version, steps.get((status, stage), version))
            last[client.job_id] = max(version, last.get(client.job_id, 0))
    fell = lost = late = gone = 0
    for client in clients:
        versions = [version for version, *_ in client.messages]
        fell += sum(after <= before for before, after in pairwise(versions[1:]))
        steps = {step for step, at in steps_of[client.job_id].items() if versions and at >= versions[0]}
        lost += not steps <= {(status, stage) for _, status, stage, _ in client.messages}
        ends = [waited for version, _, _, waited in client.messages if version == last[client.job_id]]
        gone += not ends
        late += bool(ends) and ends[0] > LAST_WITHIN_S
    return Promises(fell, lost, late, gone)


def shares(seconds: Iterable[float]) -> str:
    """p50, p95 and p99 in milliseconds."""
    found = sorted(seconds)
    if len(found) < 2:
        return "none heard"
    cuts = statistics.quantiles(found, n=100, method="inclusive")
    return f"{cuts[49] * 1000:.0f} | {cuts[94] * 1000:.0f} | {cuts[98] * 1000:.0f}"


# ---- the cloud ----------------------------------------


@dataclass(frozen=True)
class Bench:
    """The cloud that is measured, and its job programs' folder."""

    cloud: Any
    programs: Path
    zip_bytes: bytes

    def pace(self, lines: int, pause_s: float) -> None:
        (self.programs / "pace").write_text(f"{lines} {pause_s}")

    def drop(self, name: str, owner: str = "bench") -> str:
        """The id of a dropped zip's job."""
        bucket, key = self.cloud.outputs["UploadsBucket"], f"uploads/{owner}/{name}.zip"
        put = self.cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=self.zip_bytes)
        return job_id_for(bucket, key, put["VersionId"])

    def memory_mb(self) -> tuple[float, float]:
        """The engine's own resident memory, and that of the functions' workers, 10⁶ bytes."""
        pid = json.loads((self.programs.parent / "data" / "engine.json").read_text())["pid"]
        engine = psutil.Process(pid)
        workers = [
            child for child in engine.children(recursive=True) if "_worker" in " ".join(child.cmdline())
        ]
        own = sum(child.memory_info().rss for child in workers)
        return engine.memory_info().rss / 1e6, own / 1e6


def photos() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for sigma in (40, 50, 60):
            body = io.BytesIO()
            Image.effect_noise((300, 300), sigma).convert("RGB").save(body, "JPEG")
            archive.writestr(f"photo_{sigma}.jpg", body.getvalue())
    return out.getvalue()


def prepare(folder: Path, limits: Mapping[str, str]) -> Bench:
    programs = folder / "programs"
    (programs / "held").mkdir(parents=True)
    write_reports(programs / "reports")
    script = programs / "program.py"
    script.write_text((ROOT / "tests" / "integration" / "stub_program.py").read_text())
    options = [word for image in IMAGES for word in ("--program", f"{image}={script}")]
    cloud = LocalCloud(data_dir=folder / "data", project=ROOT, options=options, parameters=limits)
    cloud.up(lambda line: print(line, file=sys.stderr))
    return Bench(cloud, programs, photos())


# ---- what is measured ----------------------------------------


async def first_messages(bench: Bench, drops: int) -> list[float]:
    """Seconds from each upload's answer to its job's first message, over a connection that is there."""
    api, waits = ApiClient(bench.cloud), []
    async with connect(api.socket_address()) as socket:
        for number in range(-2, drops):  # the first two are to warm the functions up
            began = time.perf_counter()
            job_id = await asyncio.to_thread(bench.drop, f"drop-{number}")
            await socket.send(json.dumps({"action": "subscribe", "jobId": job_id}))
            async with asyncio.timeout(ANSWER_WITHIN_S):
                while (message := json.loads(await socket.recv())).get("jobId") != job_id or (
                    message["type"] != "status"
                ):
                    pass
            if number >= 0:
                waits.append(time.perf_counter() - began)
            async with asyncio.timeout(ANSWER_WITHIN_S):
                while not (
                    message["type"] == "status"
                    and message["jobId"] == job_id
                    and Status(message["status"]) in TERMINAL
                ):
                    message = json.loads(await socket.recv())
    return waits


async def follow(address: str, seen: Seen) -> None:
    async with connect(address, max_queue=None, open_timeout=ANSWER_WITHIN_S) as socket:
        await socket.send(json.dumps({"action": "subscribe", "jobId": seen.job_id}))
        while not seen.has_ended:
            message = json.loads(await socket.recv())
            if message["type"] == "status":
                seen.take(message)


async def updates(bench: Bench, jobs: int, clients: int) -> list[Seen]:
    """Run `jobs` jobs with `clients` followers each, all to their ends."""
    api = ApiClient(bench.cloud)
    followed, following = [], []
    for number in range(jobs):
        job_id = await asyncio.to_thread(bench.drop, f"job-{number}")
        for _ in range(clients):
            followed.append(Seen(job_id))
            address = await asyncio.to_thread(api.socket_address)
            following.append(asyncio.create_task(follow(address, followed[-1])))
    done, late = await asyncio.wait(following, timeout=WITHIN_S)
    for task in late:
        task.cancel()
    failed = [task.exception() for task in done if task.exception()]
    if failed or late:
        print(f"{len(failed)} clients failed ({failed[:1]}), {len(late)} never saw an end", file=sys.stderr)
    return followed


@dataclass(frozen=True)
class Start:
    """When a queued job of an owner was made, and when it started: seconds since 1970."""

    owner: str
    made: float
    started: float


def queued_jobs(bench: Bench, each: int) -> list[Start]:
    """Let `each` jobs of each owner wait for the same slots, to their ends; as they started."""
    api, begun = ApiClient(bench.cloud), time.monotonic()
    owner_of = {bench.drop(f"queued-{i}", owner): owner for owner in OWNERS for i in range(each)}
    ended: dict[str, dict[str, Any]] = {}
    while len(ended) < len(owner_of) and time.monotonic() < begun + WITHIN_S:
        time.sleep(1)
        told = api.get("/jobs?limit=100")["jobs"]
        ended = {job["jobId"]: job for job in told if Status(job["status"]) in TERMINAL}
    starts = [
        Start(
            owner, *(datetime.fromisoformat(ended[job][at]).timestamp() for at in ("createdAt", "startedAt"))
        )
        for job, owner in owner_of.items()
    ]
    return sorted(starts, key=lambda start: start.started)


def jain(shares: Sequence[float]) -> float:
    """Jain's index (1984) of what each has got: 1 where all have the same, 1/n where one has all."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


def fairness(starts: Sequence[Start]) -> str:
    """What the page says of the queue."""
    each = len(starts) // len(OWNERS)
    served = dict.fromkeys(OWNERS, 0)
    for start in starts:  # until the first has none left that wait
        served[start.owner] += 1
        if served[start.owner] == each:
            break
    longest = {o: max(s.started - s.made for s in starts if s.owner == o) for o in OWNERS}
    first = {o: min(s.started - s.made for s in starts if s.owner == o) for o in OWNERS}
    rows = "".join(
        f"| {owner} | {served[owner]} | {first[owner]:.1f} | {longest[owner]:.1f} |\n" for owner in OWNERS
    )
    return f"""\
## The queue

Three owners, {each} jobs each, uploaded one owner's after another's; the template's own limits. Jain's index
of the jobs started while all three had some waiting: {jain(list(served.values())):.3f} (1 is fair). The
longest wait of an owner is {max(longest.values()) / min(longest.values()):.2f} times that of another.

| owner | started in that time | first wait, s | longest wait, s |
| --- | --- | --- | --- |
{rows}"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--clients", type=int, default=4, help="for each job")
    parser.add_argument("--lines", type=int, default=67, help="progress lines a stage")
    parser.add_argument("--pause", type=float, default=1, help="seconds between two lines of a job")
    parser.add_argument("--drops", type=int, default=30)
    parser.add_argument("--queued", type=int, default=8, help="jobs of each of three owners")
    parser.add_argument("--out", type=Path, default=TOLD)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(Path(folder), asked)
    with tempfile.TemporaryDirectory() as folder:
        bench = prepare(Path(folder), {})
        try:
            bench.pace(1, 0.5)
            starts = queued_jobs(bench, asked.queued)
        finally:
            bench.cloud.down()
    told = f"{report(asked, measured)}\n{fairness(starts)}"
    asked.out.write_text(told)
    print(told)
    return 0 if promises(measured.clients).kept else 1


@dataclass(frozen=True)
class Measured:
    """What all of it came to; times in seconds, memory in 10⁶ bytes (the engine, its functions' workers)."""

    firsts: Sequence[float]
    clients: Sequence[Seen]
    seconds: float
    before: tuple[float, float]
    after: tuple[float, float]


def measure(folder: Path, asked: argparse.Namespace) -> Measured:
    """All but the queue."""
    bench = prepare(folder, NO_LIMITS)
    try:
        bench.pace(1, 0)
        firsts = asyncio.run(first_messages(bench, asked.drops))
        print("first messages", shares(firsts), file=sys.stderr)
        before = bench.memory_mb()
        bench.pace(asked.lines, asked.pause)
        began = time.perf_counter()
        clients = asyncio.run(updates(bench, asked.jobs, asked.clients))
        return Measured(firsts, clients, time.perf_counter() - began, before, bench.memory_mb())
    finally:
        bench.cloud.down()


def report(asked: argparse.Namespace, measured: Measured) -> str:
    """The page."""
    firsts, clients, seconds = measured.firsts, measured.clients, measured.seconds
    before, after, kept = measured.before, measured.after, promises(clients)
    news = [waited for client in clients for _, _, _, waited in client.messages[1:]]  # less the snapshots
    versions = sum({c.job_id: max(m[0] for m in c.messages) for c in clients if c.messages}.values())
    changes = [
        now[3] for client in clients for last, now in pairwise(client.messages) if last[1:3] != now[1:3]
    ]
    return f"""\
# The control plane, measured

Written by `bench/control_plane.py` on one machine, with the local engine: {machine("ministack")}.
The engine, its functions, the jobs and the clients share those cores, and all that AWS does on many machines
is one process here.

| milliseconds | p50 | p95 | p99 |
| --- | --- | --- | --- |
| upload answered → first message ({len(firsts)} uploads) | {shares(firsts)} |
| row written → client has it ({len(news):,} messages) | {shares(news)} |
| the same, changes of stage and status only ({len(changes):,}) | {shares(changes)} |

{asked.jobs} jobs of a stub program at once, {asked.clients} clients each: {versions:,} versions of rows in
{seconds:.0f} s ({versions / seconds:.0f} a second), {len(news) / seconds:.0f} messages a second. Of each
batch of changes only a job's newest progress is sent, so a client need not see every version.

| promise | broken |
| --- | --- |
| versions that a client sees only rise | {kept.versions_fell} messages |
| a change of stage or status is always sent | {kept.steps_lost} clients |
| the last version arrives | {kept.ends_lost} clients |
| and within {LAST_WITHIN_S:g} s | {kept.ends_late} clients |

| resident memory, MB | before | after |
| --- | --- | --- |
| the engine | {before[0]:.0f} | {after[0]:.0f} |
| the functions' workers | {before[1]:.0f} | {after[1]:.0f} |
"""


if __name__ == "__main__":
    sys.exit(main())
