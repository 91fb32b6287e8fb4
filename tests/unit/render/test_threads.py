import math
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from spaceport_render import threads
from spaceport_render.threads import available_cores, cpu_quota, run_over


@pytest.mark.parametrize("cores", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 4, 1000])
def test_every_item_is_done_once(monkeypatch, cores, count):
    monkeypatch.setattr(threads, "available_cores", lambda: cores)
    done = np.zeros(count, int)

    def kernel(first: int, end: int, step: int) -> None:
        done[first:end] += step

    run_over(count, kernel, 3, ranges_per_core=4)
    assert (done == 3).all()


def test_no_more_threads_run_than_there_are_cores(monkeypatch):
    monkeypatch.setattr(threads, "available_cores", lambda: 2)
    seen = set()
    run_over(100, lambda first, end: seen.add(threading.get_ident()), ranges_per_core=20)
    assert 1 <= len(seen) <= 2


def test_an_error_in_any_range_reaches_the_caller(monkeypatch):
    monkeypatch.setattr(threads, "available_cores", lambda: 3)

    def kernel(first: int, end: int) -> None:
        if end == 90:
            raise ArithmeticError("in the last range")

    with pytest.raises(ArithmeticError, match="in the last range"):
        run_over(90, kernel)


def test_several_threads_may_run_kernels_at_once(monkeypatch):
    monkeypatch.setattr(threads, "available_cores", lambda: 2)

    def total(count: int) -> int:
        done = np.zeros(count, int)

        def kernel(first: int, end: int) -> None:
            done[first:end] += 1

        run_over(count, kernel)
        return done.sum()

    with ThreadPoolExecutor(8) as callers:
        assert list(callers.map(total, range(50, 250))) == list(range(50, 250))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity")
def test_cores_are_those_that_the_process_may_use():
    program = (
        "import os; from spaceport_render.threads import available_cores as cores; "
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(cores())"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "1"
    assert available_cores() == len(os.sched_getaffinity(0))


def control_group(system: Path, membership: str, files: dict[str, str]) -> Path:
    """A root folder in which this process is a member of a group, and groups have these files."""
    for name, text in {"proc/self/cgroup": membership, **files}.items():
        (system / name).parent.mkdir(parents=True, exist_ok=True)
        (system / name).write_text(text)
    return system


@pytest.mark.parametrize(
    ("membership", "files", "cores"),
    [
        # Docker and SageMaker, control groups version 2: a container sees its own group as the root.
        ("0::/", {"sys/fs/cgroup/cpu.max": "150000 100000"}, 1.5),
        ("0::/", {"sys/fs/cgroup/cpu.max": "max 100000"}, math.inf),
        # The group itself has all that the group above it has.
        (
            "0::/jobs/one",
            {"sys/fs/cgroup/jobs/one/cpu.max": "max 100000", "sys/fs/cgroup/jobs/cpu.max": "400000 100000"},
            4,
        ),
        # Version 1; the path is the host's, which the container does not see.
        (
            "3:cpu,cpuacct:/docker/0123",
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"},
            2,
        ),
        (
            "3:cpu,cpuacct:/",
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"},
            math.inf,
        ),
        ("0::/", {}, math.inf),
    ],
)
def test_a_containers_quota_bounds_the_cores(tmp_path, membership, files, cores):
    assert cpu_quota(control_group(tmp_path, membership + "\n", files)) == cores


def test_cores_are_no_more_than_the_quota(monkeypatch):
    threads._cores_of_quota.cache_clear()
    monkeypatch.setattr(threads, "cpu_quota", lambda: 0.4)
    assert available_cores() == 1
    threads._cores_of_quota.cache_clear()


def test_work_does_not_wait_for_a_helper_that_has_not_begun(monkeypatch):
    # Given a machine so busy that the only helper is still at another caller's work
    monkeypatch.setattr(threads, "available_cores", lambda: 2)
    pool, finish = ThreadPoolExecutor(1), threading.Event()
    monkeypatch.setattr(threads, "_pool", lambda process: pool)
    other = pool.submit(finish.wait, 60)

    # When work is run, then it is all done by the caller, at once
    done = np.zeros(10, int)

    def kernel(first: int, end: int) -> None:
        done[first:end] += 1

    run_over(10, kernel)
    assert (done == 1).all()
    assert not other.done()
    finish.set()
    pool.shutdown()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_can_run_kernels():
    program = (
        "import os, sys; from spaceport_render import threads; threads.available_cores = lambda: 2\n"
        "threads.run_over(2, lambda first, end: None)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    threads.run_over(2, lambda first, end: None)\n"
        "    os._exit(0)\n"
        "sys.exit(os.waitpid(child, 0)[1])"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=60)
