"""How quick is the control plane, and does it keep its word? The answers are in docs/control-plane.md.

    python bench/control_plane.py [--jobs 5 10 20 35 50] [--lines 67] [--pause 2] [--drops 30] [--queued 8]

Fresh local clouds with stub programs (`tests/integration/stub_program.py`), which print progress lines as
real ones do:

1. drops: a zip is uploaded, and its first message waited for; one after the other.
2. updates, once for each number of `--jobs`: so many jobs at once, each followed by `--clients` WebSocket
   clients, which are connected before any zip is uploaded. A program prints a line every `--pause` seconds,
   `--lines` of them a stage where there are most jobs, `--lines-below` with fewer. How long is it from a
   write of the row (its `updatedAt`) until each client has it? What a client saw is held against the promises
   of ARCHITECTURE.md. How much memory and how many seconds of CPU did whom it take?
3. fairness, with the template's own limits: `--queued` jobs of each of three owners are uploaded at once, one
   owner's after another's. Who starts when?

What is measured is kept in build/control-plane/, a file for each of these, and not measured again by the next
run of the same command: remove the folder to begin anew.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from followers import LAST_WITHIN_S, Promises, Seen, promises
from stub_cloud import NO_LIMITS, ROOT, Bench, Part, measured_once
from websockets.asyncio.client import connect

from spaceport.stages import TERMINAL, Status
from spaceport_cli.api import ApiClient

TOLD = ROOT / "docs" / "control-plane.md"
KEPT = ROOT / "build" / "control-plane"
OWNERS = ("ann", "bob", "cy")
WITHIN_S = 900.0  # of all jobs
ANSWER_WITHIN_S = 60.0


# ---- drops ----------------------------------------


def measure_drops(bench: Bench, asked: argparse.Namespace) -> list[float]:
    bench.pace(1, 0)
    return asyncio.run(first_messages(bench, asked.drops))


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


# ---- updates ----------------------------------------


@dataclass(frozen=True)
class Updates:
    """What so many jobs at once came to; times in seconds, memory in 10⁶ bytes (engine, workers)."""

    jobs: int
    clients: int
    lines: int
    pause: float
    seconds: float
    versions: int
    news: list[float]
    changes: list[float]
    broken: Promises
    before: tuple[float, float]
    after: tuple[float, float]
    cpu: dict[str, float]
    machine_busy: float  # cores of the machine that were busy, whoever kept them so

    @classmethod
    def read(cls, kept: dict[str, Any]) -> Updates:
        return cls(**{**kept, "broken": Promises(**kept["broken"])})


def measure_updates(bench: Bench, asked: argparse.Namespace, jobs: int) -> dict[str, Any]:
    lines = asked.lines if jobs == max(asked.jobs) else asked.lines_below
    bench.pace(1, 0)
    asyncio.run(first_messages(bench, 1))  # warms the functions up
    bench.pace(lines, asked.pause)
    before, cpu, busy, began = bench.memory_mb(), bench.cpu_s(), busy_s(), time.perf_counter()
    clients = asyncio.run(updates(bench, jobs, asked.clients, asked.every))
    seconds, after = time.perf_counter() - began, bench.cpu_s()
    return asdict(
        Updates(
            jobs=jobs,
            clients=asked.clients,
            lines=lines,
            pause=asked.pause,
            seconds=seconds,
            versions=sum({c.job_id: max(m[0] for m in c.messages) for c in clients if c.messages}.values()),
            news=[waited for client in clients for waited in client.news],
            changes=[waited for client in clients for waited in client.changes],
            broken=promises(clients),
            before=before,
            after=bench.memory_mb(),
            cpu={who: after[who] - cpu.get(who, 0.0) for who in after},
            machine_busy=(busy_s() - busy) / seconds,
        )
    )


async def updates(bench: Bench, jobs: int, clients: int, every_s: float) -> list[Seen]:
    """Run `jobs` jobs with `clients` followers each, all to their ends; one is uploaded every `every_s`."""
    api = ApiClient(bench.cloud)
    addresses = [await asyncio.to_thread(api.socket_address) for _ in range(jobs * clients)]
    sockets = [await connect(each, max_queue=None, open_timeout=ANSWER_WITHIN_S) for each in addresses]
    followed, following = [], []
    for number in range(jobs):
        job_id = await asyncio.to_thread(bench.drop, f"job-{number}")
        for socket in sockets[number * clients : (number + 1) * clients]:
            followed.append(Seen(job_id))
            following.append(asyncio.create_task(followed[-1].follow(socket)))
        await asyncio.sleep(every_s)
    done, late = await asyncio.wait(following, timeout=WITHIN_S)
    for task in late:
        task.cancel()
    await asyncio.gather(*(socket.close() for socket in sockets))
    failed = [task.exception() for task in done if task.exception()]
    if failed or late:
        print(f"{len(failed)} clients failed ({failed[:1]}), {len(late)} never saw an end", file=sys.stderr)
    return followed


def busy_s() -> float:
    times = psutil.cpu_times()
    return times.user + times.system


# ---- the queue ----------------------------------------


@dataclass(frozen=True)
class Start:
    """When a queued job of an owner was made, and when it started: seconds since 1970."""

    owner: str
    made: float
    started: float


def measure_queue(bench: Bench, asked: argparse.Namespace) -> list[dict[str, Any]]:
    bench.pace(1, 0.5)
    return [asdict(start) for start in queued_jobs(bench, asked.queued)]


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


# ---- all of it ----------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, nargs="+", default=[5, 10, 20, 35, 50], help="at once")
    parser.add_argument("--clients", type=int, default=4, help="for each job")
    parser.add_argument("--lines", type=int, default=67, help="progress lines a stage, where most jobs run")
    parser.add_argument("--lines-below", type=int, default=12, help="progress lines a stage with fewer jobs")
    parser.add_argument("--pause", type=float, default=2, help="seconds between two lines of a job")
    parser.add_argument("--every", type=float, default=0.8, help="seconds between two uploads")
    parser.add_argument("--drops", type=int, default=30)
    parser.add_argument("--queued", type=int, default=8, help="jobs of each of three owners")
    parser.add_argument("--out", type=Path, default=TOLD)
    asked = parser.parse_args()
    drops = measured_once(
        KEPT / f"drops-{asked.drops}.json", NO_LIMITS, lambda bench: measure_drops(bench, asked)
    )
    loads = []
    for jobs in sorted(asked.jobs):
        lines = asked.lines if jobs == max(asked.jobs) else asked.lines_below
        file = KEPT / f"jobs-{jobs}-lines-{lines}-pause-{asked.pause:g}.json"
        loads.append(
            measured_once(file, NO_LIMITS, lambda bench, jobs=jobs: measure_updates(bench, asked, jobs))
        )
    queue = measured_once(KEPT / f"queued-{asked.queued}.json", {}, lambda bench: measure_queue(bench, asked))
    told = report(drops, loads) + fairness([Start(**start) for start in queue.measured])
    asked.out.write_text(told)
    print(told)
    return 0 if all(Updates.read(load.measured).broken.kept for load in loads) else 1


def shares(seconds: Iterable[float]) -> str:
    """p50, p95 and p99 in milliseconds."""
    found = sorted(seconds)
    if len(found) < 2:
        return "none heard"
    cuts = statistics.quantiles(found, n=100, method="inclusive")
    return f"{cuts[49] * 1000:.0f} | {cuts[94] * 1000:.0f} | {cuts[98] * 1000:.0f}"


def report(drops: Part, loads: Sequence[Part]) -> str:
    """The page, but for the queue."""
    runs = [Updates.read(load.measured) for load in loads]
    most = runs[-1]
    loaded = "".join(
        f"| {run.jobs} | {run.jobs * run.clients} | {run.versions / run.seconds:.1f} "
        f"| {len(run.news) / run.seconds:.0f} | {shares(run.news)} "
        f"| {sum(run.cpu.values()) / run.seconds:.2f} | {run.machine_busy:.2f} |\n"
        for run in runs
    )
    sides = sorted(most.cpu.items(), key=lambda side: -side[1])
    each = 1000 / max(1, len(most.news))
    cpu = "".join(f"| {who} | {s:.1f} | {s * each:.2f} |\n" for who, s in sides if s >= 0.05)
    return f"""\
