"""The whole product on the local cloud: real photos through the real template, handlers and programs."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import time
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urljoin
from urllib.request import urlopen

import psutil
import pytest

from spaceport.quality import QualityReport
from spaceport.stages import JOB_STAGES, STAGES

pytestmark = pytest.mark.engine


def text_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in ("notes.txt", "plan.txt", "log.txt"):
            archive.writestr(name, "no photo")
    return out.getvalue()


def programs_of(job_id: str) -> list[psutil.Process]:
    """The running job programs of a job: each has its job's name in its environment."""
    found = []
    for process in psutil.process_iter():
        try:
            root = process.environ().get("SPACEPORT_ML_ROOT", "")
            if job_id in root and "-m" in process.cmdline():
                found.append(process)
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def wait_until(holds: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"did not come true within {seconds:.0f} s"
        time.sleep(0.05)


# ---- the main job ----------------------------------------


@pytest.fixture(scope="module")
def brighton(stack, brighton_zip: Path) -> tuple[dict[str, Any], list[dict[str, Any]], str]:
    """(last status, every status seen, job id) of the real flight at `preview`, every 8th photo held out."""
    job_id = stack.drop(
        brighton_zip.read_bytes(),
        "uploads/operator/brighton.zip",
        preset="preview",
        holdout=8,
        jobName="Brighton",
    )
    with stack.follow(job_id) as follower:
        return follower.until_ended(seconds=600), follower.seen, job_id


@pytest.mark.photos
def test_a_real_flight_becomes_a_splat_with_honest_numbers(brighton, stack):
    # Given the finished job
    last, _, job_id = brighton
    assert last["status"] == "COMPLETED", last["error"]
    # When its report is read
    s3 = stack.cloud.client("s3")
    home = f"jobs/{job_id}/compressed"
    body = s3.get_object(Bucket=stack.output("DataBucket"), Key=f"{home}/quality.json")["Body"].read()
    quality = QualityReport.model_validate_json(body)
    # Then every photo is in the model, it lies where the GPS says, and training has added what it should
    assert (quality.photos.given, quality.photos.registered) == (18, 18)
    assert quality.georef is not None
    assert quality.georef.rms_horizontal_m <= 1.0
    assert quality.training.psnr_holdout is not None
    assert quality.training.psnr_holdout_initial is not None
    assert quality.training.psnr_holdout >= 17.0
    assert quality.training.psnr_holdout >= quality.training.psnr_holdout_initial + 2.0
    assert len(quality.training.holdout) == 2
    # And the report is complete, with the times that only the row knows
    assert quality.stages is not None
    assert set(quality.stages) == {stage.name for stage in JOB_STAGES}
    assert quality.total_seconds is not None
    assert quality.total_seconds >= sum(quality.stages.values()) * 0.9
    # So is the page for people, which a browser shows
    assert last["outputs"]["report"] == f"s3://{stack.output('DataBucket')}/{home}/report.html"
    page = s3.get_object(Bucket=stack.output("DataBucket"), Key=f"{home}/report.html")
    assert page["ContentType"] == "text/html; charset=utf-8"
    text = page["Body"].read().decode()
    assert "All 18 photos found their place" in text
    assert "Whole job" in text
    # And nobody is asked to pay for their own machine
    assert "Cost so far: nothing. It ran on your own machine." in text
    assert [stage["cost"] for stage in last["stages"].values()] == [0, 0, 0]
    assert len(text) < 1_500_000


@pytest.mark.photos
def test_the_artifacts_are_where_the_contract_says(brighton, stack):
    _, _, job_id = brighton
    s3 = stack.cloud.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=stack.output("DataBucket"), Prefix=f"jobs/{job_id}/"
    )
    keys = {o["Key"].removeprefix(f"jobs/{job_id}/") for page in pages for o in page["Contents"]}
    assert {
        "colmap/sparse/cameras.bin", "colmap/sparse/georef.json", "colmap/sfm.json",
        "colmap/dense/sparse/points3D.bin",
        "gaussian/model.ply", "gaussian/training.log", "gaussian/metrics.json",
        "compressed/model.sog", "compressed/model.sogs", "compressed/quality.json",
        "compressed/report.html", "compressed/flight.mp4", "compressed/thumbnail.jpg",
        "compressed/viewer/index.html",
    } <= keys  # fmt: skip
    assert sum(key.startswith("gaussian/held_out/") for key in keys) == 2
    assert sum(key.startswith("extracted/") for key in keys) == 18
    assert sum(key.startswith("colmap/dense/images/") for key in keys) == 18


@pytest.mark.photos
def test_a_client_sees_the_stages_pass_in_order_with_progress_inside_each(brighton):
    _, seen, _ = brighton
    assert all(after["progress"] >= before["progress"] for before, after in pairwise(seen))
    order = [stage.name for stage in STAGES]
    indices = [order.index(status["stage"]) for status in seen]
    assert indices == sorted(indices)
    for stage in JOB_STAGES:
        within = {
            status["stages"][stage.name]["progress"] for status in seen if status["stage"] == stage.name
        }
        assert len(within) >= 3, f"progress inside {stage.name}: {sorted(within)}"
        assert {status["message"] for status in seen if status["stage"] == stage.name} == {stage.message}
    assert (seen[-1]["progress"], seen[-1]["message"]) == (1.0, "Your 3D model is ready!")
    assert any("psnr" in status["metrics"] for status in seen)


