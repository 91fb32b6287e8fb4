"""`spaceport example-input`: an execution input to start the stack's state machine with by hand."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from spaceport.job import OPERATOR, JobInput, PipelineStep, now_iso
from spaceport.prices import OWN_MACHINE
from spaceport_cli.clouds import Cloud, output, running_cloud
from spaceport_cli.exits import ExitCode, UsageError

_IMAGES = ("SfmImageUri", "GaussianImageUri", "CompressorImageUri")
_FILE = "in.json"


def execute(args: argparse.Namespace) -> ExitCode:
    """Print the input on standard output, and on standard error how to start an execution with it."""
    with running_cloud(args.stack) as cloud:
        outputs = {name: output(cloud, name) for name in ("UploadsBucket", "DataBucket", *_IMAGES)}
        started_by = _command(cloud, args.stack)
    now = datetime.now(UTC)
    job_id = f"example-{secrets.token_hex(4)}"
    made = example_input(outputs, job_id, now_iso(now), _zip(args.s3_url, outputs["UploadsBucket"]))
    print(json.dumps(made, indent=2))
    print(
        f"Save it as {_FILE}, name your zip in s3Url and inputS3Uri (or by --s3-url), and start it by\n"
        f"  {started_by}\nThen follow it by\n  spaceport watch {job_id}{_of(args.stack)}",
        file=sys.stderr,
    )
    return ExitCode.DONE


def example_input(outputs: Mapping[str, str], job_id: str, now: str, zip_uri: str) -> dict[str, Any]:
    """A valid input with every field that there usually is, those of `events/start_execution.json`.

    Args:
        outputs: the stack's outputs.
        now: the time as rows hold it.
        zip_uri: the S3 URI of the photos.
    """
    home = f"s3://{outputs['DataBucket']}/jobs/{job_id}"
    made = {
        "jobId": job_id,
        "jobName": "Example",
        "s3Url": zip_uri,
        "inputS3Uri": zip_uri,
        "email": "pilot@example.org",
        "timestamp": now,
        "pipelineStep": PipelineStep.SFM.value,
        "extractedS3Uri": f"{home}/extracted/",
        "colmapOutputS3Uri": f"{home}/colmap/",
        "gaussianOutputS3Uri": f"{home}/gaussian/",
        "compressedOutputS3Uri": f"{home}/compressed/",
        "extractorImageUri": outputs["SfmImageUri"],
        "sfmImageUri": outputs["SfmImageUri"],
        "gaussianImageUri": outputs["GaussianImageUri"],
        "compressorImageUri": outputs["CompressorImageUri"],
        "preset": "preview",
        "optimization_enabled": True,
        "progressive_resolution": True,
        "psnr_plateau_termination": True,
        "target_psnr": 30,
        "max_iterations": 1500,
        "plateau_patience": 500,
        "holdout": 8,
    }
    JobInput.model_validate(made)
    return made


def _zip(asked: str | None, bucket: str) -> str:
    if asked is None:
        return f"s3://{bucket}/uploads/{OPERATOR}/photos.zip"
    if not asked.startswith(f"s3://{bucket}/"):
        raise UsageError(
            f"{asked} is not in this stack's uploads bucket.", f"Put the zip below s3://{bucket}/ first."
        )
    return asked


def _of(stack: str | None) -> str:
    return f" --stack {stack}" if stack else ""


def _command(cloud: Cloud, stack: str | None) -> str:
    """The command that starts an execution.

    A cloud that is no account on AWS is named by its address. It knows one key that may do everything, also
    where IAM is enforced: the account's number.
    """
    meta = cloud.client("stepfunctions").meta
    who = [] if stack else [f"AWS_ACCESS_KEY_ID={OWN_MACHINE} AWS_SECRET_ACCESS_KEY=any"]
    where = [] if stack else [f"  --endpoint-url {meta.endpoint_url}"]
    words = [
        *who,
        f"aws stepfunctions start-execution --region {meta.region_name}",
        *where,
        f"  --state-machine-arn {output(cloud, 'StateMachineArn')}",
        f"  --input file://{_FILE}",
    ]
    return " \\\n  ".join(words)
