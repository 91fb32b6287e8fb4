"""Which resource a call is checked against, where IAM is enforced.

MiniStack doesn't know the resources of SageMaker's calls: it checks them against `*`, which only a policy
for everything allows.
"""

from __future__ import annotations

import json
from typing import Any

from ministack.core import iam_actions

from spaceport_local.patches.seams import Seam

SEAMS = (Seam("core.iam_actions:extract_resource_arn", "82f51700695c"),)
# Which member of a request names its job, and the kind of resource that is.
NAMES = {"TrainingJobName": "training-job", "ProcessingJobName": "processing-job"}
ANY = "*"


def install() -> None:
    extract = iam_actions.extract_resource_arn

    def extract_with_sagemaker(service: str, *request: Any) -> str:
        if service == "sagemaker":
            _method, _path, _headers, body, _query, region, account = request
            return sagemaker_arn(json.loads(body or b"{}"), region, account)
        return str(extract(service, *request))

    iam_actions.extract_resource_arn = extract_with_sagemaker


def sagemaker_arn(request: dict[str, Any], region: str, account: str) -> str:
    """The job that a SageMaker request names; `*` where it names none, as a List call does."""
    for member, kind in NAMES.items():
        if member in request:
            return f"arn:aws:sagemaker:{region}:{account}:{kind}/{str(request[member]).lower()}"
    return str(request.get("ResourceArn", ANY))
