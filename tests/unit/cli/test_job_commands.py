"""The commands about jobs, against a stack of moto's services and real HTTP and WebSocket APIs."""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest
from rich.cells import cell_len

from spaceport.job import JobError, JobInput, Outputs, StageRecord
from spaceport.plan import TemplateFacts, make_plan
from spaceport.progress import ProgressLine
from spaceport.stages import Status
from spaceport_cli.__main__ import main
from spaceport_cli.commands import stop as stop_command
from spaceport_cli.commands.example_input import example_input
from spaceport_cli.exits import ExitCode
from spaceport_cli.job_status import JobStatus
from spaceport_cli.job_views import details

STACK = ["--stack", "drones"]
JOB = "job-0123456789abcdef0123"
OTHER = "job-01234567ffffffffffff"
SFM_DONE = {
    "sfm": StageRecord(
        started="2026-03-01T10:00:05.000Z", ended="2026-03-01T10:00:34.000Z", progress=1, cost=0.034
    ),
    "3dgs": StageRecord(started="2026-03-01T10:00:34.000Z", progress=0.42, instance="ml.g4dn.xlarge"),
    "compression": StageRecord(),
}


# ---- status -------------------------------------------


def test_status_tells_the_place_in_the_queue_and_of_a_batch_its_jobs(stack, told, capsys):
    batch = {
        **told(status=Status.RUNNING, stage="setup", message="1 of 3 jobs have ended: 1 completed"),
        **{"kind": "batch", "members": [JOB, OTHER, "beach-2026"], "progress": 1 / 3},
        **{"metrics": {"jobs": 3, "queued": 1, "running": 1}, "stages": {}},
    }
    waits = {**told(status=Status.QUEUED, stage="setup"), "queuePosition": 3, "batchId": "batch-0123456789"}
    drones = stack()
    drones.http.jobs = {"batch-0123456789": batch, JOB: waits}

    assert main(["status", *STACK]) == ExitCode.DONE
    _, summed, waiting = capsys.readouterr().out.splitlines()
    assert "RUNNING batch of 3 33%" in " ".join(summed.split())
    assert "3rd in line" in waiting

    assert main(["status", JOB, *STACK]) == ExitCode.DONE
    text = capsys.readouterr().out
    assert "3rd in the queue" in text
    assert "batch-0123456789" in text
    assert main(["status", "batch-0123456789", *STACK]) == ExitCode.DONE
    text = capsys.readouterr().out
    assert "RUNNING 33%: 1 of 3 jobs have ended: 1 completed" in text
    assert text.count("  job  ") == 3
    assert "training" not in text


def test_status_shows_the_newest_jobs_on_80_columns(stack, told, capsys):
    drones = stack()
    drones.http.jobs = {
        JOB: told(status=Status.COMPLETED, stage="done", metrics={"psnr_holdout": 26.53}, job_name="B" * 99),
        OTHER: told(status=Status.WAITING_CAPACITY, stage="3dgs", progress=0.5),
        "beach-2026": told(status=Status.REJECTED),
    }

    assert main(["status", *STACK]) == ExitCode.DONE

    header, done, waiting, refused = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in (header, done, waiting, refused)) <= 80
    assert header.split() == ["JOB", "NAME", "STATUS", "STAGE", "DONE", "TIME", "AGE", "HELD", "OUT"]
    assert done.startswith("job-01234567 ")
    assert "26.5 dB" in done
    assert waiting.split()[2:4] == ["WAITING", "training"]
    assert "62%" in waiting
    assert refused.startswith("beach-2026 ")


def test_names_in_wide_letters_keep_the_columns(stack, told, capsys):
    stack().http.jobs = {JOB: told(job_name="海岸線の調査" * 9), OTHER: told(job_name="Beach")}

    assert main(["status", *STACK]) == ExitCode.DONE

    header, wide, narrow = capsys.readouterr().out.splitlines()
    assert cell_len(wide) <= 80
    column = header.index("STATUS")
    assert cell_len(wide[: wide.index("RUNNING")]) == narrow.index("RUNNING") == column


