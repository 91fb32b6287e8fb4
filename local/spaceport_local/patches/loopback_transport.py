"""What comes over the loopback is private: for a policy it is what TLS is on AWS.

MiniStack tells `aws:SecureTransport` by the `x-forwarded-proto` header, so that a policy which denies all
but TLS shuts every function and every delivery out: the engine speaks HTTP, on 127.0.0.1 only.
"""

from __future__ import annotations

from typing import Any

from ministack.core import iam_evaluator

from spaceport_local.patches.seams import Seam

SEAMS = (Seam("core.iam_evaluator:_resolve_condition_key", "15e26964cd38"),)
SECURE_TRANSPORT = "aws:securetransport"


def install() -> None:
    resolve = iam_evaluator._resolve_condition_key

    def resolve_as_private(key: str, context: Any) -> Any:
        return "true" if key.lower() == SECURE_TRANSPORT else resolve(key, context)

    iam_evaluator._resolve_condition_key = resolve_as_private
