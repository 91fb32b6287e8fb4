"""Faults for an engine that takes them from a folder (`faulty_engine.py`), and what has struck."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spaceport.job import JobRecord
from spaceport.jobs import record_from_image
from spaceport_local.cloud import LocalCloud

ENGINE = Path(__file__).with_name("faulty_engine.py")
ROOT = Path(__file__).parents[3]
START_WITHIN_S = 60.0
PARTS = ("armed", "fired", "tasks", "drops", "doubled")


@dataclass(frozen=True)
class Strike:
    """A fault in a function: at its `call` (an API's name of it, or `any`).

    Attributes:
        how: `crash before`, `crash after`, `refuse` (throttled even after botocore's own tries), `throttle`
            (as the service answers), `no answer`.
        times: how many calls it strikes.
        answers: of `throttle`: how many of botocore's tries of one call.
        marker: what occurs in the call's parameters, where that is not the job's id.
        also: what occurs in them besides, to tell the function's calls of one name from each other.
    """

    function: str
    call: str
    how: str
    times: int = 1
    answers: int = 1
    marker: str | None = None
    also: str = ""


@dataclass(frozen=True)
class Faults:
    """The folder."""

    folder: Path

    def make(self) -> None:
        for part in PARTS:
            (self.folder / part).mkdir(parents=True, exist_ok=True)

    def arm(self, name: str, strike: Strike, marker: str) -> None:
        told = {
            "function": strike.function,
            "call": strike.call,
            "how": strike.how,
            "answers": strike.answers,
            "marker": marker,
            "also": strike.also,
        }
        for number in range(strike.times):
            draft = self.folder / f"{name}.{number}.draft"
            draft.write_text(json.dumps(told))
            draft.rename(self.folder / "armed" / f"{name}.{number}")

    def fail_tasks(self, execution: str, faults: Mapping[str, Sequence[object]]) -> None:
        """{state: (error, how many attempts fail, cause?)}"""
        (self.folder / "tasks" / f"{execution}.json").write_text(json.dumps(faults))

    def release(self, key: str, events: Mapping[str, Sequence[float]]) -> None:
        """Let the events of the object at `key` come: {version: [after so many seconds, …]}."""
        plan = self.folder / "drops" / f"{key.rsplit('/', 1)[-1]}.json"
        draft = plan.with_suffix(".draft")
        draft.write_text(json.dumps(events))
        draft.rename(plan)

    def double(self, job_id: str) -> None:
        """Let each record of the job's row come twice."""
        (self.folder / "doubled" / job_id).touch()

    def still_armed(self, name: str) -> list[str]:
        return sorted(file.name for file in (self.folder / "armed").glob(f"{name}.*"))

    def fired(self, name: str) -> list[str]:
        """What has struck, of those whose names begin with `name`."""
        return sorted(file.name for file in (self.folder / "fired").glob(f"{name}.*"))

    def changes(self, job_id: str) -> list[tuple[JobRecord | None, JobRecord | None]]:
        """Each change of the job's row, by version: before and after. None: there was none, or is none."""
        lines = (json.loads(line) for line in (self.folder / "changes.jsonl").read_text().splitlines())
        pairs = [
            (_row(line["old"]), _row(line["new"]))
            for line in lines
            if (line["new"] or line["old"])["jobId"]["S"] == job_id
        ]
        return sorted(pairs, key=lambda pair: pair[1].version if pair[1] else 10**9)


def _row(image: Mapping[str, object] | None) -> JobRecord | None:
    """The row; an erased job's tombstone is none."""
    return record_from_image(image) if image and "status" in image else None


def start_faulty_cloud(
    data: Path, faults: Faults, options: Sequence[str], parameters: Mapping[str, str] | None = None
) -> LocalCloud:
    """A cloud whose engine takes its faults from there, deployed. After a kill: the same again."""
    faults.make()
    data.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, ENGINE, faults.folder, "--data-dir", data, "--project", ROOT, *options]
    with (data / "output.log").open("a") as log:
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    cloud = LocalCloud(data_dir=data, project=ROOT, parameters=parameters)
    deadline = time.monotonic() + START_WITHIN_S
    while not cloud.is_running():
        assert time.monotonic() < deadline, (data / "output.log").read_text()[-2000:]
        time.sleep(0.05)
    cloud.up()
    return cloud