def test_a_terminal_of_few_letters_shows_the_rest_as_question_marks(stack, told, monkeypatch):
    stack().http.jobs[JOB] = told(job_name="Playa Ñ")
    paper = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(paper, "ascii"))

    assert main(["status", JOB, *STACK]) == ExitCode.DONE

    assert paper.getvalue().startswith(b"Playa ?   job-")
    assert b"compression  ?" in paper.getvalue()


def test_a_reader_that_has_gone_is_no_error(stack, told, monkeypatch):
    stack().http.jobs[JOB] = told()
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)

        assert main(["status", JOB, *STACK]) == ExitCode.DONE

        pipe.flush()  # as Python itself does at the end


def test_status_of_one_job_tells_everything(stack, told, capsys):
    drones = stack()
    drones.http.jobs[JOB] = told(
        status=Status.FAILED,
        stage="3dgs",
        stages=SFM_DONE,
        metrics={"psnr": 24.126, "gaussians": 412000.0},
        warnings=["The photos have no GPS."],
        error=JobError(code="out_of_memory", message="Training ran out of memory.", hint="Use fewer photos."),
        started_at="2026-03-01T10:00:01.000Z",
    )

    assert main(["status", "job-0123", *STACK]) == ExitCode.DONE  # the beginning of the id is enough

    out = capsys.readouterr().out
    for words in (
        f"Beach   {JOB}",
        "FAILED in training, 59% done",
        "Training ran out of memory.",
        "Use fewer photos.",
        "The photos have no GPS.",
        "camera poses 29 s, $0.03",
        "training     42%, ml.g4dn.xlarge",
        "compression  –",
        "psnr 24.13 · gaussians 412,000",
        "0:29",
        f"spaceport retry {JOB}",
    ):
        assert words in out


def test_on_ones_own_machine_no_instance_is_named(told):
    status = JobStatus.from_message(told(stage="3dgs", stages=SFM_DONE))
    now = datetime(2026, 3, 1, 10, 1, tzinfo=UTC)
    assert "training     42%, ml.g4dn.xlarge\n" in details(status, now, own_machine=False)
    assert "training     42%\n" in details(status, now, own_machine=True)


def test_what_earlier_runs_cost_is_told(told):
    now = datetime(2026, 3, 1, 10, 1, tzinfo=UTC)
    for costs, words in (
        ({"sfm": 1.0, "3dgs": 0.5}, "$1.50"),
        ({"sfm": None, "3dgs": 0.5}, "$0.50 and more"),
    ):
        job = JobStatus.from_message(told(stage="3dgs", stages=SFM_DONE, earlierCosts=costs))
        assert details(job, now, own_machine=False).endswith(f"earlier runs {words}")
        assert "earlier runs" not in details(job, now, own_machine=True)


def test_status_gives_programs_the_cloud_s_own_words(stack, told, capsys):
    drones = stack()
    drones.http.jobs = {JOB: told(3), OTHER: told(4)}

    main(["status", *STACK, "--json"])

    assert [json.loads(line)["version"] for line in capsys.readouterr().out.splitlines()] == [3, 4]


def test_no_jobs_and_unknown_ones_are_said(stack, capsys):
    stack()

    assert main(["status", *STACK]) == ExitCode.DONE
    assert "No jobs yet" in capsys.readouterr().out
    assert main(["status", JOB, *STACK]) == ExitCode.FAULT
    assert capsys.readouterr().err == f"There is no job {JOB}.\n  Check the id.\n"


