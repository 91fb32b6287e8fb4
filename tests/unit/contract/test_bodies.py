"""What a caller may send: every field that does not fit is named, whatever is in it."""

from __future__ import annotations

import json

import pytest

from spaceport.bodies import RetryBody, StartBody, parse_body
from spaceport.errors import UserError
from spaceport.job import JobRequest, PipelineStep
from spaceport.tuning import Preset

ZIP = {"s3Url": "s3://uploads/uploads/ann/beach.zip"}


def test_a_body_becomes_the_request_that_a_row_holds():
    body = {**ZIP, "jobName": "Beach", "preset": "preview", "pipelineStep": "3dgs", "tuning": {"seed": 3}}
    assert parse_body(StartBody, json.dumps(body).encode()).job_request() == JobRequest(
        job_name="Beach", preset=Preset.PREVIEW, pipeline_step=PipelineStep.TRAINING, seed=3
    )


def test_a_preset_may_be_given_among_the_tuning_or_twice_the_same():
    for body in ({"tuning": {"preset": "quality"}}, {"preset": "quality", "tuning": {"preset": "quality"}}):
        parsed = parse_body(StartBody, json.dumps({**ZIP, **body}).encode())
        assert parsed.job_request().preset is Preset.QUALITY


def test_an_empty_body_is_an_empty_object():
    assert parse_body(RetryBody, b"") == parse_body(RetryBody, b" {} ") == RetryBody()


@pytest.mark.parametrize(
    ("fields", "code", "named"),
    [
        ({"sfmImageUri": "evil/image"}, "unknown_field", "sfmImageUri"),
        ({"extractedS3Uri": "s3://elsewhere/x"}, "unknown_field", "extractedS3Uri"),
        ({"": 1}, "unknown_field", "no field"),
        ({"x" * 10_000: 1}, "unknown_field", "xxx"),
        ({"tuning": {"image": "evil"}}, "unknown_field", "tuning.image"),
        ({"tuning": {"max_iterations": -1}}, "bad_field", "tuning.max_iterations"),
        ({"tuning": {"target_psnr": float("nan")}}, "bad_field", "tuning.target_psnr"),
        ({"tuning": {"seed": 10**400}}, "bad_field", "tuning.seed"),
        ({"tuning": {"holdout": 1}}, "bad_field", "tuning.holdout"),
        ({"tuning": 7}, "bad_field", "tuning"),
        ({"preset": "ultra"}, "bad_field", "preset"),
        ({"preset": "preview", "tuning": {"preset": "quality"}}, "bad_field", "tuning.preset"),
        ({"pipelineStep": "fourth"}, "bad_field", "pipelineStep"),
        ({"jobName": "n" * 201}, "bad_field", "jobName"),
        ({"jobName": "Beach\0"}, "bad_field", "jobName"),
        ({"jobName": "Beach\nparty"}, "bad_field", "jobName"),
        ({"s3Url": "s3://uploads/uploads/ann/\0.zip"}, "bad_field", "s3Url"),
        ({"jobName": "\ud800"}, "bad_field", "jobName"),
        ({"email": "nobody"}, "bad_field", "email"),
        ({"s3Url": "https://example.org/a.zip"}, "bad_field", "s3Url"),
        ({"s3Url": ["s3://a"]}, "bad_field", "s3Url"),
        ({"s3Url": None}, "bad_field", "s3Url"),
        ({"s3Url": "s3://uploads/" + "a" * 1024 + ".zip"}, "bad_field", "s3Url"),
        ({"s3Url": "s3://uploads/two\nlines.zip"}, "bad_field", "s3Url"),
    ],
)
def test_a_field_that_does_not_fit_is_named(fields, code, named):
    with pytest.raises(UserError) as refused:
        parse_body(StartBody, json.dumps({**ZIP, **fields}).encode())
    assert refused.value.code == code
    assert named in refused.value.message
    assert len(refused.value.message) < 300
    assert "preset, tuning, s3Url, jobName, email, pipelineStep" in refused.value.hint


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b'"text"', b"NaN", b"\xff\xfe\x00", b"[" * 50_000])
def test_what_is_no_object_is_refused(body):
    with pytest.raises(UserError) as refused:
        parse_body(StartBody, body)
    assert refused.value.code == "bad_body"
