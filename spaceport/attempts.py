"""What the state machine tries next: whether, when, under which names, and on which machines.

The plan begins with it, and `classify_failure` writes it anew after each failure of a stage's job.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from spaceport.job import PipelineStep, Try

# The SageMaker jobs that one entry of a stage may create: one more than `MaxAttempts` of the states that do
# (a contract test compares them). The next entry's names begin after them, for a name can't be used twice.
TRIES_OF_AN_ENTRY = 6


# The fields of `Attempt`: the steps' own names are no names of paths.
MACHINES = {
    PipelineStep.SFM: "sfm",
    PipelineStep.TRAINING: "training",
    PipelineStep.COMPRESSION: "compression",
}


# Training's limits, by SageMaker's names: how long it runs, and with a spot instance, how long it waits and
# runs. A day has a night in it, when spot capacity comes back.
ON_DEMAND_LIMITS = {"MaxRuntimeInSeconds": 21_600}
SPOT_LIMITS = {**ON_DEMAND_LIMITS, "MaxWaitTimeInSeconds": 86_400}


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class Remedy(StrEnum):
    """What to do about a stage's job that failed; the state machine compares these words."""

    AGAIN = "again"  # at once: it did run, so its time and its cost go on
    WAIT = "wait"  # for a machine, if only until the next one is asked for: nothing ran
    FAIL = "fail"


class Machine(_Part):
    """The machine that a stage asks for, and how often it has asked.

    Attributes:
        instance_type: what to ask for next.
        instance_types: all that it may ask for, the first choice first.
        first_attempt: the number in the name of the next SageMaker job, to which Step Functions adds its own
            count of tries.
        waits: how often the stage has waited for a machine since it last had one.
        short_since: when it first got none after that (ISO 8601); empty while it gets one.
        unavailable: the types that this account may have none of.
        aws_faults: how often AWS has failed the job by itself.
        repeats: how often the job was tried again at once since the stage last waited.
        tries: the stage's jobs that had a machine, and failed.
    """

    instance_type: str
    instance_types: tuple[str, ...]
    first_attempt: int = 0
    waits: int = 0
    short_since: str = ""
    unavailable: tuple[str, ...] = ()
    aws_faults: int = 0
    repeats: int = 0
    tries: tuple[Try, ...] = ()

    @classmethod
    def first_of(cls, listed: str) -> Self:
        """The first of the instance types in `listed`, which are parted by commas. ValueError without any."""
        names = tuple(dict.fromkeys(name for part in listed.split(",") if (name := part.strip())))
        if not names:
            raise ValueError("no instance type is given")
        return cls(instance_type=names[0], instance_types=names)


class TrainingMachine(Machine):
    """The machine that training asks for, which may be a spot instance: cheaper, and AWS may take it away.

    Training goes on from its last checkpoint then, as soon as SageMaker has another.

    Attributes:
        spot: whether to ask for one next.
        stopping_condition: how long the job may take (SageMaker's StoppingCondition), seconds.
    """

    spot: bool = False
    stopping_condition: dict[str, int] = ON_DEMAND_LIMITS

    def on_spot(self) -> Self:
        return self.model_copy(update={"spot": True, "stopping_condition": SPOT_LIMITS})

    def on_demand(self) -> Self:
        return self.model_copy(update={"spot": False, "stopping_condition": ON_DEMAND_LIMITS})


class Attempt(_Part):
    """What to do next, and each stage's machine.

    Attributes:
        seconds: to wait before; 0 where another machine is to be asked for.
        next_try_at: when that is over (ISO 8601); empty without a wait.
        detail: what the row says of the wait.
        tries: those of the stage that waits, as JSON: the state machine puts it into the row as it is.
    """

    remedy: Remedy = Remedy.AGAIN
    seconds: int = 0
    next_try_at: str = ""
    detail: str = ""
    tries: str = "[]"
    sfm: Machine
    training: TrainingMachine
    compression: Machine

    def of(self, step: PipelineStep) -> Machine:
        """The machine of `step`'s stage."""
        machine: Machine = getattr(self, MACHINES[step])
        return machine


def as_text(tries: Iterable[Try]) -> str:
    """`tries` as `Attempt.tries` has them."""
    return json.dumps([each.model_dump(mode="json") for each in tries])