def test_an_old_job_is_not_mistaken_for_a_newer_one_whose_id_begins_like_its_own(stack, told, capsys):
    drones = stack()
    drones.http.jobs = {"beach": told(status=Status.COMPLETED), "beach-2026": told()}
    # The list has only the newest jobs
    drones.http.answers["GET /jobs?limit=100"] = (200, {"jobs": [{**told(), "jobId": "beach-2026"}]})

    assert main(["status", "beach", "--json", *STACK]) == ExitCode.DONE
    assert json.loads(capsys.readouterr().out)["jobId"] == "beach"

    assert main(["status", "beach-2", "--json", *STACK]) == ExitCode.DONE
    assert json.loads(capsys.readouterr().out)["jobId"] == "beach-2026"


def test_an_id_s_beginning_that_several_jobs_have_is_not_guessed_at(stack, told, capsys):
    drones = stack()
    drones.http.jobs = {JOB: told(), OTHER: told()}

    assert main(["status", "job-0123", *STACK]) == ExitCode.USAGE

    assert OTHER in capsys.readouterr().err


# ---- stop ---------------------------------------------


def test_stop_waits_until_the_job_is_stopped_and_says_how_to_go_on(stack, told, capsys):
    drones = stack()
    running, stopping = told(status=Status.RUNNING), told(status=Status.STOPPING)
    drones.http.jobs[JOB] = [running, stopping, told(status=Status.STOPPED, stage="3dgs", stages=SFM_DONE)]
    drones.http.answers["POST /stop-job"] = (202, {"jobId": JOB, "status": "STOPPING"})

    assert main(["stop", JOB, *STACK]) == ExitCode.DONE

    assert drones.http.posted == [("POST /stop-job", {"jobId": JOB, "discardArtifacts": False})]
    out = capsys.readouterr().out
    assert "Stopping the job" in out
    assert f"its camera poses are kept.\n  Go on from there with `spaceport retry {JOB}`." in out


def test_a_stop_that_discards_says_that_nothing_is_kept(stack, told, capsys):
    drones = stack()
    drones.http.jobs[JOB] = told(status=Status.STOPPED, stage="3dgs", stages=SFM_DONE)
    drones.http.answers["POST /stop-job"] = (200, {"jobId": JOB, "status": "STOPPED"})

    main(["stop", JOB, "--discard", *STACK])

    assert drones.http.posted[0][1]["discardArtifacts"] is True
    assert "what it had made is being deleted" in capsys.readouterr().out


def test_a_stop_that_takes_longer_is_told_as_such(stack, told, capsys, monkeypatch):
    monkeypatch.setattr(stop_command, "WAIT_S", 0.0)
    drones = stack()
    drones.http.jobs[JOB] = told(status=Status.STOPPING)
    drones.http.answers["POST /stop-job"] = (202, {"jobId": JOB, "status": "STOPPING"})

    assert main(["stop", JOB, *STACK]) == ExitCode.FAULT

    assert "is still STOPPING" in capsys.readouterr().err


def test_stopping_a_job_that_is_over_has_the_api_s_words_also_for_programs(stack, capsys):
    drones = stack()
    drones.http.answers["POST /stop-job"] = (
        409,
        {"code": "job_over", "detail": "The job is COMPLETED.", "hint": ""},
    )

    assert main(["stop", JOB, "--json", *STACK]) == ExitCode.FAULT

    printed = capsys.readouterr()
    assert json.loads(printed.out) == {
        "error": {"code": "job_over", "message": "The job is COMPLETED.", "hint": ""}
    }
    assert printed.err == "The job is COMPLETED.\n"


# ---- retry --------------------------------------------


def test_retry_follows_the_new_run_and_not_the_end_of_the_old_one(stack, told, say, quality, capsys):
    # Given a failed job, whose end is told once more after its next run has begun
    drones = stack()
    outputs = drones.put_results(quality)
    old = told(5, Status.FAILED, stage="3dgs")
    done = told(9, Status.COMPLETED, stage="done", message="Your 3D model is ready!", outputs=outputs)
    drones.http.jobs[JOB] = old
    drones.http.answers[f"POST /jobs/{JOB}/retry"] = (202, {"run": 2, "pipelineStep": "sfm"})
    drones.api.play(say(old, told(6), done))

    # When it is retried from a stage of choice
    code = main(["retry", JOB, "--from", "sfm", "--out", "here", *STACK])

    # Then the new run is followed to its end
    assert code == ExitCode.DONE
    assert drones.http.posted == [(f"POST /jobs/{JOB}/retry", {"pipelineStep": "sfm"})]
    assert Path("here/model.sog").exists()
    out = capsys.readouterr().out
    assert f"Going on with job {JOB} from camera poses, run 2." in out
    assert "Your 3D model is ready!" in out