# The control plane, measured

Written by `bench/control_plane.py` on one machine, with the local engine: {loads[-1].machine}.
The engine, its functions, the jobs and the clients share those cores, and all that AWS does on many machines
is one process here.

| milliseconds | p50 | p95 | p99 |
| --- | --- | --- | --- |
| upload answered → first message ({len(drops.measured)} uploads) | {shares(drops.measured)} |
| row written → client has it ({most.jobs} jobs, {len(most.news):,} messages) | {shares(most.news)} |
| the same, changes of stage and status only ({len(most.changes):,}) | {shares(most.changes)} |

{most.jobs} jobs of a stub program at once, {most.clients} clients each. A program prints a line every
{most.pause:g} s, {most.lines} a stage. That came to {most.versions:,} versions of rows in
{most.seconds:.0f} s. Of each batch of changes only a job's newest progress is sent, so a client need not see
every version.

## How many jobs

| jobs | clients | versions/s | messages/s | p50, ms | p95, ms | p99, ms | cores we took | cores busy |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
{loaded}
"Cores busy" is the whole machine, with what else ran on it.

## What was promised

{most.jobs} jobs, {most.jobs * most.clients} clients:

| promise | broken |
| --- | --- |
| versions that a client gets only rise | {most.broken.versions_fell} messages |
| a change of stage or status is always sent | {most.broken.steps_lost} clients |
| the last version arrives | {most.broken.ends_lost} clients |
| and within {LAST_WITHIN_S:g} s | {most.broken.ends_late} clients |

## What it took

{most.jobs} jobs:

| who | CPU, s | ms a message |
| --- | --- | --- |
{cpu}
| resident memory, MB | before | after |
| --- | --- | --- |
| the engine | {most.before[0]:.0f} | {most.after[0]:.0f} |
| the functions' workers | {most.before[1]:.0f} | {most.after[1]:.0f} |

"""


if __name__ == "__main__":
    sys.exit(main())
