"""A fresh local cloud with stub programs, for benchmarks of what is around jobs, and what it takes.

`measured_once` keeps what a part of a benchmark came to, so that a run which broke off goes on.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from machine import machine
from PIL import Image

from spaceport.job import job_id_for
from spaceport_local.cloud import LocalCloud

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "made")]
from stub_programs import Stubs  # noqa: E402

NO_LIMITS = {"MaxRunningJobs": "500", "MaxRunningJobsPerOwner": "500"}  # as many as there may be


@dataclass(frozen=True)
class Bench:
    """The cloud that is measured, and its job programs."""

    cloud: Any
    stubs: Stubs
    zip_bytes: bytes

    def pace(self, lines: int, pause_s: float) -> None:
        (self.stubs.folder / "pace").write_text(f"{lines} {pause_s}")

    def drop(self, name: str, owner: str = "bench") -> str:
        """The id of a dropped zip's job."""
        bucket, key = self.cloud.outputs["UploadsBucket"], f"uploads/{owner}/{name}.zip"
        put = self.cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=self.zip_bytes)
        return job_id_for(bucket, key, put["VersionId"])

    @property
    def engine(self) -> psutil.Process:
        return psutil.Process(
            json.loads((self.stubs.folder.parent / "data" / "engine.json").read_text())["pid"]
        )

    def workers(self) -> list[psutil.Process]:
        """The functions' processes."""
        found = []
        for child in self.engine.children():
            with suppress(psutil.Error):  # one that has just ended
                if "_worker" in " ".join(child.cmdline()):
                    found.append(child)
        return found

    def memory_mb(self) -> tuple[float, float]:
        """The engine's own resident memory, and that of the functions' workers, 10⁶ bytes."""
        own = sum(child.memory_info().rss for child in self.workers())
        return self.engine.memory_info().rss / 1e6, own / 1e6

    def cpu_s(self) -> dict[str, float]:
        """Seconds of CPU that each has taken so far; of the programs those that have ended."""
        engine = self.engine.cpu_times()
        taken = {
            "the engine": engine.user + engine.system,
            "the jobs' programs": engine.children_user + engine.children_system,
            "the clients": sum(psutil.Process().cpu_times()[:2]),
        }
        for worker in self.workers():
            with suppress(psutil.Error):
                stack_and_name = worker.environ()["AWS_LAMBDA_FUNCTION_NAME"].split("-")
                name, times = stack_and_name[1], worker.cpu_times()
                taken[name] = taken.get(name, 0.0) + times.user + times.system
        return taken


def photos() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for sigma in (40, 50, 60):
            body = io.BytesIO()
            Image.effect_noise((300, 300), sigma).convert("RGB").save(body, "JPEG")
            archive.writestr(f"photo_{sigma}.jpg", body.getvalue())
    return out.getvalue()


def prepare(folder: Path, limits: Mapping[str, str]) -> Bench:
    """A cloud with its data and programs in `folder`, deployed with these parameters of the template."""
    stubs = Stubs(folder / "programs")
    cloud = LocalCloud(data_dir=folder / "data", project=ROOT, options=stubs.options, parameters=limits)
    cloud.up(lambda line: print(line, file=sys.stderr))
    return Bench(cloud, stubs, photos())


@dataclass(frozen=True)
class Part:
    """What one part came to, and on which machine."""

    machine: str
    measured: Any


def measured_once(file: Path, limits: Mapping[str, str], measure: Callable[[Bench], Any]) -> Part:
    """What an earlier run left in `file`, else what `measure` comes to on a cloud of its own."""
    if not file.exists():
        print(f"measuring {file.stem}", file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            bench = prepare(Path(folder), limits)
            try:
                measured = measure(bench)
            finally:
                bench.cloud.down()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"machine": machine("ministack"), "measured": measured}))
    return Part(**json.loads(file.read_text()))
