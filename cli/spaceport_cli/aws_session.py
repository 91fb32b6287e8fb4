"""The caller's own AWS session: credentials, profile and region as boto3 finds them."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.exceptions import ProfileNotFound

from spaceport.errors import UserError


def own_session() -> Any:  # boto3's stubs know services by literal names only
    """A boto3 session. Raises UserError `no_profile` where AWS_PROFILE names one that is not there."""
    try:
        return boto3.Session()
    except ProfileNotFound as error:
        raise UserError(
            "no_profile",
            f"{error}.",
            "`aws configure list-profiles` names those that this machine has; AWS_PROFILE chooses one.",
        ) from error
