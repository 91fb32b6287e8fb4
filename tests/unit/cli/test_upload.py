"""Dropping a zip into a bucket of moto's S3."""

from __future__ import annotations

import json
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from moto import mock_aws

from spaceport.errors import UserError
from spaceport.job import JobRequest, job_id_for
from spaceport.sidecar import to_metadata
from spaceport_cli.photos import PhotoZip
from spaceport_cli.upload import find_job, plan_drop, send

DIGEST = "0123456789abcdef" * 4


@pytest.fixture
def s3(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="uploads")
        client.put_bucket_versioning(Bucket="uploads", VersioningConfiguration={"Status": "Enabled"})
        yield client


@pytest.fixture
def large_zip(tmp_path: Path) -> PhotoZip:
    """20 MB: three parts of a multipart upload; the bytes don't matter here."""
    path = tmp_path / "photos.zip"
    path.write_bytes(bytes(20_000_000))
    return PhotoZip(path, "Playa Ñ / Süd #2", 3, DIGEST)


def test_a_large_zip_goes_up_in_parts_and_becomes_the_job_of_its_version(s3, large_zip):
    drop = plan_drop("uploads", large_zip, JobRequest(job_name="Süd", holdout=8))
    told: list[tuple[int, int]] = []

    job_id = send(s3, drop, lambda sent, total: told.append((sent, total)))

    head = s3.head_object(Bucket="uploads", Key=drop.key)
    assert head["ETag"].endswith('-3"')
    assert job_id == job_id_for("uploads", drop.key, head["VersionId"])
    assert json.loads(head["Metadata"]["spaceport"]) == {"jobName": "Süd", "holdout": 8}
    assert [sent for sent, _ in told] == sorted(sent for sent, _ in told)
    assert told[-1] == (20_000_000, 20_000_000)


def test_the_key_is_the_flights_name_in_plain_letters_and_the_digest(large_zip):
    assert plan_drop("b", large_zip, JobRequest()).key == "uploads/operator/Playa-N-Sud-2-0123456789ab.zip"


@pytest.mark.parametrize("name", ["写真", "..", "   "])
def test_a_name_without_plain_letters_still_makes_a_key(tmp_path, name):
    drop = plan_drop("b", PhotoZip(tmp_path, name, 3, DIGEST), JobRequest())

    assert drop.key == "uploads/operator/photos-0123456789ab.zip"


def test_metadata_is_ascii_and_holds_only_what_was_asked():
    text = to_metadata(JobRequest(job_name="Ñ", max_iterations=500))

    assert text == '{"jobName":"\\u00d1","max_iterations":500}'
    assert JobRequest.model_validate_json(text).job_name == "Ñ"


def test_only_the_same_settings_find_the_earlier_job(s3, large_zip):
    first = plan_drop("uploads", large_zip, JobRequest(holdout=8))
    assert find_job(s3, first) is None

    job_id = send(s3, first, lambda *_: None)

    assert find_job(s3, first) == job_id
    assert find_job(s3, plan_drop("uploads", large_zip, JobRequest(holdout=4))) is None


def test_a_bucket_that_does_not_take_it_is_told_as_such(s3, large_zip):
    drop = plan_drop("nobodys-bucket", large_zip, JobRequest())

    with pytest.raises(UserError, match=r"could not be uploaded.*NoSuchBucket") as failed:
        send(s3, drop, lambda *_: None)
    assert failed.value.code == "upload_failed"


def test_a_cloud_that_cannot_be_reached_is_told_as_such(large_zip):
    nowhere = boto3.client(
        "s3",
        endpoint_url="http://127.0.0.1:9",  # the discard port: nobody listens
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(retries={"max_attempts": 0}),
    )

    with pytest.raises(UserError, match="could not be uploaded"):
        find_job(nowhere, plan_drop("uploads", large_zip, JobRequest()))