@pytest.mark.photos
def test_a_client_that_comes_late_gets_the_same_last_view(brighton, stack):
    last, _, job_id = brighton
    with stack.follow(job_id) as follower:
        snapshot = follower.until(lambda status: True, seconds=10)
    assert snapshot == last


@pytest.mark.photos
def test_the_viewers_link_serves_a_page_that_browsers_show(brighton, stack):
    last, _, _ = brighton
    page = last["outputs"]["viewerUrl"]
    for name, kind in {"index.html": "text/html", "index.js": "javascript", "../model.sog": ""}.items():
        with urlopen(urljoin(page, name)) as answer:
            assert kind in answer.headers["Content-Type"], name
            assert answer.read(4)


# ---- what goes wrong ----------------------------------------


def test_a_zip_of_text_files_is_rejected_in_words(stack):
    job_id = stack.drop(text_zip(), "uploads/operator/texts.zip")
    status = stack.last_status(job_id, seconds=30)
    assert (status["status"], status["error"]["code"]) == ("REJECTED", "too_few_photos")
    assert "texts.zip holds no photos" in status["error"]["message"]
    assert "notes.txt" in status["error"]["hint"]
    assert stack.executions_of(job_id) == []


def test_a_program_killed_by_the_kernel_ends_the_job_with_a_reason(stack, noise_zip):
    # Given a job whose SfM program runs
    job_id = stack.drop(noise_zip, "uploads/operator/to-be-killed.zip")
    with stack.follow(job_id) as follower:
        follower.until(lambda status: status["stage"] == "sfm", seconds=60)
        wait_until(lambda: programs_of(job_id))
        # When it is killed as the kernel kills what uses too much memory
        os.kill(programs_of(job_id)[0].pid, signal.SIGKILL)
        status = follower.until_ended(seconds=60)
    # Then the row says so, the execution has failed, and nothing of it runs on
    assert (status["status"], status["error"]["code"]) == ("FAILED", "killed")
    assert "Extracting features" in status["error"]["message"]
    wait_until(lambda: [e["status"] for e in stack.executions_of(job_id)] == ["FAILED"])
    wait_until(lambda: not programs_of(job_id))


def test_a_stopped_execution_ends_the_job_and_its_program(stack, noise_zip):
    # Given a job whose SfM program runs
    job_id = stack.drop(noise_zip, "uploads/operator/to-be-stopped.zip")
    with stack.follow(job_id) as follower:
        follower.until(lambda status: status["stage"] == "sfm", seconds=60)
        wait_until(lambda: programs_of(job_id))
        # When its execution is stopped, which skips every Catch
        (execution,) = stack.executions_of(job_id)
        stack.cloud.client("stepfunctions").stop_execution(executionArn=execution["executionArn"])
        status = follower.until_ended(seconds=10)
    # Then the row says so all the same, and the program is gone
    assert (status["status"], status["error"]["code"]) == ("STOPPED", "stopped")
    wait_until(lambda: not programs_of(job_id), seconds=10)


def test_photos_that_show_nothing_fail_with_the_programs_own_words(stack, noise_zip):
    job_id = stack.drop(noise_zip, "noise.ZIP", preset="preview")
    status = stack.last_status(job_id, seconds=120)
    assert status["status"] == "FAILED"
    assert status["error"]["code"] not in {"fault", "killed", "sfm_fault"}
    assert status["error"]["hint"]


def test_the_same_event_twice_makes_one_job(stack):
    # Given a zip that was judged once
    job_id = stack.drop(text_zip(), "uploads/operator/twice.zip")
    first = stack.last_status(job_id, seconds=30)
    versions = stack.cloud.client("s3").list_object_versions(
        Bucket=stack.output("UploadsBucket"), Prefix="uploads/operator/twice.zip"
    )["Versions"]
    # When its event comes again
    event = json.loads((Path(__file__).parents[2] / "events" / "object_created.json").read_text())
    event["detail"]["bucket"]["name"] = stack.output("UploadsBucket")
    event["detail"]["object"] |= {"key": "uploads/operator/twice.zip", "version-id": versions[0]["VersionId"]}
    told = stack.cloud.client("lambda").invoke(
        FunctionName=ingest_function(stack), Payload=json.dumps(event).encode()
    )
    # Then it finds its row, looks at no zip and changes nothing
    assert json.loads(told["Payload"].read()) == {"jobId": job_id, "status": None, "created": False}
    assert stack.last_status(job_id, seconds=10)["version"] == first["version"]


def ingest_function(stack) -> str:
    found = stack.cloud.client("cloudformation").describe_stack_resources(StackName="spaceport")
    names = {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in found["StackResources"]}
    return names["IngestUpload"]


# ---- who may listen ----------------------------------------


def test_a_ping_is_answered_and_nonsense_told(stack):
    with stack.connect() as socket:
        socket.send('{"action": "ping"}')
        assert json.loads(socket.recv(timeout=10)) == {"type": "pong"}
        socket.send('{"action": "dance"}')
        assert json.loads(socket.recv(timeout=10))["error"]["code"] == "bad_action"


# ---- the command ----------------------------------------


def test_the_command_refuses_a_bad_zip_with_exit_code_2(tmp_path, repository):
    bad = tmp_path / "texts.zip"
    bad.write_bytes(text_zip())
    run = subprocess.run(
        [repository / ".venv" / "bin" / "spaceport", "run", bad, "--out", tmp_path / "out"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 2
    assert "no photos" in run.stderr
