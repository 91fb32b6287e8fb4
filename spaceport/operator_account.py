"""The operator's account in a stack's user pool, whose password is a secret of the stack.

CloudFormation makes the account with a password that nobody knows. The local cloud makes it ready when it is
brought up; on AWS, where nobody brings anything up, the command does with the first sign-in.
"""

from __future__ import annotations

import json
from typing import Any

from spaceport.job import OPERATOR


def password_in(secret: str) -> str:
    """The operator's password, from the text of the stack's secret."""
    password: str = json.loads(secret)["token"]
    return password


def make_ready(cognito: Any, pool_id: str, password: str) -> bool:
    """Give the operator `password` where the account has none of its own; whether it had none.

    A password that somebody chose is left alone. Raises botocore's ClientError where that is refused.

    Args:
        cognito: a boto3 client of `cognito-idp`.
    """
    user = cognito.admin_get_user(UserPoolId=pool_id, Username=OPERATOR)
    if user["UserStatus"] != "FORCE_CHANGE_PASSWORD":
        return False
    cognito.admin_set_user_password(UserPoolId=pool_id, Username=OPERATOR, Password=password, Permanent=True)
    return True
