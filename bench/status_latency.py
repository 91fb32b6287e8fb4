"""How long is it from a write of a job's row to its clients?

    python bench/status_latency.py [--jobs 50] [--clients 4] [--rate 20] [--seconds 20]

A fresh local cloud, `--clients` WebSocket clients a job; each write is one update of a row, as progress is.
Prints milliseconds until a client has the version, with the machine and the date.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from boto3.dynamodb.types import TypeSerializer
from machine import machine
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from spaceport.job import JobRecord, empty_stages, now_iso
from spaceport.jobs import item_of
from spaceport.stages import TRAINING, Status
from spaceport_cli.api import ApiClient
from spaceport_local.cloud import LocalCloud

WARM_UP = 20  # writes before it counts: the functions' first calls start their workers


class Clock:
    """When each (job, version) was begun to be written, and how long each client waited for it."""

    def __init__(self) -> None:
        self.begun: dict[tuple[str, int], float] = {}
        self.waits_ms: list[float] = []

    def heard(self, job_id: str, version: int) -> None:
        if (began := self.begun.get((job_id, version))) is not None:
            self.waits_ms.append((time.perf_counter() - began) * 1000)


def running_job(number: int) -> JobRecord:
    now = now_iso()
    return JobRecord(
        job_id=f"job-{number:04d}",
        job_name=f"flight {number}",
        source=f"s3://uploads/flight-{number}.zip",
        status=Status.RUNNING,
        stage=TRAINING.name,
        stage_index=TRAINING.index,
        message=TRAINING.message,
        created_at=now,
        updated_at=now,
        stages=empty_stages(),
    )


def listen(socket: ClientConnection, clock: Clock) -> None:
    try:
        for text in socket:
            message = json.loads(text)
            if message["type"] == "status":
                clock.heard(message["jobId"], message["version"])
    except WebSocketException:
        return  # the cloud is stopped


def measure(cloud: Any, company: ExitStack, *, jobs: int, clients: int, rate: float, seconds: float) -> Clock:
    """Write and listen for `seconds`. The clients' connections last as long as `company`."""
    dynamodb, table, clock = cloud.client("dynamodb"), cloud.outputs["JobsTable"], Clock()
    serialize = TypeSerializer().serialize
    api = ApiClient(cloud)
    records = [running_job(number) for number in range(jobs)]
    for record in records:
        item = {name: serialize(value) for name, value in item_of(record).items()}
        dynamodb.put_item(TableName=table, Item=item)
        for _ in range(clients):
            socket = company.enter_context(connect(api.socket_address()))
            socket.send(json.dumps({"action": "subscribe", "jobId": record.job_id}))
            threading.Thread(target=listen, args=(socket, clock), daemon=True).start()

    def write(number: int) -> None:
        job_id, version = records[number % jobs].job_id, records[0].version + 1 + number // jobs
        if number >= WARM_UP:
            clock.begun[job_id, version] = time.perf_counter()
        dynamodb.update_item(
            TableName=table,
            Key={"jobId": {"S": job_id}},
            UpdateExpression="SET detail = :text, updatedAt = :now ADD #version :one",
            ExpressionAttributeNames={"#version": "version"},
            ExpressionAttributeValues={
                ":text": {"S": f"iteration {number}"},
                ":now": {"S": now_iso()},
                ":one": {"N": "1"},
            },
        )

    began = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        for number in range(WARM_UP + int(rate * seconds)):
            time.sleep(max(0.0, began + number / rate - time.perf_counter()))
            pool.submit(write, number)
    time.sleep(2)
    return clock


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--clients", type=int, default=4, help="for each job")
    parser.add_argument("--rate", type=float, default=20, help="writes a second, over all jobs")
    parser.add_argument("--seconds", type=float, default=20)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cloud = LocalCloud(data_dir=Path(folder))
        try:
            cloud.up(lambda line: print(line, file=sys.stderr))
            with ExitStack() as company:
                clock = measure(
                    cloud,
                    company,
                    jobs=asked.jobs,
                    clients=asked.clients,
                    rate=asked.rate,
                    seconds=asked.seconds,
                )
        finally:
            cloud.down()
    waits = sorted(clock.waits_ms)
    print(machine("ministack"))
    told = f"{len(clock.begun)} writes at {asked.rate:g}/s, {asked.jobs} jobs, {asked.clients} clients each"
    if not waits:
        print(f"{told}: no client heard of any")
        return 1
    shares = {
        name: waits[int(len(waits) * share)] for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    }
    print(f"{told}: {len(waits)} heard, " + ", ".join(f"{name} {ms:.0f} ms" for name, ms in shares.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
