"""What a job cost: by the table where it knows the machine, nothing on one's own, else said to be unknown."""

import pytest

from spaceport.job import JobRecord, StageRecord, Try
from spaceport.prices import ON_DEMAND, bill_of, cost_of, free
from spaceport_local.endpoint import ACCOUNT, REGION

ON_AWS = "arn:aws:states:{}:123456789012:execution:spaceport:job-1-1"
SECONDS = {"sfm": 600.0, "3dgs": 1800.0, "compression": 60.0}


def test_a_known_machine_costs_its_seconds():
    bill = cost_of({"3dgs": 1800.0}, {"3dgs": "ml.g4dn.xlarge"}, ON_AWS.format("us-east-1"))
    assert bill.stages["3dgs"] == pytest.approx(ON_DEMAND["us-east-1"]["ml.g4dn.xlarge"] / 2)
    assert bill.known == bill.stages["3dgs"]
    assert bill.unknown == []


@pytest.mark.parametrize(
    ("region", "instance"), [("us-east-1", "ml.huge"), ("eu-west-1", "ml.g4dn.xlarge"), ("us-east-1", None)]
)
def test_an_unknown_machine_or_region_is_never_guessed(region, instance):
    instances = {"3dgs": instance} if instance else {}
    bill = cost_of({"3dgs": 1800.0}, instances, ON_AWS.format(region))
    assert bill.stages == {"3dgs": None}
    assert bill.unknown == [instance or "a machine"]
    assert bill.known == 0


def test_an_unknown_type_is_named_once():
    instances = {"sfm": "ml.huge", "3dgs": "ml.g4dn.xlarge", "compression": "ml.huge"}
    assert cost_of(SECONDS, instances, ON_AWS.format("us-east-1")).unknown == ["ml.huge"]


@pytest.mark.parametrize(
    ("spot", "billed", "hours"),
    [(False, None, 2), (False, 3600, 1), (True, 1800, 0.5), (True, None, None)],
)
def test_what_sagemaker_bills_counts_and_a_spot_instance_without_it_is_not_known(spot, billed, hours):
    # Given a training that took two hours
    record = StageRecord(
        started="2026-01-01T00:00:00.000Z", ended="2026-01-01T02:00:00.000Z",
        instance="ml.g4dn.xlarge", spot=spot, billable_seconds=billed,
    )  # fmt: skip
    row = JobRecord(job_id="job-1", created_at="", updated_at="", stages={"3dgs": record})
    bill = bill_of(row, ON_AWS.format("us-east-1"), "2026-01-01T03:00:00.000Z")
    hourly = ON_DEMAND["us-east-1"]["ml.g4dn.xlarge"]
    assert bill.stages["3dgs"] == (None if hours is None else pytest.approx(hours * hourly))
    assert bill.unknown == (["ml.g4dn.xlarge spot"] if hours is None else [])


BEGUN, ENDED = "2026-01-01T00:00:00.000Z", "2026-01-01T02:00:00.000Z"
HALF_AN_HOUR = Try(instance="ml.g4dn.xlarge", seconds=1800)
SPOT = Try(instance="ml.g4dn.xlarge", spot=True, seconds=3600, billable_seconds=900)
UNTOLD_SPOT = Try(instance="ml.g4dn.xlarge", spot=True, seconds=3600)
LAST = {"started": BEGUN, "ended": ENDED, "instance": "ml.g4dn.xlarge"}


@pytest.mark.parametrize(
    ("tries", "last", "hours"),
    [
        ((HALF_AN_HOUR,), LAST, 2.5),
        ((HALF_AN_HOUR, SPOT), LAST, 2.75),
        ((SPOT,), {**LAST, "billable_seconds": 3600}, 1.25),
        ((SPOT, SPOT), {}, 0.5),  # it still waits, or gave up waiting
        ((UNTOLD_SPOT,), LAST, None),
        ((HALF_AN_HOUR,), {**LAST, "instance": "ml.huge"}, None),
    ],
)
def test_a_stage_costs_what_all_its_tries_did(tries, last, hours):
    row = JobRecord(
        job_id="job-1", created_at="", updated_at="", stages={"3dgs": StageRecord(tries=tries, **last)}
    )
    bill = bill_of(row, ON_AWS.format("us-east-1"), "2026-01-01T03:00:00.000Z")
    hourly = ON_DEMAND["us-east-1"]["ml.g4dn.xlarge"]
    assert bill.stages == {"3dgs": None if hours is None else pytest.approx(hours * hourly)}
    assert len(bill.unknown) == (hours is None)


def test_the_one_machine_cloud_costs_nothing_whatever_it_calls_its_machines():
    arn = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:spaceport:job-1-1"
    bill = cost_of(SECONDS, {"3dgs": "ml.g4dn.xlarge"}, arn)
    assert bill == free(SECONDS)
    assert bill.own_machine
    assert set(bill.stages.values()) == {0.0}