def test_retry_sends_what_is_to_be_otherwise(stack, told, say, quality, capsys):
    drones = stack()
    done = told(9, Status.COMPLETED, stage="done", outputs=drones.put_results(quality))
    drones.http.jobs[JOB] = told(5, Status.COMPLETED, stage="done")
    drones.http.answers[f"POST /jobs/{JOB}/retry"] = (202, {"run": 2, "pipelineStep": "3dgs"})
    drones.api.play(say(done))
    assert main(["retry", JOB, "--preset", "quality", "--set", "crop=false", "--out", "here", *STACK]) == 0
    body = {"tuning": {"preset": "quality", "crop": False}}
    assert drones.http.posted == [(f"POST /jobs/{JOB}/retry", body)]


def test_retry_takes_no_setting_that_there_is_not(stack, capsys):
    stack()
    assert main(["retry", JOB, "--set", "crops=1", *STACK]) == ExitCode.USAGE
    assert "crops" in capsys.readouterr().err


# ---- logs ---------------------------------------------


def write_log(group: str, stream: str, *lines: tuple[int, str]) -> None:
    """Lines with the second they were printed in."""
    logs = boto3.client("logs")
    with suppress(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    start = int(datetime.now(UTC).timestamp()) - 3600
    events = [{"timestamp": (start + second) * 1000, "message": text} for second, text in lines]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


@pytest.fixture
def logged(stack, told):
    """A stack with a job that has printed in two runs, beside another whose id begins with its own."""
    drones = stack()
    drones.http.jobs["beach"] = told(status=Status.STOPPED)
    progress = ProgressLine("sfm", 0.37, "Matching photos", {"registered": 18}).to_json()
    write_log(
        "/aws/sagemaker/ProcessingJobs", "beach-sfm-1-0/algo-1-1", (1, "18 photos"), (2, progress), (4, "ok")
    )
    write_log("/aws/sagemaker/ProcessingJobs", "beach-sfm-2-sfm-1-0/algo-1-1", (3, "another job's"))
    write_log("/aws/sagemaker/TrainingJobs", "beach-3dgs-2-1/algo-1-1", (3, "second run"))
    return drones


def test_logs_are_those_of_all_stages_and_runs_by_time_with_progress_in_words(logged, capsys):
    assert main(["logs", "beach", *STACK]) == ExitCode.DONE

    lines = [line.split(maxsplit=1)[1] for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "sfm           18 photos",
        "sfm            37%  Matching photos · registered 18",
        "3dgs#2.1      second run",
        "sfm           ok",
    ]


def test_logs_of_one_stage_for_programs(logged, capsys):
    main(["logs", "beach", "--stage", "3dgs", "--json", *STACK])

    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert line.pop("time").endswith("Z")
    assert line == {"stage": "3dgs", "run": 2, "attempt": 1, "message": "second run"}


def test_followed_logs_go_on_until_the_job_has_ended(logged, told, capsys, monkeypatch):
    monkeypatch.setattr("spaceport_cli.commands.logs.LATE_S", 0.1)
    monkeypatch.setattr("spaceport_cli.commands.logs.POLL_S", 0.1)
    logged.http.jobs["beach"] = [told(), told(), told(), told(status=Status.COMPLETED)]

    assert main(["logs", "beach", "--follow", *STACK]) == ExitCode.DONE

    assert len(capsys.readouterr().out.splitlines()) == 4  # each line once


def test_a_job_without_a_log_says_so(stack, told, capsys):
    stack().http.jobs["new"] = told(status=Status.QUEUED)

    assert main(["logs", "new", *STACK]) == ExitCode.DONE

    assert "There are no lines: the job new is QUEUED." in capsys.readouterr().err


# ---- report -------------------------------------------


def test_report_is_saved_where_asked_or_opened(stack, told, capsys, monkeypatch):
    drones = stack()
    drones.s3.put_object(Bucket="drones-data", Key="jobs/x/report.html", Body=b"<html>")
    outputs = Outputs(report="s3://drones-data/jobs/x/report.html")
    drones.http.jobs[JOB] = told(status=Status.COMPLETED, stage="done", outputs=outputs)
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)

    assert main(["report", JOB, "--out", "mine.html", *STACK]) == ExitCode.DONE
    assert Path("mine.html").read_bytes() == b"<html>"
    assert opened == []
    assert capsys.readouterr().out == "mine.html\n"

    assert main(["report", JOB, "--out", "new/folder/", *STACK]) == ExitCode.DONE
    assert capsys.readouterr().out == "new/folder/report.html\n"
    assert Path("new/folder/report.html").read_bytes() == b"<html>"

    assert main(["report", JOB, *STACK]) == ExitCode.DONE
    saved = Path(capsys.readouterr().out.strip())
    assert saved.read_bytes() == b"<html>"
    assert opened == [saved.as_uri()]


