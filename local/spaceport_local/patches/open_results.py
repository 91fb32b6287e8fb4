"""A browser reads results without credentials where IAM is enforced: what a CDN does on AWS.

MiniStack refuses every unsigned read of a bucket that is not public, as S3 does. The viewer's link leads
straight into the data bucket here: the folders of results, and nothing else, are open to reads.
"""

from __future__ import annotations

import re
from typing import Any

from ministack.services import s3

from spaceport_local.patches.seams import Seam

SEAMS = (Seam("services.s3:_foreign_bucket_allows", "7865eb38b093"),)
# What the template's DataPolicy lets CloudFront read; architecture.md has the data bucket's contract.
RESULTS = re.compile(
    r"jobs/[^/]+/(compressed/.|colmap/sparse/.|gaussian/(held_out|trained_on)/."
    r"|gaussian/training\.log$|checkpoints/preview\.jpg$)"
)
READS = ("GET", "HEAD")


def install() -> None:
    allows = s3._foreign_bucket_allows

    def allows_results(owner: str, bucket: str, key: str, method: str, query: Any, *caller: Any) -> bool:
        if method in READS and not query and RESULTS.match(key):
            return True
        return bool(allows(owner, bucket, key, method, query, *caller))

    s3._foreign_bucket_allows = allows_results
