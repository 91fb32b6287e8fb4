"""The Links table: who holds the token of a link may look at one job's result, until the link ends.

One row a link, keyed by job first, so that all links of a job are found in one strongly consistent query:
taking them back must leave none. The index `byDigest` finds the link of a token; what it finds is read again
from the table, so a link that was taken back is none at once. The table holds only a token's SHA-256, so that
who reads the table has no link.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.conditions import Key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

BY_DIGEST = "byDigest"
TOKEN_BYTES = 32  # 256 random bits: nobody guesses one
TOKEN_PATTERN = r"^[A-Za-z0-9_-]{43}$"  # those, as `secrets.token_urlsafe` writes them
MAX_DAYS = 30
# How long a link that has ended is still told to have ended, and not to have never been.
REMEMBERED_S = 30 * 24 * 3600


@dataclass(frozen=True)
class Link:
    """A link to the result of `job_id`. Times are ISO 8601, as rows hold them.

    Attributes:
        digest: SHA-256 of its token, hex.
    """

    job_id: str
    digest: str
    created_at: str
    ends_at: str

    def seconds_left(self, now: str) -> int:
        """How long it is still good for; 0 where it has ended."""
        left = datetime.fromisoformat(self.ends_at) - datetime.fromisoformat(now)
        return max(0, int(left.total_seconds()))


def digest_of(token: str) -> str | None:
    """What the table knows a token by; None for what can be no token."""
    if re.fullmatch(TOKEN_PATTERN, token) is None:
        return None
    return hashlib.sha256(token.encode()).hexdigest()


class Links:
    """The Links table. Its own expiry (TTL) comes late, by days; `ends_at` decides."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def put(self, link: Link) -> None:
        ends = datetime.fromisoformat(link.ends_at).timestamp()
        self._table.put_item(
            Item={
                "jobId": link.job_id,
                "digest": link.digest,
                "createdAt": link.created_at,
                "endsAt": link.ends_at,
                "expiresAt": int(ends + REMEMBERED_S),
            }
        )

    def of(self, job_id: str) -> list[Link]:
        """All links of the job, ended ones among them: one page, which a cap keeps far below 1 MB."""
        page = self._table.query(KeyConditionExpression=Key("jobId").eq(job_id), ConsistentRead=True)
        return [_link(item) for item in page["Items"]]

    def find(self, digest: str) -> Link | None:
        """The link whose token has this digest, as it is now; one made a moment ago may be missed."""
        page = self._table.query(IndexName=BY_DIGEST, KeyConditionExpression=Key("digest").eq(digest))
        for found in page["Items"]:
            key = {"jobId": found["jobId"], "digest": found["digest"]}
            item = self._table.get_item(Key=key, ConsistentRead=True).get("Item")
            if item is not None:
                return _link(item)
        return None

    def remove(self, link: Link) -> None:
        self._table.delete_item(Key={"jobId": link.job_id, "digest": link.digest})

    def drop(self, job_id: str, until: str | None = None) -> int:
        """Take all links of the job back, or those made `until` then; returns how many there were."""
        links = [link for link in self.of(job_id) if until is None or link.created_at <= until]
        for link in links:
            self.remove(link)
        return len(links)


def _link(item: Any) -> Link:
    return Link(*(str(item[name]) for name in ("jobId", "digest", "createdAt", "endsAt")))
