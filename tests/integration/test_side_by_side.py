"""Two local clouds at once, each with its own folder and port: neither sees anything of the other's."""

from __future__ import annotations

from pathlib import Path

import pytest

from spaceport_local.cloud import LocalCloud

pytestmark = pytest.mark.engine


def test_two_clouds_run_a_job_each_and_see_only_their_own(tmp_path: Path, stack_of, stubs, photos_zip):
    # Given two clouds of one checkout
    clouds = [LocalCloud(data_dir=tmp_path / name, options=stubs.options) for name in ("one", "other")]
    try:
        for cloud in clouds:
            cloud.up()
        one, other = (stack_of(cloud) for cloud in clouds)
        assert one.cloud.websocket_url().split("/")[2] != other.cloud.websocket_url().split("/")[2]
        # When each gets a flight of the same name, and both work on it at the same time
        stubs.hold("3dgs")
        jobs = [stack.drop(photos_zip, "uploads/operator/flight.zip") for stack in (one, other)]
        for stack, job_id in zip((one, other), jobs, strict=True):
            with stack.follow(job_id) as follower:
                follower.until(lambda status: status["stage"] == "3dgs", seconds=60)
        stubs.let_go()
        # Then each finishes its own job and has no other
        for stack, own, foreign in ((one, *jobs), (other, *reversed(jobs))):
            assert stack.last_status(own, seconds=60)["status"] == "COMPLETED"
            rows = stack.cloud.client("dynamodb").scan(TableName=stack.output("JobsTable"))["Items"]
            assert [row["jobId"]["S"] for row in rows] == [own]
            assert len(stack.executions_of(own)) == 1
            assert stack.executions_of(foreign) == []
            listed = stack.cloud.client("s3").list_objects_v2(Bucket=stack.output("DataBucket"))
            assert {entry["Key"].split("/")[1] for entry in listed["Contents"]} == {own}
        # And the end of one is not the end of the other
        one.cloud.down()
        assert other.last_status(jobs[1], seconds=10)["status"] == "COMPLETED"
    finally:
        stubs.let_go()
        for cloud in clouds:
            cloud.down()
