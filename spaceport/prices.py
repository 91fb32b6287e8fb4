"""What a job cost, however it ended: the seconds of its machines times a dated table of list prices.

Never a guess. SageMaker bills a job's machine by the second (aws.amazon.com/sagemaker/pricing). The seconds
here are a stage's wall time, which begins when the machine is asked for and, where the stage did not finish,
ends with the job: so a stage costs at most what is told. Tries that failed before a stage waited for another
machine are added, by the times that SageMaker told. Where SageMaker itself told the seconds that it
bills, these count: for a spot instance they are as many as cost the same on demand (DescribeTrainingJob:
savings are 1 - BillableTimeInSeconds / TrainingTimeInSeconds); without them what one cost is not known.
Storage and transfer, which come to a small part of it, are not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from spaceport.job import JobRecord, StageRecord, Try

# USD an hour, on demand, by region and instance type, as read on AS_OF: in two public copies of AWS's price
# page or more that agree; of g4dn one is github.com/goerlitz/nlp-classification,
# notebooks/10kGNAD/sagemaker/README.md. ml.c6i.4xlarge is not here because what can be found of it disagrees:
# 0.68, which is EC2's price, 0.768, and 0.816 by those of smaller sizes. `spaceport doctor --stack` compares
# with AWS's own Price List, and says what to put here.
ON_DEMAND: Mapping[str, Mapping[str, float]] = {
    "us-east-1": {
        "ml.g4dn.xlarge": 0.7364,
        "ml.g4dn.2xlarge": 0.94,
        "ml.g4dn.4xlarge": 1.505,
        "ml.g5.xlarge": 1.408,
        "ml.g5.2xlarge": 1.515,
        "ml.g5.4xlarge": 2.03,
    }
}
AS_OF = "2026-11-23"
# The account of the one-machine cloud (MiniStack's), which Amazon gives to nobody.
OWN_MACHINE = "000000000000"


@dataclass(frozen=True)
class Bill:
    """What each stage cost.

    Attributes:
        stages: USD by the stage's name; None where the price of its machine is not known.
        instances: the machine's type by the stage's name, where there was one.
        own_machine: nobody is paid: it ran without a cloud, or on the one-machine cloud.
        earlier: USD by the stage's name of earlier runs' work that was done anew; None as in `stages`.
    """

    stages: Mapping[str, float | None]
    instances: Mapping[str, str]
    own_machine: bool = False
    earlier: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def known(self) -> float:
        """USD of the stages whose price is known."""
        return sum(cost for cost in self.stages.values() if cost is not None)

    @property
    def unknown(self) -> list[str]:
        """The types of machines whose price is not known, each once."""
        types = (self.instances.get(name, "a machine") for name, cost in self.stages.items() if cost is None)
        return list(dict.fromkeys(types))


def cost_of(seconds: Mapping[str, float], instances: Mapping[str, str], execution_arn: str) -> Bill:
    """The bill of a job's stages.

    Args:
        seconds: wall seconds by the stage's name.
        instances: the type of each stage's machine.
        execution_arn: of the state machine's execution, which names region and account.
    """
    _, _, _, region, account, *_ = execution_arn.split(":")
    if account == OWN_MACHINE:
        return free(seconds)
    return bill_at(seconds, instances, region)


def bill_at(seconds: Mapping[str, float], instances: Mapping[str, str], region: str) -> Bill:
    """The bill of these stages' seconds in a region of AWS; arguments as of `cost_of`."""
    hourly = {name: price_of(instances.get(name, ""), region) for name in seconds}
    stages = {
        name: None if (usd := hourly[name]) is None else spent / 3600 * usd for name, spent in seconds.items()
    }
    return Bill(stages, instances)


def price_of(instance: str, region: str) -> float | None:
    """USD an hour of a machine on demand; None where the table does not know it."""
    return ON_DEMAND.get(region, {}).get(instance)


def bill_of(row: JobRecord, execution_arn: str, now: str) -> Bill:
    """The bill of the stages that `row` has begun, each with all its tries, and of earlier runs of them."""
    parts = list(_parts(row, now))
    each = cost_of(
        {str(i): part.seconds for i, part in enumerate(parts)},
        {str(i): part.machine for i, part in enumerate(parts) if part.machine},
        execution_arn,
    )
    stages: dict[str, float | None] = {}
    instances: dict[str, str] = {}
    for part, cost in zip(parts, each.stages.values(), strict=True):
        before = stages.get(part.stage, 0.0)
        stages[part.stage] = None if before is None or cost is None else before + cost
        if part.machine and (cost is None or part.stage not in instances):
            instances[part.stage] = part.machine  # whose price is not known is named
    return Bill(stages, instances, each.own_machine, row.earlier_costs)


class _Part(NamedTuple):
    """Time of a stage on one machine; that is as the table of prices calls it."""

    stage: str
    seconds: float
    machine: str


def _parts(row: JobRecord, now: str) -> Iterator[_Part]:
    for name, seconds in stage_seconds(row, now).items():
        record = row.stages[name]
        yield _Part(name, record.billable_seconds or seconds, _priced(record))
    for name, record in row.stages.items():
        yield from (
            _Part(name, each.billable_seconds or each.seconds, _priced(each)) for each in record.tries
        )


def _priced(worked: StageRecord | Try) -> str:
    """What a machine is called in the table of prices; a spot instance is not there."""
    on_demand = not worked.spot or worked.billable_seconds
    return f"{worked.instance or ''}" if on_demand else f"{worked.instance} spot"


def stage_seconds(row: JobRecord, now: str) -> dict[str, float]:
    """The wall seconds of each stage that `row` has begun; the one that has not ended ends now."""
    ended = {
        name: record if record.ended else record.model_copy(update={"ended": now})
        for name, record in row.stages.items()
    }
    return {name: record.seconds for name, record in ended.items() if record.seconds is not None}


def free(seconds: Mapping[str, float]) -> Bill:
    """The bill of stages that ran on a machine of one's own."""
    return Bill(dict.fromkeys(seconds, 0.0), {}, own_machine=True)


def dollars(cost: float | None) -> str:
    """What `cost` USD are in words."""
    if cost is None:
        return "price not known"
    return f"${cost:.2f}" if cost >= 0.01 or cost == 0 else "under $0.01"
