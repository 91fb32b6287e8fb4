"""A dropped zip becomes one row, whatever is in it and however often the event comes."""

from __future__ import annotations

import json
from dataclasses import replace

import boto3
import pytest
from botocore.exceptions import ClientError
from odd_zips import REFUSED, TAKEN
from zip_writer import DEFLATED, Entry, photo, photos, written

from spaceport.executions import execution_input
from spaceport.job import job_id_for
from spaceport.stages import SETUP, Status


def test_a_zip_of_photos_is_queued_with_what_its_metadata_asks_for(aws, load, context, photo_zip):
    # Given a drop with a name, an e-mail address and a preset in the object's metadata
    asked = {"jobName": "Beach", "email": "a@example.org", "preset": "preview", "holdout": 8}
    event = aws.drop("uploads/ann/Beach Flight.ZIP", photo_zip, {"spaceport": json.dumps(asked)})
    # When the event arrives
    told = load("ingest_upload").handler(event, context)
    # Then the row is queued, is Ann's, and carries the request
    row = aws.jobs.get(told["jobId"])
    assert row is not None
    assert (row.status, row.owner, row.job_name, row.email) == (
        Status.QUEUED,
        "ann",
        "Beach",
        "a@example.org",
    )
    assert row.request["holdout"] == 8
    assert (row.stage, row.message, row.version) == (SETUP.name, SETUP.message, 1)


def test_a_key_is_taken_as_it_is(aws, load, context, photo_zip):
    # Given names that mean another one if taken for URL-encoded: EventBridge gives keys as they are
    handler = load("ingest_upload").handler
    for key in ("north+south.zip", "100%25.zip", "Süd.zip"):
        told = handler(aws.drop(key, photo_zip), context)
        row = aws.jobs.get(told["jobId"])
        assert row is not None
        assert (row.status, row.source) == (Status.QUEUED, f"s3://{aws.uploads_bucket}/{key}")


def test_the_same_event_twice_makes_one_job(aws, load, context, photo_zip):
    event = aws.drop("photos.zip", photo_zip)
    handler = load("ingest_upload").handler
    first, second = handler(event, context), handler(event, context)
    assert first["jobId"] == second["jobId"]
    assert (first["created"], second["created"]) == (True, False)


def test_an_event_that_comes_again_needs_no_zip(aws, load, context, photo_zip):
    # Given a job whose zip is deleted by now
    event = aws.drop("photos.zip", photo_zip)
    handler = load("ingest_upload").handler
    told = handler(event, context)
    version = event["detail"]["object"]["version-id"]
    boto3.client("s3").delete_object(Bucket=aws.uploads_bucket, Key="photos.zip", VersionId=version)
    # When its event comes again
    assert handler(event, context) == {"jobId": told["jobId"], "status": None, "created": False}
    # Then the job is what it was; but a zip that nobody has seen is not passed over in silence
    assert aws.jobs.get(told["jobId"]).status is Status.QUEUED
    event["detail"]["object"]["key"] = "never-seen.zip"
    with pytest.raises(ClientError):
        handler(event, context)


def test_the_same_name_dropped_again_is_another_job(aws, load, context, photo_zip):
    handler = load("ingest_upload").handler
    first = handler(aws.drop("photos.zip", photo_zip), context)
    second = handler(aws.drop("photos.zip", photo_zip), context)
    assert first["jobId"] != second["jobId"]


def test_the_id_is_what_a_client_computes_from_the_version(aws, load, context, photo_zip):
    event = aws.drop("photos.zip", photo_zip)
    version = event["detail"]["object"]["version-id"]
    assert load("ingest_upload").handler(event, context)["jobId"] == job_id_for(
        aws.uploads_bucket, "photos.zip", version
    )


def test_a_bad_zip_is_rejected_in_words_its_owner_sees(aws, load, context):
    told = load("ingest_upload").handler(aws.drop("holiday.zip", b"no zip at all"), context)
    row = aws.jobs.get(told["jobId"])
    assert row is not None
    assert row.status is Status.REJECTED
    assert row.error is not None
    assert row.error.code == "not_a_zip"
    assert "holiday.zip" in row.error.message


def test_metadata_that_can_not_be_used_is_rejected_too(aws, load, context, photo_zip):
    handler = load("ingest_upload").handler
    for metadata in ("{", '{"preset": "ultra"}', "[]"):
        told = handler(aws.drop("photos.zip", photo_zip, {"spaceport": metadata}), context)
        row = aws.jobs.get(told["jobId"])
        assert row is not None
        assert row.error is not None
        assert row.error.code == "bad_metadata"


def test_refused_metadata_names_the_field_that_is_wrong(aws, load, context, photo_zip):
    told = load("ingest_upload").handler(
        aws.drop("photos.zip", photo_zip, {"spaceport": '{"holdout": -1}'}), context
    )
    row = aws.jobs.get(told["jobId"])
    assert row is not None
    assert row.error is not None
    assert "holdout: Input should be" in row.error.message


@pytest.mark.parametrize("name", ["n" * 300, "Strand (Süd) n°1 \u202f"])
def test_whatever_is_queued_can_be_started(aws, load, context, photo_zip, name):
    # Given a zip whose name is longer, or odder, than a job's
    told = load("ingest_upload").handler(aws.drop(f"uploads/ann/{name}.zip", photo_zip), context)
    # Then DispatchJobs can make an execution's input of its row
    row = aws.jobs.get(told["jobId"])
    assert row is not None
    assert row.status is Status.QUEUED
    assert execution_input(row).job_name == row.job_name == name[:200]


