"""A browser reads results without credentials where IAM is enforced: what a CDN does on AWS.

MiniStack refuses every unsigned read of a bucket that is not public, as S3 does. The viewer's link leads
straight into the data bucket here: results, and nothing else, are open to reads.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from ministack.services import s3

from spaceport_local.patches.seams import Seam

SEAMS = (Seam("services.s3:_foreign_bucket_allows", "7865eb38b093"),)
# Of a job's folder, as the template's DataPolicy has it for CloudFront (tests/contract/test_stores.py).
RESULTS = (
    "compressed/*",
    "checkpoints/preview.jpg",
    "gaussian/training.log",
    "gaussian/held_out/*",
    "gaussian/trained_on/*",
    "colmap/sparse/points.ply",
    "colmap/sparse/cameras.geojson",
    "colmap/sparse/georef.json",
)
READS = ("GET", "HEAD")


def install() -> None:
    allows = s3._foreign_bucket_allows

    def allows_results(owner: str, bucket: str, key: str, method: str, query: Any, *caller: Any) -> bool:
        if method in READS and not query and any(fnmatchcase(key, f"jobs/*/{name}") for name in RESULTS):
            return True
        return bool(allows(owner, bucket, key, method, query, *caller))

    s3._foreign_bucket_allows = allows_results