@pytest.mark.parametrize(
    ("row", "code", "said"),
    [
        ({"status": Status.RUNNING}, ExitCode.FAULT, "has no report yet: it is 2% done"),
        ({"status": Status.STOPPED}, ExitCode.STOPPED, "was stopped"),
        ({"status": Status.COMPLETED, "outputs": Outputs()}, ExitCode.FAULT, "has no report"),
        (
            {"status": Status.COMPLETED, "outputs": Outputs(report="s3://drones-data/gone")},
            ExitCode.FAULT,
            "has no report",
        ),
    ],
)
def test_a_report_that_is_not_there_is_said(stack, told, capsys, row, code, said):
    stack().http.jobs[JOB] = told(**row)

    assert main(["report", JOB, *STACK]) == code

    assert said in capsys.readouterr().err


# ---- example-input ------------------------------------

OUTPUTS = {
    "UploadsBucket": "drones-uploads",
    "DataBucket": "drones-data",
    "SfmImageUri": "1.ecr/sfm@sha256:1",
    "GaussianImageUri": "1.ecr/gaussian@sha256:2",
    "CompressorImageUri": "1.ecr/compressor@sha256:3",
}


def test_the_example_input_is_what_the_pipeline_takes_with_every_usual_field(repository):
    made = example_input(OUTPUTS, "example-1", "2026-03-01T10:00:00.000Z", "s3://drones-uploads/a.zip")

    assert list(made) == list(json.loads((repository / "events" / "start_execution.json").read_text()))
    images = [uri for name, uri in OUTPUTS.items() if name.endswith("ImageUri")]
    facts = TemplateFacts("drones-uploads", "drones-data", *images, *["ml.m5.large"] * 3, False)
    plan = make_plan(JobInput.model_validate(made), "example-1", facts)
    assert plan.zip_s3_uri == "s3://drones-uploads/a.zip"
    assert plan.extracted_s3_uri == "s3://drones-data/jobs/example-1/extracted/"


def test_example_input_says_how_to_start_it_and_is_another_job_each_time(stack, capsys):
    stack()
    wanted = ["--s3-url", "s3://drones-uploads/mine.zip"]

    assert main(["example-input", *wanted, *STACK]) == ExitCode.DONE
    first = capsys.readouterr()
    main(["example-input", *wanted, *STACK])
    second = capsys.readouterr()

    assert json.loads(first.out)["s3Url"] == "s3://drones-uploads/mine.zip"
    assert json.loads(first.out)["jobId"] != json.loads(second.out)["jobId"]
    assert "--state-machine-arn arn:aws:states:us-east-1:123456789012:stateMachine:drones" in first.err
    assert "--endpoint-url" not in first.err


