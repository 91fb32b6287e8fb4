"""What `spaceport run` says of a job's cost before it sends the photos."""

from __future__ import annotations

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


def expected_cost(cloud: Cloud, photos: int, request: JobRequest) -> str | None:
    """The line to print; None where the job costs nothing, or the stack is too old to name its machines."""
    outputs = cloud.outputs
    if "StateMachineArn" not in outputs or not set(_OUTPUTS.values()) <= outputs.keys():
        return None
    _, _, _, region, account, *_ = outputs["StateMachineArn"].split(":")
    if account == OWN_MACHINE:
        return None
    tuning = resolve(
        TuningRequest.model_validate(request.model_dump(include=set(TuningRequest.model_fields)))
    )
    return told(estimate(photos, tuning, {name: outputs[key] for name, key in _OUTPUTS.items()}, region))


def told(bill: Bill) -> str:
    """`Expected cost: up to about $0.23, by list prices of 2026-11-23.`"""
    beside = f", and what {' and '.join(bill.unknown)} costs, which is not known" if bill.unknown else ""
    if not bill.known:
        return f"Expected cost: not known, for {' and '.join(bill.unknown)}."
    return f"Expected cost: up to about {dollars(bill.known)}{beside} (list prices of {AS_OF})."
