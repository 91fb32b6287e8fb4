"""The command as a user has it: `main([...])` against a stack of moto's S3 and a real WebSocket server."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from spaceport.batches import parse_manifest
from spaceport.job import JobError, Outputs, StageRecord, batch_id_for, job_id_for
from spaceport.stages import Status
from spaceport_cli.__main__ import main
from spaceport_cli.exits import ExitCode

STACK = ["--stack", "drones"]
VIEWER = "https://view.example/jobs/x/compressed/viewer/index.html"  # conftest's, of a finished job


def finished(told, outputs: Outputs | None, version: int = 9):
    times = {"started": "2026-03-01T10:00:05.000Z", "ended": "2026-03-01T10:00:34.000Z"}
    return told(
        version,
        Status.COMPLETED,
        stage="done",
        message="Your 3D model is ready!",
        outputs=outputs,
        stages={"sfm": StageRecord(**times)},
    )


def test_run_sends_the_photos_follows_the_job_and_brings_the_results(
    stack, told, say, photos, quality, capsys
):
    # Given a cloud that finishes the job
    drones = stack()
    training = told(2, stage="3dgs", message="Training")
    drones.api.play(say(told(1), training, finished(told, drones.put_results(quality))))

    # When the photos are sent
    code = main(["run", str(photos), *STACK, "--preset", "preview", "--set", "holdout=2", "--name", "Åre"])

    # Then they lie under a name of their own with what was asked of them
    assert code == ExitCode.DONE
    (upload,) = drones.uploads()
    assert upload["Key"].startswith("uploads/operator/beach-")
    assert drones.metadata(upload) == {"preset": "preview", "holdout": 2, "jobName": "Åre"}
    # and the very job of this upload was followed, with a ticket
    job_id = job_id_for("drones-uploads", upload["Key"], upload["VersionId"])
    assert [request["jobId"] for request in drones.api.requests] == [job_id]
    assert drones.api.paths == ["/prod?ticket=ticket-1"]
    # and the results that exist are here, in a folder named after the job
    assert {path.name for path in Path("Beach-splat").iterdir()} == {"model.sog", "quality.json"}
    # and the honest numbers are said
    out = capsys.readouterr().out
    for words in (
        "Expected cost: up to about $0.",
        "Your 3D model is ready!",
        "3 of 4 placed",
        "DJI_9.JPG: it is under 256 px wide",
        "0.61 m horizontal",
        "17.94 dB PSNR as trained, 0.455 SSIM, 0.81 of the photos' detail on 1 held-out photo",
        "480.0 kB, 40,000 Gaussians of 12.0 bytes",
        "45.2 dB",
        "camera poses 29 s",
        VIEWER,
    ):
        assert words in out


def test_results_are_of_one_job_also_where_an_earlier_one_left_its_own(stack, told, say, photos, quality):
    drones = stack()
    drones.api.play(say(finished(told, drones.put_results(quality))))
    folder = Path("flight")
    folder.mkdir()
    for name in ("model.sog", "quality.json", "georef.json", "notes.txt"):
        (folder / name).write_text("of another job")

    assert main(["run", str(photos), *STACK, "--out", "flight"]) == ExitCode.DONE

    assert {path.name for path in folder.iterdir()} == {"model.sog", "quality.json", "notes.txt"}
    assert (folder / "model.sog").read_bytes() == b"splat"


def test_the_film_and_the_thumbnail_come_with_the_model(stack, told, say, photos, quality):
    drones = stack()
    outputs = drones.put_results(quality)
    made = {}
    for name in ("flight.mp4", "thumbnail.jpg"):
        drones.s3.put_object(Bucket="drones-data", Key=f"jobs/x/compressed/{name}", Body=name.encode())
        made[name] = f"s3://drones-data/jobs/x/compressed/{name}"
    outputs = outputs.model_copy(update={"video": made["flight.mp4"], "thumbnail": made["thumbnail.jpg"]})
    drones.api.play(say(finished(told, outputs)))

    assert main(["run", str(photos), *STACK, "--out", "flight"]) == ExitCode.DONE

    assert Path("flight/flight.mp4").read_bytes() == b"flight.mp4"
    assert Path("flight/thumbnail.jpg").read_bytes() == b"thumbnail.jpg"


def test_the_small_formats_come_with_the_model_and_the_large_ones_stay(stack, told, say, photos, quality):
    drones = stack()
    outputs, prefix = drones.put_results(quality), "jobs/x/compressed/"
    for name in ("model.spz", "tiles/tileset.json", "tiles/0/0.glb", "model.glb", "model.ply"):
        drones.s3.put_object(Bucket="drones-data", Key=prefix + name, Body=name.encode())
    uri = f"s3://drones-data/{prefix}"
    places = {"spz": f"{uri}model.spz", "tiles": f"{uri}tiles/tileset.json"}
    places |= {"gltf": f"{uri}model.glb", "ply": f"{uri}model.ply"}
    drones.api.play(say(finished(told, outputs.model_copy(update=places))))

    assert main(["run", str(photos), *STACK, "--out", "flight"]) == ExitCode.DONE

    for name in ("model.spz", "tiles/tileset.json", "tiles/0/0.glb"):
        assert Path("flight", name).read_text() == name
    assert not Path("flight/model.glb").exists()
    assert not Path("flight/model.ply").exists()


def test_levels_of_detail_come_with_the_model_and_replace_an_earlier_jobs(
    stack, told, say, photos, quality, capsys
):
    # Given a model in levels of detail, and a folder that holds an earlier job's, and a folder of the user's
    drones = stack()
    outputs, prefix = drones.put_results(quality), "jobs/x/compressed/"
    for name in ("lod/lod-meta.json", "lod/0_0/meta.json", "lod/0_0/sh0.webp"):
        drones.s3.put_object(Bucket="drones-data", Key=prefix + name, Body=name.encode())
    for name in ("quality.json", "lod/lod-meta.json", "lod/7_0/meta.json", "tiles/mine.txt"):
        Path("flight", name).parent.mkdir(parents=True, exist_ok=True)
        Path("flight", name).write_text("earlier")
    place = f"s3://drones-data/{prefix}lod/lod-meta.json"
    drones.api.play(say(finished(told, outputs.model_copy(update={"lod": place}))))

    # When the job's results are fetched
    assert main(["run", str(photos), *STACK, "--out", "flight"]) == ExitCode.DONE

    # Then all of it is there, and nothing of the earlier one
    found = {str(path.relative_to("flight/lod")) for path in Path("flight/lod").rglob("*") if path.is_file()}
    assert found == {"lod-meta.json", "0_0/meta.json", "0_0/sh0.webp"}
    assert Path("flight/lod/0_0/sh0.webp").read_text() == "lod/0_0/sh0.webp"
    assert Path("flight/tiles/mine.txt").read_text() == "earlier"
    assert "quality.json, model.sog, lod/" in capsys.readouterr().out


def test_a_folder_without_an_earlier_jobs_results_keeps_what_is_the_users(stack, told, say, photos, quality):
    # Given a folder of the user's, with files and a tileset whose names are those of results
    drones = stack()
    drones.api.play(say(finished(told, drones.put_results(quality))))
    theirs = ("georef.json", "points.ply", "tiles/tileset.json", "tiles/terrain.glb")
    for name in theirs:
        Path("mine", name).parent.mkdir(parents=True, exist_ok=True)
        Path("mine", name).write_text("the user's")

    # When the results of a job without these are saved there
    assert main(["run", str(photos), *STACK, "--out", "mine"]) == ExitCode.DONE

    # Then nothing was taken away
    assert Path("mine/model.sog").read_bytes() == b"splat"
    assert {Path("mine", name).read_text() for name in theirs} == {"the user's"}


def test_a_file_of_the_users_is_not_written_over(stack, told, say, photos, quality, capsys):
    # Given a folder with a model of the user's own
    drones = stack()
    drones.api.play(say(finished(told, drones.put_results(quality))))
    Path("mine").mkdir()
    Path("mine/model.sog").write_text("the user's")

    # When a job's results are to be saved there
    code = main(["run", str(photos), *STACK, "--out", "mine"])

    # Then none is, and the command says which file is in the way
    assert code not in {ExitCode.DONE, ExitCode.FAILED}
    assert {path.name for path in Path("mine").iterdir()} == {"model.sog"}
    assert Path("mine/model.sog").read_text() == "the user's"
    told_of = capsys.readouterr().err
    assert "mine/model.sog is there already" in told_of
    assert "--out" in told_of


def test_a_model_without_held_out_photos_says_so(stack, told, say, photos, quality, capsys):
    training = quality.training.model_copy(update={"psnr_holdout": None, "holdout": []})
    drones = stack()
    drones.api.play(
        say(finished(told, drones.put_results(quality.model_copy(update={"training": training}))))
    )

    main(["run", str(photos), *STACK, "--out", "here"])

    assert (
        "no photo was held out, so only the training photos' 22.50 dB PSNR as trained is known"
        in capsys.readouterr().out
    )
    assert Path("here/model.sog").read_bytes() == b"splat"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (Status.FAILED, ExitCode.FAILED),
        (Status.REJECTED, ExitCode.REFUSED),
        (Status.STOPPED, ExitCode.STOPPED),
    ],
)
def test_a_job_that_does_not_end_well_says_why_and_has_its_exit_code(
    stack, told, say, photos, capsys, status, code
):
    why = JobError(code="x", message="Too few photos overlap.", hint="Fly with 70 % overlap.")
    stack(say(told(2, status, error=why)))

    assert main(["run", str(photos), *STACK]) == code

    assert capsys.readouterr().err == "Too few photos overlap.\n  Fly with 70 % overlap.\n"


def test_a_stopped_job_is_named_in_the_command_that_goes_on_with_it(stack, told, say, photos, capsys):
    why = JobError(code="stopped", message="The job was stopped.", hint="Go on by `spaceport retry`.")
    stack(say(told(2, Status.STOPPED, error=why)))

    main(["run", str(photos), *STACK])

    shown = capsys.readouterr()
    job_id = re.search(r"Sent 3 photos of beach: job (job-\w+)", shown.out)[1]
    assert f"Go on by `spaceport retry {job_id}`." in shown.err


def test_a_bad_zip_is_refused_before_anything_is_sent(stack, tmp_path, capsys):
    drones = stack()
    bad = tmp_path / "bad.zip"
    bad.write_bytes(b"not a zip")

    assert main(["run", str(bad), *STACK]) == ExitCode.REFUSED

    assert "bad.zip is not a zip file." in capsys.readouterr().err
    assert drones.uploads() == []
    assert drones.api.paths == []


def test_a_single_photo_is_told_where_the_others_are(stack, tmp_path, capsys):
    stack()
    (tmp_path / "DJI_0001.JPG").write_bytes(b"a photo")

    assert main(["run", str(tmp_path / "DJI_0001.JPG"), *STACK]) == ExitCode.USAGE

    err = capsys.readouterr().err
    assert "DJI_0001.JPG is a single photo." in err
    assert "the folder that it lies in" in err


def test_a_refusal_is_one_json_line_too(stack, tmp_path, capsys):
    stack()
    (tmp_path / "bad.zip").write_bytes(b"not a zip")

    main(["run", str(tmp_path / "bad.zip"), *STACK, "--json"])

    line = json.loads(capsys.readouterr().out)
    assert (line["status"], line["error"]["code"]) == ("REJECTED", "not_a_zip")


def test_json_prints_one_line_for_each_update_and_nothing_else(stack, told, say, photos, capsys):
    stack(say(told(1), told(2), told(3, Status.STOPPED)))

    assert main(["run", str(photos), *STACK, "--json"]) == ExitCode.STOPPED

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["version"] for line in lines] == [1, 2, 3]
    assert lines[-1]["status"] == "STOPPED"


def test_the_same_photos_with_the_same_settings_are_not_made_twice(stack, told, say, photos, quality, capsys):
    drones = stack()
    drones.api.play(say(finished(told, drones.put_results(quality))))
    main(["run", str(photos), *STACK])

    code = main(["run", str(photos), *STACK, "--out", "second"])

    assert code == ExitCode.DONE
    assert len(drones.uploads()) == 1
    assert "done already with these settings" in capsys.readouterr().out
    assert Path("second/model.sog").exists()


@pytest.mark.parametrize("options", [["--again"], ["--set", "holdout=2"]])
def test_again_or_other_settings_make_a_new_job(stack, told, say, photos, quality, options):
    drones = stack()
    drones.api.play(say(finished(told, drones.put_results(quality))))
    main(["run", str(photos), *STACK])

    main(["run", str(photos), *STACK, *options])

    assert len(drones.uploads()) == 2
    assert drones.api.requests[0]["jobId"] != drones.api.requests[-1]["jobId"]


RETUNED = {"first_request": {"preset": "preview"}, "request": {"preset": "preview", "crop": False}}
LEFT_OPEN = {"first_request": {}, "request": {"holdout": 4}}


@pytest.mark.parametrize(
    ("status", "begins"),
    [
        (Status.COMPLETED, "These photos are done already"),
        (Status.RUNNING, "These photos are at work already"),
    ],
)
@pytest.mark.parametrize(
    ("fields", "changed", "way"),
    [
        (
            RETUNED,
            "crop=false, not true",
            "`spaceport retry {} --set crop=true` makes it as you ask; --again ",
        ),
        (LEFT_OPEN, "holdout=4, not left open", ". --again makes the model anew."),
    ],
)
def test_a_job_that_a_retry_has_changed_is_not_said_to_have_these_settings(
    stack, told, say, photos, quality, capsys, status, begins, fields, changed, way
):
    # Given a job of these photos that was tried again with other settings
    drones = stack()
    drones.api.play(say(finished(told, drones.put_results(quality))))
    main(["run", str(photos), *STACK])
    job_id = drones.api.requests[0]["jobId"]
    last = told(10, status, stage="done", outputs=drones.put_results(quality), **fields)
    drones.http.jobs[job_id] = last
    drones.api.play(say(last, told(11, Status.COMPLETED, outputs=drones.put_results(quality), **fields)))
    # When the first command is given again
    capsys.readouterr()
    main(["run", str(photos), *STACK, "--out", "second"])
    # Then it is told which settings the model has, and how to get those that are asked for
    out = capsys.readouterr().out
    assert f"{begins} with settings that a retry has changed ({changed})" in out
    assert way.format(job_id) in out


def test_a_changed_job_that_did_not_end_well_goes_on_as_it_is_asked_for(
    stack, told, say, photos, quality, capsys
):
    # Given a job whose retry with other settings failed
    drones = stack(say(told(7, Status.FAILED, stage="3dgs")))
    main(["run", str(photos), *STACK])
    job_id = drones.api.requests[0]["jobId"]
    failed = told(8, Status.FAILED, stage="3dgs", **RETUNED)
    drones.http.jobs[job_id] = failed
    drones.http.answers[f"POST /jobs/{job_id}/retry"] = (202, {"run": 2, "pipelineStep": "3dgs"})
    done = finished(told, drones.put_results(quality), version=10)
    drones.api.play(say(failed), say(failed, told(9), done))
    # When the first command is given again
    assert main(["run", str(photos), *STACK]) == ExitCode.DONE
    # Then it goes on with the settings of that
    assert drones.http.posted == [(f"POST /jobs/{job_id}/retry", {"tuning": {"crop": True}})]
    assert "going on from there, with the settings of before" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("status", "how"), [(Status.STOPPED, "was stopped in training"), (Status.FAILED, "failed in training")]
)
def test_the_same_photos_go_on_with_the_job_that_did_not_end_well(
    stack, told, say, photos, quality, capsys, status, how
):
    # Given a job of these photos that ended in training
    drones = stack(say(told(7, status, stage="3dgs")))
    main(["run", str(photos), *STACK])
    job_id = drones.api.requests[0]["jobId"]
    drones.http.jobs[job_id] = told(7, status, stage="3dgs")
    drones.http.answers[f"POST /jobs/{job_id}/retry"] = (202, {"run": 2, "pipelineStep": "3dgs"})
    # and whose old end is told once more when its next run has begun
    late, outputs = told(7, status, stage="3dgs"), drones.put_results(quality)
    drones.api.play(say(late), say(late, told(8), finished(told, outputs)))

    # When the same command is given again
    code = main(["run", str(photos), *STACK])

    # Then the job goes on from there
    assert code == ExitCode.DONE
    assert drones.http.posted == [(f"POST /jobs/{job_id}/retry", {})]
    assert len(drones.uploads()) == 1
    out = capsys.readouterr().out
    assert f"Job {job_id} of these photos {how}: going on from there." in out
    assert "--again makes the model anew" in out


def test_a_job_at_work_is_watched_instead_of_doubled_and_a_refused_one_is_sent_again(
    stack, told, say, photos, capsys
):
    drones = stack(
        say(told(2, Status.REJECTED)),
        say(told(2, Status.REJECTED)),  # the second run finds that it was refused,
        say(told(1), told(2, Status.STOPPED)),  # sends the photos again, and its job is stopped
    )
    main(["run", str(photos), *STACK])
    main(["run", str(photos), *STACK])
    assert len(drones.uploads()) == 2

    drones.api.play(say(told(1)), say(told(2, Status.STOPPED)))
    assert main(["run", str(photos), *STACK]) == ExitCode.STOPPED

    assert "watching job" in capsys.readouterr().out
    assert len(drones.uploads()) == 2


@pytest.fixture
def interrupt(told, say):
    """A story in which the user presses Ctrl-C after the first status."""

    def play(connection, job_id):
        say(told(1), then_close=True)(connection, job_id)
        os.kill(os.getpid(), signal.SIGINT)
        for _ in connection:
            pass

    return play


def test_no_bar_is_drawn_under_what_an_interrupted_person_is_told(stack, interrupt, photos, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    stack(interrupt)

    assert main(["run", str(photos), *STACK]) == ExitCode.INTERRUPTED

    shown, told, after = terminal.getvalue().partition("the job goes on")
    assert "━" in shown
    assert told
    assert "━" not in after


def test_interrupting_leaves_the_job_and_says_how_to_come_back(stack, interrupt, photos, capsys):
    stack(interrupt)

    assert main(["run", str(photos), *STACK, "--out", "my results"]) == ExitCode.INTERRUPTED

    err = capsys.readouterr().err
    assert "the job goes on" in err
    assert "spaceport watch job-" in err
    assert "--stack drones --out 'my results'" in err


def test_watch_and_open_find_the_latest_job(stack, told, say, photos, quality, capsys):
    drones = stack()
    drones.api.play(say(finished(told, drones.put_results(quality))))
    main(["run", str(photos), *STACK])
    capsys.readouterr()

    assert main(["watch", "latest", *STACK, "--out", "watched"]) == ExitCode.DONE
    assert Path("watched/quality.json").exists()
    capsys.readouterr()
    assert main(["open", "latest", *STACK, "--no-browser"]) == ExitCode.DONE
    assert capsys.readouterr().out.strip() == VIEWER


def test_open_without_a_job_wants_the_stack_to_serve_the_app(stack, capsys):
    stack()

    assert main(["open", *STACK]) == ExitCode.FAULT

    assert "no output WebAppUrl" in capsys.readouterr().err


def test_open_says_when_there_is_nothing_to_see_yet(stack, told, say, capsys):
    stack(say(told(1, progress=0.5)))

    assert main(["open", "job-1", *STACK]) == ExitCode.FAULT

    assert "no model yet: it is 21% done" in capsys.readouterr().err


def test_watching_a_job_that_is_not_there_says_so(stack, capsys):
    stack()

    assert main(["watch", "job-1", *STACK]) == ExitCode.FAULT

    assert "knows no job job-1" in capsys.readouterr().err


def test_latest_without_any_job_is_a_usage_error(stack, capsys):
    stack()

    assert main(["open", "latest", *STACK]) == ExitCode.USAGE

    assert "No job was started from here" in capsys.readouterr().err


def test_a_stack_that_is_not_there_is_named(stack, photos, capsys):
    stack()

    assert main(["run", str(photos), "--stack", "dorne"]) == ExitCode.FAULT

    err = capsys.readouterr().err
    assert "'dorne'" in err
    assert "eu-west-1" in err


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--set", "holdout"], "'holdout' is not KEY=VALUE"),
        (["--set", "holdout=many"], "The setting 'holdout' can't be 'many'"),
        (["--set", "speed=9"], "Settings are: preset, "),
        (["--preset", "fast"], "'preview', 'balanced', 'quality' or 'vanilla'"),
        (["--preset", "preview", "--set", "preset=quality"], "contradict each other"),
        (["--name", "x" * 201], "Choose another --name"),
        (["--name", "🚁" * 190], "Choose a shorter --name"),
        (["--out", "{photos}"], "is a file"),
        (["--out", "{photos}/result"], "{photos} is a file"),
        (["--speed"], "unrecognized arguments: --speed"),
        (["--pre", "preview"], "unrecognized arguments: --pre"),
    ],
)
def test_what_is_typed_wrong_is_said_with_the_usage_exit_code(stack, photos, capsys, typed, said):
    drones = stack()

    code = main(["run", str(photos), *STACK, *(word.format(photos=photos) for word in typed), "--json"])

    assert code == ExitCode.USAGE
    printed = capsys.readouterr()
    said = said.format(photos=photos)
    assert said in printed.err
    assert said in json.loads(printed.out)["error"]["message"] + json.loads(printed.out)["error"]["hint"]
    assert drones.uploads() == []


def test_help_imports_nothing_slow():
    script = (
        "import sys; from spaceport_cli.parser import parser; parser();"
        "print([m for m in ('boto3', 'pydantic', 'rich', 'websockets', 'asyncio') if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert loaded.stdout.strip() == "[]"


# ---- batch -------------------------------------------


def test_a_folder_of_zips_becomes_a_batch_that_is_followed_to_its_end(stack, told, say, photos, capsys):
    # Given a folder of two zips, and a cloud that finishes what it is sent
    folder = Path("Week 12")
    folder.mkdir()
    for name in ("beach", "cliff"):
        (folder / f"{name}.zip").write_bytes(photos.read_bytes())
    drones = stack()
    batch = {"kind": "batch", "members": ["job-1", "job-2"], "metrics": {"jobs": 2}, "stages": {}}
    ended = told(2, Status.COMPLETED, stage="done", message="2 of 2 jobs have ended: 2 completed")
    drones.api.play(say({**told(1), **batch}, {**ended, **batch}))
    # When
    code = main(["batch", str(folder), *STACK, "--preset", "preview"])
    # Then the zips lie in the manifest's folder, so that they wait for it
    assert code == ExitCode.DONE
    manifest, *zips = sorted(drones.uploads(), key=lambda upload: upload["Key"].endswith(".zip"))
    (stem,) = {upload["Key"].rpartition(".batch/")[0] for upload in zips}
    assert manifest["Key"] == f"{stem}.batch.json"
    # And it asks for what was asked
    body = boto3.client("s3").get_object(Bucket="drones-uploads", Key=manifest["Key"])["Body"].read()
    asked = parse_manifest(body)
    assert (asked.name, asked.defaults.preset) == ("Week 12", "preview")
    assert {entry.s3_url.removeprefix("s3://drones-uploads/") for entry in asked.jobs} == {
        upload["Key"] for upload in zips
    }
    assert [entry.job_name for entry in asked.jobs] == ["beach", "cliff"]
    # And the batch was followed
    batch_id = batch_id_for("drones-uploads", manifest["Key"], manifest["VersionId"])
    assert [request["jobId"] for request in drones.api.requests] == [batch_id]
    assert "2 of 2 jobs have ended: 2 completed" in capsys.readouterr().out


def test_a_folder_without_zips_is_no_batch(stack, capsys):
    stack()
    Path("empty").mkdir()
    assert main(["batch", "empty", *STACK]) == ExitCode.USAGE
    assert main(["batch", "nowhere", *STACK]) == ExitCode.USAGE
    assert "holds 0 zips" in capsys.readouterr().err


@pytest.fixture
def week(photos) -> Path:
    """A folder of two zips that may become models, and two that may not."""
    folder = Path("week")
    folder.mkdir()
    for name, body in (("a", b"no zip"), ("b", photos.read_bytes()), ("c", photos.read_bytes()), ("d", b"")):
        (folder / f"{name}.zip").write_bytes(body)
    return folder


def test_bad_zips_keep_the_batch_from_being_sent_and_are_all_told(stack, week, capsys):
    drones = stack()
    assert main(["batch", "week", *STACK]) == ExitCode.REFUSED
    assert drones.uploads() == []
    err = capsys.readouterr().err
    assert "2 of 4 zips can't become models" in err
    assert [name for name in ("a.zip", "b.zip", "c.zip", "d.zip") if name in err] == ["a.zip", "d.zip"]
    assert "Or send the other 2 zips: --skip-bad." in err


def test_the_other_zips_are_sent_if_asked_and_the_exit_code_tells_of_the_bad_ones(
    stack, told, say, week, capsys
):
    # Given a cloud that finishes what it is sent
    drones = stack()
    ended = told(2, Status.COMPLETED, stage="done", message="2 of 2 jobs have ended: 2 completed")
    drones.api.play(say({**ended, "kind": "batch", "members": ["job-1", "job-2"], "metrics": {"jobs": 2}}))
    # When
    code = main(["batch", "week", *STACK, "--skip-bad"])
    # Then
    assert code == ExitCode.REFUSED
    sent = {upload["Key"].rpartition("/")[2][:2] for upload in drones.uploads() if ".batch/" in upload["Key"]}
    assert sent == {"b-", "c-"}
    out = capsys.readouterr().out
    assert out.count("Left out: ") == 2
    assert "Left out: a.zip" in out
    # But where all are bad, there is nothing to send
    for name in ("b", "c"):
        (week / f"{name}.zip").unlink()
    assert main(["batch", "week", *STACK, "--skip-bad"]) == ExitCode.REFUSED
    assert "--skip-bad" not in capsys.readouterr().err