def test_an_example_of_a_foreign_zip_is_refused(stack, capsys):
    stack()

    assert main(["example-input", "--s3-url", "s3://other/mine.zip", *STACK]) == ExitCode.USAGE

    assert "below s3://drones-uploads/" in capsys.readouterr().err


# ---- events and delete -------------------------------------------


def event(version: int, status: Status, stage: str, **fields: object) -> dict[str, object]:
    base = {"version": version, "time": "2026-03-01T10:00:05.000Z", "run": 1, "before": None, "error": None}
    return {**base, "status": status.value, "stage": stage, **fields}


def test_events_are_a_line_a_change_over_all_pages(stack, told, capsys):
    drones = stack()
    drones.http.jobs[JOB] = told()
    error = {"code": "killed", "message": "Training was\x1b[2J killed.", "hint": ""}
    drones.http.answers = {
        f"GET /jobs/{JOB}/events?after=0": (200, {"events": [event(1, Status.QUEUED, "setup")], "next": 1}),
        f"GET /jobs/{JOB}/events?after=1": (
            200,
            {"events": [event(9, Status.FAILED, "3dgs", run=2, error=error)], "next": None},
        ),
    }

    assert main(["events", JOB, *STACK]) == ExitCode.DONE
    first, last = capsys.readouterr().out.splitlines()
    assert first.split()[2:] == ["QUEUED", "setup"]
    assert "FAILED" in last
    assert last.endswith("training, run 2: Training was\N{REPLACEMENT CHARACTER}[2J killed.")

    assert main(["events", JOB, "--json", *STACK]) == ExitCode.DONE
    assert [json.loads(line)["version"] for line in capsys.readouterr().out.splitlines()] == [1, 9]


def test_share_prints_the_link_alone_and_takes_links_back(stack, told, capsys):
    drones = stack()
    drones.http.jobs[JOB] = told(status=Status.COMPLETED)
    link = {"token": "t", "url": "https://a.example/prod/shared/t", "expiresAt": "2026-03-08T10:00:05.000Z"}
    drones.http.answers = {
        f"POST /jobs/{JOB}/share": (201, link),
        f"DELETE /jobs/{JOB}/share": (200, {"jobId": JOB, "links": 2}),
    }

    assert main(["share", JOB, "--days", "3", *STACK]) == ExitCode.DONE
    printed = capsys.readouterr()
    assert printed.out == f"{link['url']}\n"
    assert "until 2026-03-08 10:00 UTC" in printed.err
    assert (f"POST /jobs/{JOB}/share", {"days": 3}) in drones.http.requests

    assert main(["share", JOB, "--revoke", *STACK]) == ExitCode.DONE
    assert capsys.readouterr().out == f"2 links to the job {JOB} taken back.\n"
    assert main(["share", JOB, "--days", "31", *STACK]) == ExitCode.USAGE


def test_delete_asks_first_and_a_program_must_say_yes(stack, told, capsys, monkeypatch):
    drones = stack()
    drones.http.jobs[JOB] = told(status=Status.COMPLETED)
    drones.http.answers[f"DELETE /jobs/{JOB}"] = (202, {"jobId": JOB})

    def deleted() -> int:
        return [call for call, _ in drones.http.requests].count(f"DELETE /jobs/{JOB}")

    assert main(["delete", JOB, *STACK]) == ExitCode.USAGE
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    for answer, expected in (("", 0), ("n", 0), ("y", 1)):
        monkeypatch.setattr("builtins.input", lambda _, said=answer: said)
        assert main(["delete", JOB, *STACK]) == ExitCode.DONE
        assert deleted() == expected
    assert main(["delete", JOB, "--yes", *STACK]) == ExitCode.DONE
    assert deleted() == 2
    assert "is deleted" in capsys.readouterr().out
