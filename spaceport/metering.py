"""What the handlers measure, as CloudWatch's embedded metric format: a metric is a line of a function's log.

No call, no permission and no wait: CloudWatch makes metrics of the lines that have the format
(docs.aws.amazon.com/AmazonCloudWatch, "Embedded metric format specification"). Every metric has the
namespace `Spaceport` and the one dimension `service`, the stack's name: an alarm matches all dimensions or
nothing. What else a line says (a job's id, an error's code) can be searched with Logs Insights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aws_lambda_powertools.metrics import MetricUnit, single_metric

from spaceport.job import JobRecord
from spaceport.prices import Bill
from spaceport.stages import JOB_STAGES, Status, stage_named

NAMESPACE = "Spaceport"
DIMENSION = "service"


@dataclass(frozen=True)
class Metric:
    """What is measured.

    Attributes:
        unit: CloudWatch's; it knows no dollars, so USD have none.
        handlers: the functions' folders whose handlers measure it.
    """

    unit: MetricUnit
    handlers: tuple[str, ...]


# Who makes rows of zips, and so tells which are refused.
_MAKING = ("ingest_upload", "ingest_batch", "serve_api")
# Who ends a job that has run: each end is counted once, by the one whose write ended the row.
_ENDING = ("publish_result", "dispatch_jobs", "record_failure", "settle_execution", "reconcile_jobs")
METRICS: Mapping[str, Metric] = {
    "JobsRejected": Metric(MetricUnit.Count, _MAKING),
    "JobsQueued": Metric(MetricUnit.Count, ("dispatch_jobs",)),  # how many wait after a dispatch
    "JobsStarted": Metric(MetricUnit.Count, ("dispatch_jobs",)),
    "QueueWait": Metric(MetricUnit.Seconds, ("dispatch_jobs",)),
    "CapacityWaits": Metric(MetricUnit.Count, ("classify_failure",)),
    "JobsCompleted": Metric(MetricUnit.Count, ("publish_result",)),
    "JobsFailed": Metric(MetricUnit.Count, _ENDING[1:]),
    "JobFaults": Metric(MetricUnit.Count, _ENDING[1:]),  # those of them that other photos would not mend
    "JobsStopped": Metric(MetricUnit.Count, _ENDING[3:]),
    "JobCost": Metric(MetricUnit.NoUnit, _ENDING),  # USD of the machines whose price is known, of this run
    "StuckJobs": Metric(MetricUnit.Count, ("reconcile_jobs",)),
    "BroadcastFailed": Metric(MetricUnit.Count, ("broadcast_status",)),
    "NotificationsSent": Metric(MetricUnit.Count, ("notify_owner",)),
    "NotificationsFailed": Metric(MetricUnit.Count, ("notify_owner",)),
}
# The codes of failures that are ours, AWS's or the machine's: RUNBOOK.md has them in one section. All others
# are for the owner to mend.
FAULTS = frozenset(
    {
        *("fault", "lost", "aws_fault", "busy", "interrupted", "killed", "no_capacity", "timeout"),
        "no_image",
        *(f"{stage.name}_fault" for stage in JOB_STAGES),
        *("sfm_crashed", "sfm_hung", "sfm_out_of_memory", "sfm_timeout", "training_diverged"),
        *("disk_full", "gpu_too_small", "machine_too_small", "no_row", "no_viewer"),
        # What a stage left for the next one
        *("bad_scene", "bad_ply", "broken_model", "bad_report", "bad_training_report"),
    }
)
OF_END = {
    Status.COMPLETED: "JobsCompleted",
    Status.FAILED: "JobsFailed",
    Status.STOPPED: "JobsStopped",
}


def count(name: str, value: int = 1, **said: str) -> None:
    """Add `value` to a metric of METRICS. `said` is what else the line tells, such as `job_id`."""
    observe(name, value, **said)


def observe(name: str, value: float, **said: str) -> None:
    """Note one value of a metric of METRICS, in its unit. Raises KeyError for any other name."""
    with single_metric(name, METRICS[name].unit, value, namespace=NAMESPACE) as metric:
        for key, what in said.items():
            metric.add_metadata(key, what)


def job_made(row: JobRecord) -> None:
    """A zip has its row, by the caller's own write: so each one that is refused is counted once."""
    if row.status is Status.REJECTED:
        count("JobsRejected", job_id=row.job_id, owner=row.owner, code=row.error.code if row.error else "")


def job_ended(row: JobRecord, status: Status, bill: Bill, code: str = "") -> None:
    """A run has ended, as `status`: `row` as it was before, what it cost, and the failure's code."""
    said = {"job_id": row.job_id, "owner": row.owner, **({"code": code} if code else {})}
    count(OF_END[status], 1, **said)
    if status is Status.FAILED and code in FAULTS:
        count("JobFaults", 1, **said)
    observe("JobCost", _of_this_run(row, bill), **said)


def _of_this_run(row: JobRecord, bill: Bill) -> float:
    """USD of the stages that this run began: a retry keeps the earlier ones, which have been counted."""
    begun = stage_named(row.first_step.value).index
    costs = {name: cost for name, cost in bill.stages.items() if cost is not None}
    return sum(cost for name, cost in costs.items() if stage_named(name).index >= begun)
