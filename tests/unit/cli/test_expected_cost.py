"""What is said of a job's cost before its photos are sent."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from spaceport.job import JobRequest
from spaceport_cli.expected_cost import expected_cost
from spaceport_local.endpoint import ACCOUNT

REQUEST = JobRequest.model_validate({"preset": "preview", "jobName": "Beach", "max_iterations": 500})


def cloud(account: str = "123456789012", region: str = "us-east-1", **machines: str) -> SimpleNamespace:
    outputs = {
        "StateMachineArn": f"arn:aws:states:{region}:{account}:stateMachine:Pipeline",
        "SfmInstanceType": "ml.c6i.4xlarge",
        "TrainingInstanceType": "ml.g4dn.xlarge",
        "CompressionInstanceType": "ml.c6i.4xlarge",
        **machines,
    }
    return SimpleNamespace(outputs=outputs)


def test_what_is_not_known_of_the_cost_is_named_once():
    told = expected_cost(cloud(), [20], REQUEST)
    assert told.startswith("Expected cost: up to about $0.0")
    assert told.count("ml.c6i.4xlarge") == 1


def test_where_all_is_known_it_is_a_sum():
    told = expected_cost(
        cloud(SfmInstanceType="ml.g5.xlarge", CompressionInstanceType="ml.g5.xlarge"), [20], REQUEST
    )
    assert "not known" not in told


def test_where_nothing_is_known_it_says_so():
    assert expected_cost(cloud(region="mars-1"), [20], REQUEST).startswith("Expected cost: not known")


@pytest.mark.parametrize("quiet", [cloud(account=ACCOUNT), SimpleNamespace(outputs={})])
def test_ones_own_machine_costs_nothing_and_an_old_stack_tells_nothing(quiet):
    assert expected_cost(quiet, [20], REQUEST) is None


def test_a_batch_costs_what_its_jobs_do():
    sums = [
        float(re.search(r"\$([\d.]+)", expected_cost(cloud(), flights, REQUEST))[1])
        for flights in ([20], [20] * 10)
    ]
    assert sums[1] == pytest.approx(10 * sums[0], abs=0.1)  # each is told to the cent
