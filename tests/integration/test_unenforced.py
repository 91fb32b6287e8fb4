"""The local cloud as `spaceport up` starts it: without IAM. All other tests run with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from spaceport.errors import UserError
from spaceport_local.cloud import LocalCloud

pytestmark = pytest.mark.engine


def test_a_job_runs_without_iam_and_nobody_takes_that_cloud_for_another(
    tmp_path: Path, stack_of, stubs, photos_zip: bytes
):
    # Given a cloud that asks no role
    cloud = LocalCloud(data_dir=tmp_path, options=stubs.options, enforce_iam=False)
    told: list[str] = []
    try:
        cloud.up(told.append)
        assert not [line for line in told if "IAM" in line]
        # When a flight is dropped
        stack = stack_of(cloud)
        job_id = stack.drop(photos_zip, "uploads/operator/flight.zip")
        # Then it becomes a splat
        last = stack.last_status(job_id, seconds=60)
        assert last["status"] == "COMPLETED", last["error"]
        # And who wants roles to be asked is told that this cloud doesn't
        with pytest.raises(UserError, match="does not enforce IAM") as refused:
            LocalCloud(data_dir=tmp_path, enforce_iam=True).up()
        assert refused.value.code == "enforces_otherwise"
    finally:
        cloud.down()