@pytest.mark.parametrize("key", ["two\nlines.zip", "nul\0.zip", "f" * 1015 + "/a.zip"])
def test_a_key_that_no_execution_can_be_given_is_rejected(aws, load, context, photo_zip, key):
    told = load("ingest_upload").handler(aws.drop(key, photo_zip), context)
    row = aws.jobs.get(told["jobId"])
    assert row is not None
    assert row.error is not None
    assert (row.status, row.error.code) == (Status.REJECTED, "bad_key")
    assert "too long, or holds control characters" in row.error.message


def with_sidecar(said: object) -> bytes:
    """Three photos and a `spaceport.json` that says `said`."""
    return written([*photos(3), Entry(b"spaceport.json", json.dumps(said).encode(), method=DEFLATED)])


def test_a_zip_says_itself_how_it_wants_to_be_done(aws, load, context):
    # Given a zip whose root holds its settings
    said = {"jobName": "Beach", "preset": "preview", "holdout": 8}
    # When it is dropped without any metadata
    told = load("ingest_upload").handler(aws.drop("uploads/ann/x.zip", with_sidecar(said)), context)
    # Then its job is as it says
    row = aws.jobs.get(told["jobId"])
    assert row is not None
    assert (row.status, row.job_name) == (Status.QUEUED, "Beach")
    assert row.request == {**said, "pipelineStep": "sfm"}


def test_a_zip_does_not_say_who_is_written_to(aws, load, context):
    # Given a stranger's zip that names somebody
    said = {"email": "victim@example.org", "preset": "preview"}
    # When the operator drops it, with an address and without
    ingest = load("ingest_upload").handler
    mine = {"spaceport": json.dumps({"email": "pilot@example.org"})}
    rows = [
        aws.jobs.get(ingest(aws.drop(name, with_sidecar(said), metadata), context)["jobId"])
        for name, metadata in (("x.zip", {}), ("y.zip", mine))
    ]
    # Then only the operator's address counts, and the row tells it
    assert [row.email for row in rows] == [None, "pilot@example.org"]
    assert [row.request.get("email") for row in rows] == [None, "pilot@example.org"]
    assert all("The email in the zip's spaceport.json is not used" in row.warnings[-1] for row in rows)


def test_the_zips_of_a_user_called_like_a_batch_are_jobs(aws, load, context, photo_zip):
    ingest = load("ingest_upload").handler
    assert ingest(aws.drop("uploads/joe.batch/x.zip", photo_zip), context)["jobId"] is not None
    assert ingest(aws.drop("uploads/joe.batch/week.batch/x.zip", photo_zip), context)["jobId"] is None


def test_metadata_beats_the_sidecar_field_by_field(aws, load, context):
    said = {"jobName": "Beach", "preset": "preview", "holdout": 8}
    metadata = {"spaceport": json.dumps({"preset": "quality", "holdout": None})}
    told = load("ingest_upload").handler(aws.drop("x.zip", with_sidecar(said), metadata), context)
    row = aws.jobs.get(told["jobId"])
    assert row is not None
    assert row.request == {**said, "preset": "quality", "pipelineStep": "sfm"}


def test_a_sidecar_that_can_not_be_used_is_rejected(aws, load, context):
    told = load("ingest_upload").handler(aws.drop("x.zip", with_sidecar({"preset": "ultra"})), context)
    row = aws.jobs.get(told["jobId"])
    assert row is not None
    assert row.error is not None
    assert (row.status, row.error.code) == (Status.REJECTED, "bad_sidecar")
    assert "preset: Input should be" in row.error.message


def test_what_is_odd_but_no_hindrance_is_a_warning_in_the_row(aws, load, context):
    # Given a zip with a copy of a photo, and another zip
    zipped = written([*photos(3), replace(photo(1), name=b"copy.jpg"), Entry(b"more.zip", b"PK")])
    # When it is dropped
    told = load("ingest_upload").handler(aws.drop("x.zip", zipped), context)
    # Then its job is queued, and says so
    row = aws.jobs.get(told["jobId"])
    assert row is not None
    assert row.status is Status.QUEUED
    assert [warning.split(" that ")[0] for warning in row.status_view()["warnings"]] == [
        "x.zip holds 1 photo (copy.jpg)",
        "x.zip holds 1 archive (more.zip)",
    ]


def test_odd_zips_are_judged_in_s3_as_on_a_disk(aws, load, context):
    # Given every odd zip there is, in the uploads bucket
    handler = load("ingest_upload").handler
    for about, (content, code) in REFUSED.items():
        # When it is dropped, Then its row says what whoever judges it on a disk would
        row = aws.jobs.get(handler(aws.drop("flight.zip", content), context)["jobId"])
        assert row is not None
        assert row.error is not None, about
        assert (row.status, row.error.code) == (Status.REJECTED, code), about
    for about, (content, codes) in TAKEN.items():
        row = aws.jobs.get(handler(aws.drop("flight.zip", content), context)["jobId"])
        assert row is not None
        assert (row.status, len(row.warnings)) == (Status.QUEUED, len(codes)), about
