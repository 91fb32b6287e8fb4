"""Which changes of a batch of Jobs rows a client is shown. Pure; `broadcast_status` sends them."""

from __future__ import annotations

from collections.abc import Iterable

from spaceport.job import JobRecord


def worth_sending(rows: Iterable[JobRecord]) -> list[JobRecord]:
    """The rows to send, in order: every change of stage or status, and of progress only the newest a job.

    `rows` are the new images of one stream batch, oldest first (a shard keeps the order within a job).
    Of a run of rows that show the same stage and status only the last is kept.
    """
    kept: dict[str, list[JobRecord]] = {}
    for row in rows:
        sent = kept.setdefault(row.job_id, [])
        if sent and (sent[-1].stage, sent[-1].status) == (row.stage, row.status):
            sent[-1] = row
        else:
            sent.append(row)
    return [row for rows_of_job in kept.values() for row in rows_of_job]
