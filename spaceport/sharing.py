"""Links to results: made, taken back, and looked at without an account until they end."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from spaceport.errors import UserError
from spaceport.job import JobRecord, now_iso
from spaceport.jobs import Jobs
from spaceport.links import TOKEN_BYTES, Link, Links, digest_of
from spaceport.partial import SOG
from spaceport.shared_files import SharedFiles
from spaceport.stages import Status

# Of a job, those that have not ended: each has copies of the model.
MAX_LINKS = 20


@dataclass(frozen=True)
class Sharing:
    """Makes links, and takes them back."""

    jobs: Jobs
    links: Links
    files: SharedFiles

    def share(self, row: JobRecord, days: int, now: str) -> tuple[str, Link]:
        """A new link to the result as it is now, and its token, which nobody can tell again.

        Raises:
            UserError: `no_result`, `too_many_links`; `job_changed` where the result did meanwhile.
        """
        outputs = row.outputs
        if row.status is not Status.COMPLETED or outputs is None or outputs.sog is None:
            raise UserError(
                "no_result",
                f"The job {row.job_id} has no finished result to share.",
                "Wait until it is done, then share it.",
            )
        self._sweep(row.job_id, now)
        token = secrets.token_urlsafe(TOKEN_BYTES)
        ends_at = now_iso(datetime.fromisoformat(now) + timedelta(days=days))
        link = Link(row.job_id, _digest(token), now, ends_at)
        # The row first: copies without one are anybody's to erase.
        self.links.put(link)
        try:
            self.files.copy(outputs.sog.removesuffix(SOG), outputs.lod is not None, link)
        except BaseException:
            self._undo(link)  # a link that shows nothing shall not count as one
            raise
        after = self.jobs.get(row.job_id)
        is_same = after and (after.status, after.run, after.deleted_at) == (row.status, row.run, None)
        if not is_same or link not in self.links.of(row.job_id):
            # Deleted or taken back, perhaps before the copies were there; or done anew while they were made.
            self._undo(link)
            raise UserError(
                "job_changed", f"The job {row.job_id} has just changed.", "Look at it, and share it again."
            )
        return token, link

    def revoke(self, job_id: str, until: str | None = None) -> int:
        """Take all links of the job back, or those made `until` then (ISO 8601); returns how many there were.

        From then on they show nothing.
        """
        taken = self.links.drop(job_id, until)
        # A link may be made meanwhile: its copies stay.
        self.files.erase_but(job_id, lambda: self.links.of(job_id))
        return taken

    def _undo(self, link: Link) -> None:
        """Take one link back. The row first: copies that stay are erased with the next sweep."""
        self.links.remove(link)
        self.files.erase(link.job_id, link)

    def _sweep(self, job_id: str, now: str) -> None:
        """Erase the copies of links that have ended. Raises UserError `too_many_links` of others."""
        alive = self._alive(job_id, now)
        if len(alive) >= MAX_LINKS:
            raise UserError(
                "too_many_links",
                f"The job {job_id} has {len(alive)} links already.",
                "Take them back, or wait until one has ended.",
            )
        self.files.erase_but(job_id, lambda: self._alive(job_id, now))

    def _alive(self, job_id: str, now: str) -> list[Link]:
        return [link for link in self.links.of(job_id) if link.seconds_left(now)]


@dataclass(frozen=True)
class Visits:
    """Looks at results by links."""

    jobs: Jobs
    links: Links

    def open(self, token: str, now: str) -> tuple[Link, JobRecord]:
        """The link of this token and its job's row. Costs the same whatever the token is of.

        Raises:
            UserError: `no_such_link`, also of one that was taken back, or of a deleted job; `share_expired`.
        """
        digest = digest_of(token)
        link = self.links.find(digest) if digest else None
        row = self.jobs.get(link.job_id) if link else None
        if link is None or row is None or row.deleted_at is not None or row.outputs is None:
            raise UserError(
                "no_such_link",
                "There is nothing at this link.",
                "Check it, or ask for a new one: it may be taken back.",
            )
        if not link.seconds_left(now):
            raise UserError(
                "share_expired",
                f"This link has ended, at {link.ends_at}.",
                "Ask who gave it to you for a new one.",
            )
        return link, row


def _digest(token: str) -> str:
    digest = digest_of(token)
    assert digest is not None  # it was just made
    return digest
