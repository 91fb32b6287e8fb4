"""What `spaceport run` and `batch` say of the cost before they send any photos."""

from __future__ import annotations

from collections.abc import Sequence

from spaceport.estimate import estimate
from spaceport.job import JobRequest
from spaceport.prices import AS_OF, OWN_MACHINE, Bill, dollars
from spaceport.stages import COMPRESSION, SFM, TRAINING
from spaceport.tuning import TuningRequest, resolve
from spaceport_cli.clouds import Cloud

_OUTPUTS = {
    SFM.name: "SfmInstanceType",
    TRAINING.name: "TrainingInstanceType",
    COMPRESSION.name: "CompressionInstanceType",
}


def expected_cost(cloud: Cloud, flights: Sequence[int], request: JobRequest) -> str | None:
    """The line to print; None where jobs cost nothing, or the stack is too old to name its machines.

    Args:
        flights: how many photos each job has.
    """
    outputs = cloud.outputs
    if "StateMachineArn" not in outputs or not set(_OUTPUTS.values()) <= outputs.keys():
        return None
    _, _, _, region, account, *_ = outputs["StateMachineArn"].split(":")
    if account == OWN_MACHINE:
        return None
    tuning = resolve(
        TuningRequest.model_validate(request.model_dump(include=set(TuningRequest.model_fields)))
    )
    instances = {name: outputs[key] for name, key in _OUTPUTS.items()}
    return told([estimate(photos, tuning, instances, region) for photos in flights])


def told(bills: Sequence[Bill]) -> str:
    """`Expected cost: up to about $0.23 (list prices of 2026-11-23).`"""
    known = sum(bill.known for bill in bills)
    unknown = " and ".join(dict.fromkeys(kind for bill in bills for kind in bill.unknown))
    if not known:
        return f"Expected cost: not known, for {unknown}."
    beside = f", and what {unknown} costs, which is not known" if unknown else ""
    return f"Expected cost: up to about {dollars(known)}{beside} (list prices of {AS_OF})."
