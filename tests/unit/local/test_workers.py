"""Functions' worker processes, real ones: what a call's log is, and how many there are."""

from __future__ import annotations

import io
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from spaceport_local.patches import workers

CODE = """
import os, time
def handler(event, context):
    print(event["say"], end="")
    time.sleep(event["seconds"])
    if event.get("fail"):
        raise ValueError("failed")
    if event.get("die"):
        os._exit(1)
    return os.getpid()
"""
CONFIG = {
    "FunctionName": "talk",
    "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:talk",
    "Runtime": "python3.12",
    "Handler": "index.handler",
    "Timeout": 20,
}
PATCHED = (
    (lambda_runtime, ("_PYTHON_WORKER_SCRIPT", "acquire_worker", "release_worker", "_workers")),
    (lambda_runtime.Worker, ("_read_stderr", "_drain_stderr", "_drain_stderr_bounded")),
    (lambda_svc, ("acquire_worker", "release_worker")),
)


@pytest.fixture
def code(monkeypatch: pytest.MonkeyPatch) -> Iterator[bytes]:
    """A function's zip, and the patched pool that runs it."""
    for owner, names in PATCHED:
        for name in names:
            monkeypatch.setattr(owner, name, getattr(owner, name))  # put back at the end
    monkeypatch.setattr(lambda_runtime, "_workers", {})
    workers.install()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("index.py", CODE)
    yield out.getvalue()
    lambda_runtime.reset()


def call(code: bytes, say: str = "", seconds: float = 0, **how: Any) -> dict[str, Any]:
    worker, _ = lambda_svc.acquire_worker("talk", CONFIG, code)
    try:
        return dict(worker.invoke({"say": say, "seconds": seconds, **how}, "request-1"))
    finally:
        lambda_svc.release_worker(worker)


@pytest.mark.parametrize("said", ["", "one\n", "one\ntwo\n", "no end of line"])
def test_a_calls_log_is_all_that_it_said_and_nothing_of_another(code: bytes, said: str) -> None:
    call(code, "of an earlier call\n")
    assert call(code, said)["log"] == said.removesuffix("\n")


@pytest.mark.parametrize("how", ["fail", "die"])
def test_a_call_that_fails_has_its_log_too_and_the_next_one_its_own(code: bytes, how: str) -> None:
    failed = call(code, "last words\n", **{how: True})
    assert (failed["status"], failed["log"]) == ("error", "last words")
    assert call(code, "again\n")["log"] == "again"


def test_a_log_that_comes_late_holds_no_later_one_back(code: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a call whose log the engine had no time to read
    has_time = threading.Event()
    read = lambda_runtime.Worker._read_stderr
    monkeypatch.setattr(lambda_runtime.Worker, "_read_stderr", lambda self: has_time.wait() and read(self))
    assert call(code, "one\n")["log"] == ""
    has_time.set()
    # When the function is called again, and again
    second, third = call(code, "two\n"), call(code, "three\n")
    # Then nothing is lost, and each has its own
    assert (second["log"], third["log"]) == ("one\ntwo", "three")


def test_a_silent_call_waits_for_no_log(code: bytes) -> None:
    call(code)
    began = time.perf_counter()
    for _ in range(20):
        call(code)
    assert time.perf_counter() - began < 20 * 0.05  # what each one waited before


def test_many_calls_at_once_share_as_many_processes_as_there_are_cores(code: bytes) -> None:
    with ThreadPoolExecutor(12) as pool:
        calls = [pool.submit(call, code, seconds=0.05) for _ in range(12)]
    assert len({each.result()["result"] for each in calls}) <= workers.AT_ONCE


def test_a_function_that_waits_for_itself_gets_one_more(code: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "PATIENCE_S", 0.05)
    held = [lambda_svc.acquire_worker("talk", CONFIG, code)[0] for _ in range(workers.AT_ONCE)]
    assert call(code)["status"] == "ok"
    for worker in held:
        lambda_svc.release_worker(worker)
