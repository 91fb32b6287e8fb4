import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from spaceport_render import threads
from spaceport_render.threads import available_cores, run_over


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
