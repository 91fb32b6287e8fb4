"""What follows a job's end: a letter to its owner, its deletion, its tidying. Lives for the fault table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from scene import Scene
from soundness import assert_sound, row_of, traces, until

from spaceport.erasure import LOG_GROUPS
from spaceport.errors import UserError
from spaceport.job import NotificationState, now_iso
from spaceport.reconciliation import ARTIFACTS_COMPLETE_AFTER, needs_last_erasure
from spaceport.retention import INTERMEDIATES, INTERMEDIATES_KEPT

NO_ZIP = b"These are no photos."
SENT = NotificationState.SENT
# A deletion, and what it sets off, take less. Its time is what makes it be told of: it can't be set back.
A_WHILE = timedelta(seconds=15)
RESULTS_DAYS = 30  # of the stack's parameter
SENT_WITHIN_S = 30.0  # after a crash the event comes again within three seconds


def refused(scene: Scene) -> None:
    """A job that has ended as soon as it is there: its zip is none."""
    scene.body = NO_ZIP
    scene.drop()
    scene.until_ended()


# ---- letters ----------------------------------------


def told(scene: Scene) -> None:
    """Its owner, whose address is verified, asked for a letter."""
    scene.verify_owner()
    scene.asked["email"] = scene.address
    refused(scene)

    def is_sent() -> bool:
        row = scene.row()
        return row is not None and row.notification is not None and row.notification.state == SENT

    until(is_sent, lambda: f"the letter is not sent: {scene.row()}", SENT_WITHIN_S)


# ---- deletion ---------------------------------------


def deleted(scene: Scene) -> None:
    """Deleted when none of its tasks can upload any more."""
    refused(scene)
    leave_traces(scene)
    age(scene, 2 * ARTIFACTS_COMPLETE_AFTER, "updatedAt")
    delete(scene)
    until_erased(scene)


def deleted_early(scene: Scene) -> None:
    """Deleted when its tasks may still upload: what they do goes, too, once that is all."""
    refused(scene)
    leave_traces(scene)
    age(scene, ARTIFACTS_COMPLETE_AFTER - A_WHILE, "updatedAt")
    delete(scene)
    until(lambda: not scene.artifacts(), "its artifacts stay")
    leave_traces(scene)
    row = row_of(scene.stack, scene.job_id)
    assert row is not None
    until(lambda: needs_last_erasure(row, datetime.now(UTC)), "it was erased for good at once")

    def reconciled() -> bool:
        scene.run_function("ReconcileJobs")
        return scene.row() is None

    until(reconciled, "it is not erased for good")


def deleted_and_heard_of(scene: Scene) -> None:
    """Deleted with all that a whole job leaves; then its upload's event comes again, and what it had said."""
    scene.drop()
    scene.until_ended()
    assert_sound(scene.stack, scene.job_id, scene.faults, scene.watcher)
    row = scene.row()
    assert row is not None
    event = scene.upload_event()
    age(scene, 2 * ARTIFACTS_COMPLETE_AFTER, "updatedAt")
    delete(scene)
    # While its row is hidden, or its tombstone there already
    assert scene.run_function("IngestUpload", event)
    until_erased(scene)
    assert scene.run_function("IngestUpload", event)
    execution = {"executionArn": row.execution_arn, "status": "ABORTED", "name": f"{scene.job_id}-1"}
    assert scene.run_function("SettleExecution", {"detail": execution})
    scene.evidence.append("events of a deleted job")


def leave_traces(scene: Scene) -> None:
    """What a job that ran has left, beside its zip and its rows."""
    scene.stack.cloud.client("s3").put_object(
        Bucket=scene.stack.output("DataBucket"), Key=f"jobs/{scene.job_id}/compressed/model.sog", Body=b"left"
    )
    for group, suffix in zip(LOG_GROUPS, ("sog", "3dgs"), strict=True):
        scene.log(group, f"{scene.job_id}-{suffix}-1-0/algo-1-1", ["said"])


def delete(scene: Scene) -> None:
    """Delete it, until an answer says so, or that there is no such job."""

    def ask() -> bool:
        try:
            scene.api.delete(f"/jobs/{scene.job_id}")
        except UserError as error:
            return error.code == "no_such_job"
        return True

    until(ask, "it can't be deleted")


def until_erased(scene: Scene) -> None:
    def left() -> str:
        return f"it is not erased: {traces(scene.stack, scene.job_id, scene.key)}"

    until(lambda: scene.row() is None, left)


def age(scene: Scene, by: timedelta, *times: str) -> None:
    """Set these times of the row back: as if so much had passed since."""
    scene.change_row(**dict.fromkeys(times, now_iso(datetime.now(UTC) - by)))


# ---- tidying ----------------------------------------


def tidied(scene: Scene) -> None:
    """Two weeks after its end what its stages left for each other goes."""
    scene.drop()
    scene.until_ended()
    assert scene.artifacts(*INTERMEDIATES)
    age(scene, INTERMEDIATES_KEPT + timedelta(hours=1), "updatedAt")
    tidy_until(scene, lambda: row_of(scene.stack, scene.job_id).intermediates_discarded)
    assert not scene.artifacts(*INTERMEDIATES)


def tidied_away(scene: Scene) -> None:
    """As many days after its end as results are kept it is deleted."""
    refused(scene)
    leave_traces(scene)
    age(scene, timedelta(days=RESULTS_DAYS, hours=1), "updatedAt")
    tidy_until(scene, lambda: scene.row() is None or scene.row().deleted_at is not None)
    until_erased(scene)


def tidy_until(scene: Scene, holds: Any) -> None:
    """Let the days go by."""

    def is_tidy() -> bool:
        scene.run_function("TidyJobs")
        return not scene.faults.still_armed(scene.name) and holds()

    until(is_tidy, lambda: f"not tidied: {scene.row()}")
